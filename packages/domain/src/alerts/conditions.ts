import type { Sql } from '../database.ts'
import type { Channel } from '../kind.ts'
import { oldestPending } from '../outbox/backlog.ts'
import { type Circuit, openCircuits } from '../outbox/circuits.ts'
import { readLoss } from '../restored.ts'
import { deadLately, expectSweep, sinceSweep, sweptLately } from './measures.ts'

export interface AlertLimits {
  /** How long a delivery may have been due; 5 minutes unless said otherwise. */
  readonly pendingMs?: number | undefined
  /** How many steps the sweep may take in ten minutes although their timers should have fired; 10 unless said otherwise. */
  readonly swept?: number | undefined
  /** How long nobody may have swept; 2 minutes unless said otherwise. */
  readonly sweepMs?: number | undefined
}

/** What a process sees by itself, and PostgreSQL cannot tell. */
export type ObservedAlertName = 'redis-unavailable' | 'redis-evicts'

export type AlertName =
  | ('dead-deliveries' | `oldest-pending-${Channel}` | 'circuits-open' | 'swept-not-fired' | 'not-swept' | 'restored')
  | ObservedAlertName

interface Words {
  readonly title: string
  /** That it is over. */
  readonly calm: string
  /** What to do. */
  readonly advice: string
}

const pending = (channel: Channel, what: string, more = ''): Words => ({
  title: `${what} do not go out`,
  calm: `${what} go out again`,
  advice: `See that workers run and keep up: "lapse doctor". What has failed, and why: "lapse deliveries list --channel ${channel} --status failed".${more}`,
})

/** Every alert there is. */
export const alerts: Readonly<Record<AlertName, Words>> = {
  'dead-deliveries': {
    title: 'deliveries have given up',
    calm: 'no delivery has given up lately',
    advice:
      '"lapse deliveries list --status dead" says which and why. Mend it, then try them again: "lapse deliveries retry-dead".',
  },
  'oldest-pending-email': pending('email', 'mails', ' More mails than LAPSE_MAIL_RATE lets out wait their turn.'),
  'oldest-pending-webhook': pending('webhook', 'webhooks'),
  'oldest-pending-handler': pending('handler', 'calls of handlers'),
  'oldest-pending-call': pending('call', 'HTTP calls'),
  'circuits-open': {
    title: 'receivers are down',
    calm: 'no receiver has been down for long',
    advice:
      'Their side effects are held without using attempts, and one is tried at least once a minute. Webhook endpoints show it as "circuit"; what failed, and why: "lapse deliveries list --channel webhook --status failed". When a receiver works again, "lapse deliveries retry" of one of its deliveries is the next probe.',
  },
  'swept-not-fired': {
    title: 'timers do not fire',
    calm: 'timers fire again',
    advice:
      'Nothing is lost: the sweep does what they should have done, later. Redis may have lost data, or evict it: "lapse doctor" looks, and "lapse rearm" puts the timers back.',
  },
  'not-swept': {
    title: 'nobody sweeps',
    calm: 'it is swept again',
    advice: 'Start a worker, or see what keeps those that run from their work: "lapse doctor", and what they log.',
  },
  'redis-unavailable': {
    title: 'Redis accepts no writes',
    calm: 'Redis accepts writes again',
    advice:
      'Nothing is lost: meanwhile workers sweep every second, and deliver from PostgreSQL. Mend Redis: "lapse doctor" says what is wrong with it.',
  },
  'redis-evicts': {
    title: 'Redis may evict timers',
    calm: 'Redis evicts nothing',
    advice:
      'Nothing is lost: the sweep ends what has lost its timer, later. Set its maxmemory-policy to noeviction, or give Lapse a Redis of its own.',
  },
  restored: {
    title: 'PostgreSQL was restored from a backup',
    calm: 'what a backup did not have was seen to',
    advice:
      '"lapse restored" lists what is live again although it had ended, and "lapse restored --revoke" ends it. Then "lapse restored --done".',
  },
}

export const alertNames = Object.keys(alerts) as AlertName[]

