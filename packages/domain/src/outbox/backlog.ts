import type { Sql } from '../database.ts'
import type { Channel } from '../kind.ts'
import { now, raw, sql } from '../store/live.ts'
import { breakerOf, shareOf } from './lanes.ts'

/** An alert does not report that alerts could not be sent, or there would be no end of it. */
const alertNotice = sql`d.event LIKE 'lapse.alert.%'`

/** So many lanes of each channel are looked at: tens of milliseconds. */
const mostLanes = 2_000

/**
 * How long the oldest delivery of each channel has been due that no worker has under way. What waits for its next try is not
 * due; what a circuit breaker holds is not late, but held, which an alert of its own says. Reads one row a lane.
 */
export const oldestPending = (db: Sql): Promise<{ channel: Channel; ms: number }[]> => {
  const share = shareOf(sql`d`)
  const isReady = sql`d.ready AND d.status IN ('pending', 'failed')`
  return db.$queryRaw(sql`
  WITH RECURSIVE clock AS MATERIALIZED (SELECT ${now} AS at),
  walk (channel, priority, share, lane, step) AS (
    SELECT c.channel, (-1)::smallint, '' COLLATE "C", '' COLLATE "C", 0
    FROM unnest(enum_range(NULL::lapse_channel)) AS c(channel)
    UNION ALL
    SELECT w.channel, n.priority, n.share, n.lane, w.step + 1
    FROM walk w CROSS JOIN LATERAL (
      SELECT d.priority, ${share} AS share, d.lane FROM delivery d
      WHERE d.channel = w.channel AND ${isReady} AND (d.priority, ${share}, d.lane) > (w.priority, w.share, w.lane)
      ORDER BY d.priority, ${share}, d.lane LIMIT 1) n
    WHERE w.step < ${raw(String(mostLanes))}
  ), ready AS (
    SELECT w.channel, min(p.at) AS at FROM walk w CROSS JOIN clock k CROSS JOIN LATERAL (
      SELECT d.next_attempt_at AS at FROM delivery d
      WHERE d.channel = w.channel AND ${isReady} AND d.priority = w.priority AND ${share} = w.share AND d.lane = w.lane
        AND NOT ${alertNotice}
      ORDER BY d.next_attempt_at LIMIT 1) p
    WHERE p.at <= k.at AND NOT EXISTS (SELECT FROM outbox_lane b WHERE b.channel = w.channel AND b.opened_at IS NOT NULL
      AND b.lane = ${breakerOf(sql`w.channel`, sql`w.share`, sql`w.lane`)})
    GROUP BY 1
  )
  SELECT c.channel, coalesce(extract(epoch FROM k.at - least(r.at, p.at)) * 1000, 0)::float8 AS ms
  FROM clock k CROSS JOIN unnest(enum_range(NULL::lapse_channel)) AS c(channel)
  LEFT JOIN ready r ON r.channel = c.channel
  -- Due, and no worker has looked since.
  LEFT JOIN LATERAL (
    SELECT greatest(d.next_attempt_at, d.leased_until) AS at FROM delivery d
    WHERE d.channel = c.channel AND NOT d.ready AND d.status IN ('pending', 'failed')
      AND greatest(d.next_attempt_at, d.leased_until) <= k.at AND NOT ${alertNotice}
    ORDER BY greatest(d.next_attempt_at, d.leased_until) LIMIT 1) p ON true`)
}
