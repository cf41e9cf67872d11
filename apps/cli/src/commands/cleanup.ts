import type { Command } from 'commander'
import { whole } from '../options.ts'
import { counted, print, printJson } from '../output.ts'
import { withLapse } from '../services.ts'

export const cleanup = (program: Command): void => {
  program
    .command('cleanup')
    .description('Remove what is past its retention, of every kind. Its events stay.')
    .option('--limit <n>', 'rows at most', whole(1, 1_000_000_000), 10_000)
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nWorkers do the same every LAPSE_PURGE_SECONDS, and may run meanwhile. What still owes a delivery stays.\n\nExample:\n  lapse cleanup --limit 100000',
    )
    .action(async ({ limit, json }: { limit: number; json?: true }) => {
      const cleaned = await withLapse((lapse) => lapse.cleanup({ limit, timeMs: 3_600_000 }))
      if (json) return printJson(cleaned)
      const { removed, answers, notices, done } = cleaned
      const what = [
        counted(removed),
        answers > 0 && `${answers} answers of Idempotency-Keys`,
        notices > 0 && `${notices} old tests and alerts`,
      ].filter(Boolean)
      print(what.length > 0 ? `Removed ${what.join(', ')}.` : 'There was nothing to remove.')
      if (!done) print('There is more: run it again, or with a higher --limit.')
    })
}
