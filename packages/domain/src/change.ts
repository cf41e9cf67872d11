import type { EventType, Kind, Resource } from './kind.ts'
import { type Timer, timersOf } from './lifecycle.ts'
import type { Registry } from './registry.ts'
import { resourceOf } from './seen.ts'
import type { ResourceRow } from './store/live.ts'
import type { Owed } from './store/record.ts'

/** Whether its timers stand in Redis already. They will, either way: the look-ahead brings what is pending. */
export type TimerState = 'armed' | 'pending'

/** What the queue is told after the commit. */
export interface Told {
  /** To be armed. */
  readonly timers: readonly Timer[]
  /** To be taken back: timers that have become pointless. */
  readonly stale: readonly Timer[]
  readonly owed: readonly Owed[]
}

/** With what it is about. */
export interface Change extends Told {
  readonly resource: Resource
  /** Whether it did anything, or found that it had ended before. */
  readonly moved: boolean
}

/** What follows from a row that a verb has just changed. */
export const changeOf = (row: ResourceRow & { type: EventType; owed: Owed[] | null }, registry: Registry): Change => {
  const version = row.type === 'renewed' ? row.version - 1 : row.version
  const timersStay = row.type === 'used' || row.type === 'suspended' || row.type === 'restored'
  return {
    resource: resourceOf(row, registry),
    timers: timersStay ? [] : timersOfRow(row),
    stale: timersStay || row.type === 'issued' ? [] : timersToStop(registry.find(row.kind), row, version),
    owed: row.owed ?? [],
    moved: true,
  }
}

/** What follows from one that had ended before: its timers go, in case they are still there. */
export const unchanged = (row: ResourceRow, registry: Registry): Change => ({
  resource: resourceOf(row, registry),
  timers: [],
  stale: timersToStop(registry.find(row.kind), row, row.version),
  owed: [],
  moved: false,
})

/** The timers that a row should have. */
export const timersOfRow = (row: ResourceRow): Timer[] => timersOf(lifeOf(row), row.at.getTime())

const lifeOf = (row: ResourceRow) => ({
  ...row,
  issuedAt: row.issuedAt.getTime(),
  startsAt: row.startsAt?.getTime() ?? null,
  latestAt: null,
  expiresAt: row.expiresAt.getTime(),
  endsAt: row.endsAt.getTime(),
  endedAt: row.endedAt?.getTime() ?? null,
  suspendedAt: row.suspendedAt?.getTime() ?? null,
  dueAt: row.dueAt?.getTime() ?? null,
})

/** Every timer a version may have. Which of them are still there does not matter: removing what is not is harmless. */
const timersToStop = (kind: Kind | undefined, row: ResourceRow, version: number): Timer[] => {
  const base = { id: row.id, kind: row.kind, version, dueAt: 0 }
  const offsets = new Set([...row.reminders, ...(kind?.terms.reminders ?? [])])
  return [
    ...[...offsets].map((offset): Timer => ({ ...base, step: 'remind', offset })),
    { ...base, step: 'expire' },
    { ...base, step: 'end-grace' },
  ]
}
