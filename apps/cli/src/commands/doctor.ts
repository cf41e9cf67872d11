import type { Command } from 'commander'
import type { Finding } from 'lapse'
import { codes } from '../failure.ts'
import { type Colour, paint, print, printJson } from '../output.ts'
import { withLapse } from '../services.ts'

const marks: Record<Finding['verdict'], readonly [string, Colour]> = {
  well: ['✓', 'green'],
  warning: ['!', 'yellow'],
  wrong: ['✗', 'red'],
}

const line = ({ about, verdict, text }: Finding): string => {
  const [mark, colour] = marks[verdict]
  return `${paint(colour, mark)} ${paint('bold', about.padEnd(10))}  ${text}`
}

export const doctor = (program: Command): void => {
  program
    .command('doctor')
    .description('Look at everything that Lapse stands on, and say what to do about what is not well.')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      `
It looks at PostgreSQL, Redis, clocks, migrations, indexes, workers, timers, what is overdue and what has given up, and
changes nothing. ✓ is well, ! is worth a look, ✗ is wrong. The exit code is ${codes.wrong} when something is wrong.

Example:
  lapse doctor --json | jq '.findings[] | select(.verdict == "wrong")'`,
    )
    .action(async ({ json }: { json?: true }) => {
      const findings = await withLapse((lapse) => lapse.diagnose())
      const wrong = findings.filter(({ verdict }) => verdict === 'wrong').length
      if (json) printJson({ well: wrong === 0, findings })
      else print(findings.map(line).join('\n'))
      if (wrong > 0) process.exitCode = codes.wrong
    })
}
