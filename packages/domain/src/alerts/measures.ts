import type { Sql } from '../database.ts'
import type { Channel } from '../kind.ts'
import { now, sql } from '../store/live.ts'

/** An alert tells nobody that it could not be told, or there would be no end of it. */
const alertNotice = sql`d.event LIKE 'lapse.alert.%'`

/** How long the oldest of each channel has been due, of what nobody is at. What waits for its next try is not due. */
export const oldestPending = (db: Sql): Promise<{ channel: Channel; ms: number }[]> =>
  db.$queryRaw(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at)
  SELECT c.channel, coalesce(extract(epoch FROM k.at - p.at) * 1000, 0)::float8 AS ms
  FROM clock k CROSS JOIN unnest(enum_range(NULL::lapse_channel)) AS c(channel) LEFT JOIN LATERAL (
    SELECT d.next_attempt_at AS at FROM delivery d
    WHERE d.channel = c.channel AND d.status IN ('pending', 'failed') AND d.next_attempt_at <= k.at
      AND (d.leased_until IS NULL OR d.leased_until <= k.at) AND NOT ${alertNotice}
    ORDER BY d.next_attempt_at LIMIT 1) p ON true`)

/** How many have given up within the last hour and are dead still, as far as 10,000. Notices are not counted. */
export const deadLately = async (db: Sql): Promise<number> => {
  const [dead] = await db.$queryRaw<[{ count: number }]>(sql`
  SELECT count(*)::float8 AS count FROM (
    SELECT FROM delivery WHERE status = 'dead' AND settled_at > (SELECT ${now}) - interval '1 hour' AND resource_id IS NOT NULL
    ORDER BY settled_at DESC LIMIT 10000) counted`)
  return dead.count
}

/** How many steps the sweep has taken within the last ten minutes although their timers should have fired. */
export const sweptLately = async (db: Sql): Promise<number> => {
  const [swept] = await db.$queryRaw<[{ count: number }]>(sql`
  SELECT count(*)::float8 AS count FROM event
  WHERE trigger = 'sweep' AND lateness_ms > 1000 AND type <> 'purged' AND at > (SELECT ${now}) - interval '10 minutes'`)
  return swept.count
}

/** Milliseconds since somebody has swept; `undefined` when nobody ever has. */
export const sinceSweep = async (db: Sql): Promise<number | undefined> => {
  const [pulse] = await db.$queryRaw<{ ms: number }[]>(sql`
  SELECT (extract(epoch FROM ${now} - at) * 1000)::float8 AS ms FROM pulse WHERE name = 'sweep'`)
  return pulse?.ms
}

/** Writes down that everything has been swept. Of many who do so in one second it is one write. */
export const markSwept = async (db: Sql): Promise<void> => {
  await db.$executeRaw(sql`
  INSERT INTO pulse AS p (name, at) VALUES ('sweep', ${now})
  ON CONFLICT (name) DO UPDATE SET at = excluded.at WHERE p.at < excluded.at - interval '1 second'`)
}

/** The first who looks for the sweep begins to wait for it. */
export const expectSweep = async (db: Sql): Promise<void> => {
  await db.$executeRaw(sql`INSERT INTO pulse (name, at) VALUES ('sweep', ${now}) ON CONFLICT DO NOTHING`)
}
