import type { Command } from 'commander'
import type { Story } from 'lapse'
import { lasting, moment, paint, print, printJson, table } from '../output.ts'
import { withLapse } from '../services.ts'

const section = (title: string, rows: readonly (readonly string[])[]): string =>
  rows.length > 0 ? `\n${paint('bold', title)}\n${table(rows, '  ')}` : ''

const facts = ({ id, resource, next }: Story): string => {
  if (!resource) return `${paint('bold', id)}\n  It was purged; its events stay.`
  const now = resource.seenAt
  const { kind, status, word, maxUses, uses, startsAt, endedAt, lastUsedAt } = resource
  const rows = [
    ['status', word === status ? status : `${status} (${word})`],
    ['reference', resource.reference],
    ['scope', resource.scope],
    ['organization', resource.organizationId],
    ['subject', resource.subject],
    ['version', String(resource.version)],
    ['uses', `${uses} of ${maxUses ?? 'any number'}`],
    ['last used', lastUsedAt && moment(lastUsedAt, now)],
    ['issued', moment(resource.issuedAt, now)],
    ['starts', startsAt && moment(startsAt, now)],
    ['expires', moment(resource.expiresAt, now)],
    ['ends', moment(resource.endsAt, now)],
    ['ended', endedAt && moment(endedAt, now)],
    ['next', next ? `${next.step} at ${moment(next.at, now)}` : 'nothing'],
    ['payload', JSON.stringify(resource.payload)],
    ['clock', `${now.toISOString()} (the database's)`],
  ].flatMap(([name, value]) => (value ? [[name ?? '', value]] : []))
  return `${paint('bold', `${kind} ${id}`)}\n${table(rows, '  ')}`
}

const timersOf = ({ timers }: Story): string => {
  if (!timers) return `\n${paint('bold', 'Timers')}\n  Redis cannot be asked.`
  return section(
    'Timers',
    timers.map(({ step, offset, dueAt, standing }) => [
      standing ? '✓' : '✗',
      offset === undefined ? step : `${step}, ${lasting(offset * 1_000)} before`,
      `due ${new Date(dueAt).toISOString()}`,
      standing
        ? `${standing.state}, fires ${standing.firesAt.toISOString()}`
        : 'not in Redis: beyond the horizon, or lost',
    ]),
  )
}

const eventsOf = ({ events }: Story): string =>
  section(
    'Events',
    events.map((event) => [
      event.at.toISOString(),
      event.type,
      `${event.from ?? '–'} → ${event.to ?? '–'}`,
      event.trigger,
      `v${event.version}`,
      [
        event.latenessMs !== null && `${event.latenessMs} ms late`,
        event.actor && `by ${event.actor}`,
        event.reason && JSON.stringify(event.reason),
      ]
        .filter(Boolean)
        .join(', '),
    ]),
  )

const deliveriesOf = ({ deliveries }: Story): string =>
  section(
    'Deliveries',
    deliveries.flatMap(({ id, event, channel, target, status, nextAttemptAt, log }) => [
      [id, event, `${channel} to ${target}`, status, nextAttemptAt ? `next try ${nextAttemptAt.toISOString()}` : ''],
      ...log.map((attempt) => [
        `  attempt ${attempt.number}`,
        attempt.status,
        attempt.at.toISOString(),
        attempt.durationMs === null ? '' : `${attempt.durationMs} ms`,
        [attempt.code, attempt.error, attempt.nextAt && `next try ${attempt.nextAt.toISOString()}`]
          .filter(Boolean)
          .join(', '),
      ]),
    ]),
  )

export const inspect = (program: Command): void => {
  program
    .command('inspect <id>')
    .description('The whole story of one resource: what it is, what happens next, timers, events, deliveries.')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nLooking changes nothing.\n\nExample:\n  lapse inspect 019abcde-0000-7000-8000-000000000001',
    )
    .action(async (id: string, { json }: { json?: true }) => {
      const story = await withLapse(async (lapse) => {
        await lapse.queues.begun
        return lapse.story(id)
      })
      if (json) return printJson(story)
      print(
        [facts, timersOf, eventsOf, deliveriesOf]
          .map((part) => part(story))
          .filter(Boolean)
          .join('\n'),
      )
    })
}
