import type { Sql } from '../database.ts'
import type { Channel } from '../kind.ts'
import { noticeKind } from '../registry.ts'
import { now, sql } from '../store/live.ts'
import type { LanePosition } from './claim-due.ts'
import { shareOf } from './lanes.ts'

/** So many at once: a statement of some ten milliseconds, so that no claim waits long for one. */
const batch = 1_000

/**
 * Marks deliveries ready whose time has come and whose lease, if there was one, is over. Answers how many: a full batch says
 * that there may be more.
 */
export const promoteWaiting = (db: Sql, channel: Channel): Promise<number> =>
  db.$executeRaw(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at), due AS MATERIALIZED (
    SELECT d.id FROM delivery d
    WHERE d.channel = ${channel}::lapse_channel AND NOT d.ready AND d.status IN ('pending', 'failed')
      AND greatest(d.next_attempt_at, d.leased_until) <= (SELECT at FROM clock)
    ORDER BY greatest(d.next_attempt_at, d.leased_until) LIMIT ${batch}::int
    FOR UPDATE SKIP LOCKED
  )
  UPDATE delivery d SET ready = true FROM due WHERE d.id = due.id`)

/** Other workers have so long to take what is of a kind that this one does not know. */
const foreignPatience = sql`interval '30 seconds'`

/**
 * Puts off deliveries at the head of a lane whose kind is not configured here, so that they do not hide the others behind
 * them. Those that have only just become due are left to the workers that know the kind.
 */
export const putOffForeign = (
  db: Sql,
  channel: Channel,
  { priority, share, lane }: LanePosition,
  kinds: readonly string[],
): Promise<number> =>
  db.$executeRaw(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at), head AS MATERIALIZED (
    SELECT d.id, d.kind FROM delivery d
    WHERE d.channel = ${channel}::lapse_channel AND d.ready AND d.status IN ('pending', 'failed')
      AND d.priority = ${priority}::smallint AND ${shareOf(sql`d`)} = ${share} AND d.lane = ${lane}
      AND d.next_attempt_at <= (SELECT at FROM clock) - ${foreignPatience}
    ORDER BY d.next_attempt_at LIMIT ${batch}::int FOR UPDATE SKIP LOCKED
  )
  UPDATE delivery d SET ready = false, next_attempt_at = k.at + 2 * ${foreignPatience}
  FROM head h CROSS JOIN clock k WHERE d.id = h.id AND h.kind <> ALL (${[...kinds, noticeKind]}::text[])`)
