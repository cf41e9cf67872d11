import type { Sql } from '../database.ts'
import { now, sql } from '../store/live.ts'

/** How many have given up within the last hour and are dead still, as far as 10,000. Notices are not counted. */
export const deadLately = async (db: Sql): Promise<number> => {
  const [dead] = await db.$queryRaw<[{ count: number }]>(sql`
  SELECT count(*)::float8 AS count FROM (
    SELECT FROM delivery WHERE status = 'dead' AND settled_at > (SELECT ${now}) - interval '1 hour' AND resource_id IS NOT NULL
    ORDER BY settled_at DESC LIMIT 10000) counted`)
  return dead.count
}

/**
 * How many steps the sweep has taken within the last ten minutes although their timers should have fired. What a hook had
 * refused before, which its event says, is late because of that.
 */
export const sweptLately = async (db: Sql): Promise<number> => {
  const [swept] = await db.$queryRaw<[{ count: number }]>(sql`
  SELECT count(*)::float8 AS count FROM event
  WHERE trigger = 'sweep' AND lateness_ms > 1000 AND type <> 'purged' AND data -> 'failures' IS NULL
    AND at > (SELECT ${now}) - interval '10 minutes'`)
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
