import type { Command } from 'commander'
import { counted, note, print, printJson } from '../output.ts'
import { withLapse } from '../services.ts'

export const sweep = (program: Command): void => {
  program
    .command('sweep')
    .description('Advance all that is due now, as the sweep of the workers does.')
    .option('--json', 'for programs')
    .addHelpText('after', '\nWorkers may run meanwhile: each row is advanced once.\n\nExample:\n  lapse sweep')
    .action(async ({ json }: { json?: true }) => {
      const advanced: Record<string, Record<string, number>> = {}
      await withLapse(async (lapse) => {
        const engine = lapse.engine({
          onAdvanced: (rows) => {
            for (const { kind, type } of rows) {
              advanced[kind] ??= {}
              advanced[kind][type] = (advanced[kind][type] ?? 0) + 1
            }
          },
          onError: (error) => note(`put off: ${(error as Error).message}`),
        })
        await lapse.queues.begun
        await engine.sweep()
      })
      if (json) return printJson({ advanced })
      const kinds = Object.entries(advanced).sort(([a], [b]) => (a < b ? -1 : 1))
      print(
        kinds.length > 0 ? kinds.map(([kind, types]) => `${kind}: ${counted(types)}`).join('\n') : 'Nothing was due.',
      )
    })
}
