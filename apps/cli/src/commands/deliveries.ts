import { type Command, Option } from 'commander'
import {
  type Attempt,
  type Channel,
  channels,
  type Delivery,
  type DeliveryFilter,
  deliveryStatuses,
  type Lapse,
} from 'lapse'
import { instant, whole } from '../options.ts'
import { type Colour, moment, note, paint, print, printJson, table } from '../output.ts'
import { withLapse } from '../services.ts'

interface Filters extends Pick<DeliveryFilter, 'status' | 'kind' | 'event' | 'target' | 'since' | 'until'> {
  channel?: Channel
  resource?: string
  organization?: string
  json?: true
}

const colours: Partial<Record<Delivery['status'], Colour>> = { failed: 'yellow', dead: 'red', cancelled: 'dim' }

/** The options that say which. */
const filtered = (command: Command): Command =>
  command
    .addOption(new Option('--channel <channel>', 'the way it goes').choices(channels))
    .option('--kind <kind>', 'of the resource; "lapse" are tests and alerts')
    .option('--event <type>', 'what happened, as reminded')
    .option('--target <target>', "an address, an endpoint's id, a handler's name")
    .option('--resource <id>', 'of one resource')
    .option('--organization <id>', 'of what was issued in it, by its id or your own for it')
    .option('--since <when>', 'written down at this instant or later, or so long ago', instant)
    .option('--until <when>', 'written down before', instant)
    .option('--json', 'for programs')

const filterOf = async (lapse: Lapse, filters: Filters) => {
  const { resource: resourceId, organization, json, ...rest } = filters
  const organizationId = organization === undefined ? undefined : (await lapse.organizations.get(organization)).id
  return { ...rest, resourceId, organizationId }
}

const short = (text: string | null, most = 60): string => {
  const line = (text ?? '').replace(/\s+/g, ' ')
  return line.length > most ? `${line.slice(0, most - 1)}…` : line
}

const shown = (one: Delivery): string[] => [
  one.id,
  one.status,
  one.createdAt.toISOString(),
  `${one.kind} ${one.event}`,
  one.channel === 'call' ? 'call' : `${one.channel} to ${short(one.target, 40)}`,
  one.attempts === 1 ? '1 attempt' : `${one.attempts} attempts`,
  short(one.lastError),
]

const coloured = (list: readonly Delivery[]): string =>
  table(list.map(shown))
    .split('\n')
    .map((line, i) => {
      const colour = colours[list[i]?.status ?? 'pending']
      return colour ? paint(colour, line) : line
    })
    .join('\n')

const told = (one: Delivery & { log: readonly Attempt[] }): string => {
  const now = new Date()
  const rows = [
    ['status', one.status],
    [
      'what',
      one.resourceId === null ? one.event : `${one.event} of ${one.kind} ${one.resourceId}, version ${one.version}`,
    ],
    ['target', one.target],
    ['created', moment(one.createdAt, now)],
    ['next try', one.nextAttemptAt && moment(one.nextAttemptAt, now)],
    ['settled', one.settledAt && moment(one.settledAt, now)],
    ['error', one.lastError],
  ].flatMap(([name, value]) => (value ? [[name ?? '', value]] : []))
  const attempts = one.log.map(({ number, status, at, durationMs, code, error, answer, nextAt }) => [
    String(number),
    status,
    at.toISOString(),
    durationMs === null ? '' : `${durationMs} ms`,
    code === null ? '' : String(code),
    [error, answer && short(answer, 100), nextAt && `next try ${nextAt.toISOString()}`].filter(Boolean).join(' · '),
  ])
  const log = attempts.length > 0 ? `\n\n${paint('bold', 'Attempts')}\n${table(attempts, '  ')}` : ''
  return `${paint('bold', `${one.channel} ${one.id}`)}\n${table(rows, '  ')}${log}`
}

const example = '019abcde-0000-7000-8000-000000000001'

export const deliveries = (program: Command): void => {
  const group = program
    .command('deliveries')
    .description('The ledger of side effects: mails, webhooks, calls, handlers.')

  filtered(group.command('list'))
    .description('The newest first, one a line.')
    .addOption(new Option('--status <status>', 'how it stands').choices(deliveryStatuses))
    .option('--limit <n>', 'at most so many', whole(1, 10_000), 50)
    .addHelpText('after', '\nExample:\n  lapse deliveries list --status dead --channel webhook --since 2d')
    .action(async ({ limit, ...filters }: Filters & { limit: number }) => {
      const found = await withLapse(async (lapse) =>
        lapse.deliveries.list(await filterOf(lapse, filters), { limit: limit + 1 }),
      )
      const list = found.slice(0, limit)
      if (filters.json) return printJson(list)
      print(list.length > 0 ? coloured(list) : 'There is none.')
      if (found.length > limit) note('There are more: give a higher --limit, or say more narrowly which.')
    })

  group
    .command('show <id>')
    .description('One with every attempt: when, how long, what came of it, what was answered, when next.')
    .option('--json', 'for programs')
    .addHelpText('after', `\nExample:\n  lapse deliveries show ${example}`)
    .action(async (id: string, { json }: { json?: true }) => {
      const delivery = await withLapse((lapse) => lapse.deliveries.get(id))
      if (json) return printJson(delivery)
      print(told(delivery))
    })

  group
    .command('retry <id>')
    .description('Try one again at once that is dead, or waits for its next try.')
    .addHelpText('after', `\nExample:\n  lapse deliveries retry ${example}`)
    .action(async (id: string) => {
      await withLapse(async (lapse) => {
        await lapse.queues.begun
        return lapse.deliveries.retry(id)
      })
      print(`It is due now. How it goes: lapse deliveries show ${id}`)
    })

  filtered(group.command('retry-dead'))
    .description('Try all again at once that are dead, or those that are meant.')
    .addHelpText(
      'after',
      '\nIt goes on until all are due, in batches that commit on their own; workers may run meanwhile.\n\nExample:\n  lapse deliveries retry-dead --channel email --since 2h',
    )
    .action(async (filters: Filters) => {
      const { retried } = await withLapse(async (lapse) => {
        await lapse.queues.begun
        return lapse.deliveries.retryDead(await filterOf(lapse, filters))
      })
      if (filters.json) return printJson({ retried })
      print(retried === 0 ? 'None of them is dead.' : `${retried === 1 ? '1 is' : `${retried} are`} due now.`)
    })

  group
    .command('cancel <id>')
    .description('Call one off that is outstanding: it never goes out.')
    .addHelpText('after', `\nExample:\n  lapse deliveries cancel ${example}`)
    .action(async (id: string) => {
      const { status } = await withLapse((lapse) => lapse.deliveries.cancel(id))
      print(`It is ${status}.`)
    })
}
