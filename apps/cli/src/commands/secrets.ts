import type { Command } from 'commander'
import { note, print, printJson } from '../output.ts'
import { withLapse } from '../services.ts'

export const secrets = (program: Command): void => {
  const command = program.command('secrets').description('The keys of LAPSE_SECRET.')
  command
    .command('rotate')
    .description('Seal under the first key of LAPSE_SECRET what the others have sealed.')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      `
Write LAPSE_SECRET=new,old and restart every process, so that all of them know both; then run this. Workers may run meanwhile, and do
the same by themselves ten minutes after their start. "lapse doctor" says when the old key is needed no more.

Example:
  lapse secrets rotate`,
    )
    .action(async ({ json }: { json?: true }) => {
      const done = await withLapse((lapse) => lapse.reseal())
      if (json) printJson(done)
      else print(done.resealed === 1 ? '1 secret is sealed anew.' : `${done.resealed} secrets are sealed anew.`)
      if (done.unreadable === 0) return
      note(
        `${done.unreadable} were sealed by a key that LAPSE_SECRET lacks. Put it behind the others, and run this again.`,
      )
      process.exitCode = 1
    })
}
