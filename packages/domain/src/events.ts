import type { Sql } from './database.ts'
import type { Status } from './lifecycle.ts'
import { now, sql } from './store/live.ts'

/** The layer that caused a transition. */
export type Trigger = 'job' | 'lazy' | 'sweep' | 'manual' | 'cascade'

/** One row of the audit: who, which layer, when by the database's clock, before and after, why, how late. */
export interface Event {
  /** Grows with time; a number too large for JSON's, so text. */
  readonly id: string
  readonly resourceId: string
  readonly kind: string
  readonly type: string
  readonly version: number
  readonly at: Date
  readonly from: Status | null
  readonly to: Status | null
  readonly trigger: Trigger
  /** Milliseconds from the instant it should have happened; `null` where there was none. */
  readonly latenessMs: number | null
  readonly actor: string | null
  readonly reason: string | null
  /** `{ before, after }` and what else there is to know. */
  readonly data: Record<string, unknown> | null
}

export interface EventFilter {
  readonly resourceId?: string | undefined
  readonly kind?: string | undefined
  readonly type?: string | undefined
  readonly trigger?: Trigger | undefined
  readonly since?: Date | undefined
  readonly until?: Date | undefined
}

export { listEvents } from './store/event-list.ts'

/** A wake-up that found nothing to do although its row is still there. */
export interface IdleWakeUp {
  readonly id: string
  readonly type: 'timer-early' | 'timer-stale'
  readonly reason: string
}

/** Records such wake-ups, one a minute for each resource and type: whoever can write to Redis must not fill the audit. */
export const recordIdle = async (db: Sql, wakeUps: readonly IdleWakeUp[]): Promise<void> => {
  if (wakeUps.length === 0) return
  await db.$executeRaw(sql`
    INSERT INTO event (resource_id, kind, type, version, at, from_status, to_status, trigger, reason)
    SELECT DISTINCT ON (r.id, w.type) r.id, r.kind, w.type, r.version, ${now}, r.status, r.status, 'job', w.reason
    FROM unnest(${wakeUps.map((w) => w.id)}::uuid[], ${wakeUps.map((w) => w.type)}::text[],
      ${wakeUps.map((w) => w.reason)}::text[]) AS w(id, type, reason)
    JOIN resource r ON r.id = w.id
    WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.resource_id = r.id AND e.type = w.type
      AND e.at > ${now} - interval '1 minute')`)
}
