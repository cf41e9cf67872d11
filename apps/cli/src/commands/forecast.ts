import { type Command, Option } from 'commander'
import type { Bucket, Forecast } from 'lapse'
import { whole } from '../options.ts'
import { counted, paint, print, printJson, table } from '../output.ts'
import { withLapse } from '../services.ts'

const widest = 40

const chart = ({ bucket, buckets, overdue }: Forecast): string => {
  const most = Math.max(1, ...buckets.map(({ total }) => total))
  const rows = buckets.map(({ start, total, kinds }) => [
    start
      .toISOString()
      .slice(0, bucket === 'day' ? 10 : 16)
      .replace('T', ' '),
    String(total).padStart(String(most).length),
    // What is there is seen, however little it is.
    '█'.repeat(Math.ceil((total / most) * widest)).padEnd(total > 0 ? widest : 0),
    counted(kinds),
  ])
  const late = overdue.total > 0 ? `\n${paint('yellow', `over and not swept yet: ${counted(overdue.kinds)}`)}` : ''
  return `${table(rows)}${late}`
}

export const forecast = (program: Command): void => {
  program
    .command('forecast')
    .description('How many end in each of the coming hours or days (UTC), by kind.')
    .addOption(new Option('--by <bucket>', 'whole hours or days').choices(['hour', 'day']).default('hour'))
    .option('--count <n>', 'how many of them', whole(1, 1_000), 24)
    .option('--kind <kind>', 'of one kind alone')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExample:\n  lapse forecast --by day --count 14 --kind trial')
    .action(async (options: { by: Bucket; count: number; kind?: string; json?: true }) => {
      const { by: bucket, count, kind, json } = options
      const seen = await withLapse((lapse) => lapse.forecast({ bucket, count, kind }))
      if (json) return printJson(seen)
      print(chart(seen))
    })
}
