import type { Sql } from '../database.ts'
import type { Channel } from '../kind.ts'
import { type Fragment, now, sql } from '../store/live.ts'
import { breakerOf } from './lanes.ts'

/** The circuit breaker of a lane that fails. `open`: its deliveries are held, and one is tried at `nextProbeAt`. */
export interface Circuit {
  readonly channel: Channel
  /** An endpoint's id; a call's organization and host; empty for the mail server. */
  readonly lane: string
  readonly state: 'closed' | 'open'
  /** Consecutive attempts that found it down. */
  readonly failures: number
  readonly openedAt: Date | null
  readonly nextProbeAt: Date | null
}

const fields = sql`b.channel, b.lane, CASE WHEN b.opened_at IS NULL THEN 'closed' ELSE 'open' END AS state, b.failures,
  b.opened_at AS "openedAt", b.next_probe_at AS "nextProbeAt"`

/** Those of these lanes that are known to fail. */
export const circuitsOf = (db: Sql, channel: Channel, lanes: readonly string[]): Promise<Circuit[]> =>
  db.$queryRaw(sql`SELECT ${fields} FROM outbox_lane b
    WHERE b.channel = ${channel}::lapse_channel AND b.lane = ANY (${lanes}::text[]) AND b.failures > 0`)

/** The circuit breakers that are open, the oldest first, and for how long each has been. */
export const openCircuits = (db: Sql, limit: number): Promise<(Circuit & { readonly openMs: number })[]> =>
  db.$queryRaw(
    sql`SELECT ${fields}, (extract(epoch FROM ${now} - b.opened_at) * 1000)::float8 AS "openMs" FROM outbox_lane b WHERE b.opened_at IS NOT NULL ORDER BY b.opened_at LIMIT ${limit}::int`,
  )

export const countOpenCircuits = (db: Sql): Promise<{ channel: Channel; count: number }[]> =>
  db.$queryRaw(sql`SELECT c.channel, count(b.lane)::float8 AS count
    FROM unnest(enum_range(NULL::lapse_channel)) AS c(channel)
    LEFT JOIN outbox_lane b ON b.channel = c.channel AND b.opened_at IS NOT NULL GROUP BY 1`)

/** The next probe of these may be made at once: a person asks for it, or the last was used up without an attempt. */
export const probeNow = async (db: Sql, channel: Channel, lanes: readonly string[]): Promise<void> => {
  await db.$executeRaw(sql`
    UPDATE outbox_lane SET next_probe_at = ${now}, next_at = NULL
    WHERE channel = ${channel}::lapse_channel AND lane = ANY (${lanes}::text[]) AND opened_at IS NOT NULL`)
}

/** Of a lane that has changed, nothing is known any more. */
export const forgetLane = async (db: Sql, channel: Channel, lane: string): Promise<void> => {
  await db.$executeRaw(sql`DELETE FROM outbox_lane WHERE channel = ${channel}::lapse_channel AND lane = ${lane}`)
}

/** As `probeNow`, for the lanes of the deliveries of the CTE `retried` (channel, share, lane). */
export const probed = (retried: Fragment): Fragment => sql`
  UPDATE outbox_lane b SET next_probe_at = ${now} FROM ${retried} s
  WHERE b.channel = s.channel AND b.lane = ${breakerOf(sql`s.channel`, sql`s.share`, sql`s.lane`)} AND b.opened_at IS NOT NULL`

/** Forgets up to `limit` lanes that nothing has changed for a week. */
export const purgeLanes = (db: Sql, limit: number): Promise<number> =>
  db.$executeRaw(sql`
  WITH old AS MATERIALIZED (
    SELECT channel, lane FROM outbox_lane WHERE changed_at < (SELECT ${now}) - interval '7 days'
    ORDER BY changed_at LIMIT ${limit}::int FOR UPDATE SKIP LOCKED
  )
  DELETE FROM outbox_lane b USING old WHERE b.channel = old.channel AND b.lane = old.lane`)
