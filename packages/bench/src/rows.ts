import type { Ground } from './ground.ts'
import { plain } from './lapse.config.ts'

/** Writes `count` rows that end at this instant, without a timer. */
export const fillRows = async ({ pool, owner }: Ground, count: number, expiresAt: Date): Promise<void> => {
  await pool.query(
    `INSERT INTO resource (id, kind, issued_at, changed_at, expires_at, ends_at, reminders, due_at, next_step)
     SELECT gen_random_uuid(), $1, at, at, at + life, at + life, '{}', at + life, 'expire'
     FROM generate_series(1, $2::int), (SELECT $3::timestamptz - interval '1 hour' AS at, interval '1 hour' AS life) AS t`,
    [plain.name, count, expiresAt.toISOString()],
  )
  await owner.query('VACUUM (ANALYZE) resource')
}

/** Writes `count` access grants, each of another document, that hold for an hour. */
export const fillGrants = async ({ pool, owner }: Ground, count: number): Promise<void> => {
  await pool.query(
    `INSERT INTO resource (id, kind, reference, scope, subject, payload, issued_at, changed_at, expires_at, ends_at,
       reminders, due_at, next_step)
     SELECT gen_random_uuid(), 'access-grant', format('document:%s#viewer@user:%s', i, i % 1000), 'document:' || i,
       'user:' || i % 1000, '{"relation": "viewer"}', at, at, at + life, at + life, '{}', at + life, 'expire'
     FROM generate_series(0, $1::int - 1) AS i, (SELECT date_trunc('milliseconds', clock_timestamp()) AS at, interval '1 hour' AS life) AS t`,
    [count],
  )
  await owner.query('VACUUM (ANALYZE) resource')
}

/** The triple of one of them; or one that nobody was granted. */
export const grantOf = (i: number, nobodys = false) => ({
  resource: `document:${i}`,
  relation: nobodys ? 'editor' : 'viewer',
  subject: `user:${i % 1_000}`,
})

/** What autovacuum would have done long ago if the rows were not minutes old. */
export const analyze = ({ owner }: Ground) => owner.query('ANALYZE resource, event')

/** Says everything that was lost, early or doubled, when `count` resources should have ended by themselves. */
export const verifyEnded = async ({ pool }: Ground, what: string, count: number): Promise<string[]> => {
  const { rows } = await pool.query<Record<string, string>>(`
    SELECT (SELECT count(*) FROM resource WHERE status = 'expired') AS ended,
      (SELECT count(*) FROM event WHERE type IN ('expired', 'revoked', 'consumed')) AS events,
      (SELECT count(*) FROM resource r WHERE status = 'expired'
        AND (SELECT count(*) FROM event e WHERE e.resource_id = r.id AND e.type = 'expired') <> 1) AS unpaired,
      (SELECT count(*) FROM event e JOIN resource r ON r.id = e.resource_id
        WHERE e.type = 'expired' AND e.at < r.ends_at) AS early`)
  const found = Object.fromEntries(Object.entries(rows[0] ?? {}).map(([name, n]) => [name, Number(n)]))
  const problems = [
    found.ended !== count && `${found.ended} of ${count} resources have ended`,
    found.events !== count && `${found.events} terminal events for ${count} resources`,
    found.unpaired !== 0 && `${found.unpaired} resources ended with no event, or with several`,
    found.early !== 0 && `${found.early} ended early`,
  ]
  return problems.filter((problem) => problem !== false).map((problem) => `${what}: ${problem}`)
}
