import type { Command } from 'commander'
import { note, print, printJson } from '../output.ts'
import { requireRedis, withLapse } from '../services.ts'

export const rearm = (program: Command): void => {
  program
    .command('rearm')
    .description('Put the timers of all that is pending back into Redis, as far ahead as LAPSE_HORIZON_HOURS says.')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nFor a Redis that has lost data. Timers that are there stay as they are; workers may run meanwhile.\n\nExample:\n  lapse rearm',
    )
    .action(async ({ json }: { json?: true }) => {
      const timers = await withLapse(async (lapse) => {
        await requireRedis(lapse)
        const engine = lapse.engine({ onError: (error) => note(`put off: ${(error as Error).message}`) })
        await engine.beginAnew()
        return engine.lookAhead()
      })
      if (json) return printJson({ timers })
      print(timers === 1 ? '1 timer is armed.' : `${timers} timers are armed.`)
    })
}