/** What a process has seen. */
export interface Observation {
  readonly name: ObservedAlertName
  readonly value: number
  readonly detail: string
}

/** How it is with one of them right now. */
export interface Condition {
  readonly name: AlertName
  readonly isSo: boolean
  /** How bad it is, in its own measure: a number, or seconds. */
  readonly value: number
  /** The same in words. */
  readonly detail: string
  /** Told again after an hour: by then it is about others. */
  readonly repeats?: true
}

/** Looks at all of them. */
export const examine = async (db: Sql, limits: AlertLimits): Promise<Condition[]> => {
  const { pendingMs = 300_000, swept: mostSwept = 10, sweepMs = 120_000 } = limits
  await expectSweep(db)
  const dead = await deadLately(db)
  const waiting = await oldestPending(db)
  const circuits = await openCircuits(db, mostCircuits)
  const swept = await sweptLately(db)
  const unsweptMs = (await sinceSweep(db)) ?? 0
  const loss = await readLoss(db)
  return [
    {
      name: 'dead-deliveries',
      isSo: dead > 0,
      value: dead,
      detail: `${dead === 1 ? '1 delivery has' : `${dead} deliveries have`} given up within the last hour.`,
      repeats: true,
    },
    ...waiting.map(({ channel, ms }) => ({
      name: `oldest-pending-${channel}` as const,
      isSo: ms > pendingMs,
      value: Math.round(ms / 1_000),
      detail: `The oldest that is due has waited for ${lasting(ms)}; the limit is ${lasting(pendingMs)}.`,
    })),
    circuitsOpen(circuits, pendingMs),
    {
      name: 'swept-not-fired',
      isSo: swept > mostSwept,
      value: swept,
      detail: `In the last ten minutes the sweep has taken ${swept} steps whose timers should have fired; the limit is ${mostSwept}.`,
    },
    {
      name: 'not-swept',
      isSo: unsweptMs > sweepMs,
      value: Math.round(unsweptMs / 1_000),
      detail: `Nobody has swept for ${lasting(unsweptMs)}; the limit is ${lasting(sweepMs)}.`,
    },
    {
      name: 'restored',
      isSo: loss !== undefined,
      value: loss ? Math.round((loss.until.getTime() - loss.since.getTime()) / 1_000) : 0,
      detail: loss
        ? `What happened after ${loss.since.toISOString()} and up to ${loss.until.toISOString()} is lost.`
        : 'Nothing is lost.',
    },
    // A process that sees it well does not speak for the others: it is over when none has reported it for long enough.
    ...observed.map((name) => ({ name, isSo: false, value: 0, detail: 'No process reports it.' })),
  ]
}

const observed = ['redis-unavailable', 'redis-evicts'] as const satisfies ObservedAlertName[]

/** More than an operator reads, and few enough to count at each look. */
const mostCircuits = 100

const circuitsOpen = (circuits: readonly (Circuit & { readonly openMs: number })[], pendingMs: number): Condition => {
  const long = circuits.filter(({ openMs }) => openMs > pendingMs)
  const named = long.slice(0, 3).map(({ channel, lane, openMs }) => `${nameOf(channel, lane)} for ${lasting(openMs)}`)
  const more = long.length > 3 ? ` and ${long.length === mostCircuits ? 'many' : long.length - 3} more` : ''
  return {
    name: 'circuits-open',
    isSo: long.length > 0,
    value: long.length,
    detail: long.length > 0 ? `Down: ${named.join(', ')}${more}.` : 'No receiver has been down for long.',
    repeats: true,
  }
}

const nameOf = (channel: Channel, lane: string): string => {
  if (channel === 'email') return 'the mail server'
  return channel === 'webhook' ? `webhook endpoint ${lane}` : `host ${lane.slice(lane.indexOf(' ') + 1)}`
}

/** "90 seconds", "7 minutes", "3 hours". */
const lasting = (ms: number): string => {
  const [size, unit] = ms < 120_000 ? [1_000, 'second'] : ms < 7_200_000 ? [60_000, 'minute'] : [3_600_000, 'hour']
  const count = Math.round(ms / size)
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}
