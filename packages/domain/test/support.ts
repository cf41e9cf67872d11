import { testDatabase, until } from '@lapse/testkit'
import pg from 'pg'
import { afterAll } from 'vitest'
import type { Sql } from '../src/database.ts'
import { type Channel, type ClaimRequest, createDomain, type Domain, type Kind } from '../src/index.ts'

/** A domain on a database of this file's own, and the owner's way in. Call it at the top of a test file. */
export const testDomain = async (kinds: readonly Kind[]) => {
  const { url, ownerUrl } = await testDatabase()
  const owner = new pg.Pool({ connectionString: ownerUrl, max: 4 })
  owner.on('error', () => {})
  const domains: Domain[] = []
  /** What verbs have failed at beside their answer. */
  const errors: unknown[] = []
  /** Another process, which may know other kinds and keys. */
  const another = (kinds: readonly Kind[], secrets = ['a key for the tests of the domain alone']): Domain => {
    const domain = createDomain({
      ...{ url, kinds, secrets },
      // On a busy machine 40 that wait for each other may take longer than a verb waits elsewhere.
      lockTimeoutMs: 14_000,
      report: (error) => errors.push(error),
    })
    domains.push(domain)
    return domain
  }
  afterAll(async () => {
    await Promise.all(domains.map((domain) => domain.close()))
    await owner.end()
  })
  const sql = async <Row extends object = Record<string, unknown>>(text: string, values: unknown[] = []) =>
    (await owner.query<Row>(text, values)).rows
  const domain = another(kinds)
  return {
    url,
    ownerUrl,
    sql,
    errors,
    another,
    domain,
    /** Moves resources so far into the past, as if they had been issued that much earlier. */
    age: async (ids: string | readonly string[], ms: number): Promise<void> => {
      await sql(
        `UPDATE resource SET issued_at = issued_at - s, expires_at = expires_at - s, ends_at = ends_at - s,
          ended_at = ended_at - s, due_at = due_at - s, starts_at = starts_at - s, latest_at = latest_at - s,
          last_used_at = last_used_at - s FROM (SELECT $2::float8 * interval '1 millisecond' AS s) AS shift
        WHERE id = ANY ($1)`,
        [[ids].flat(), ms],
      )
    },
    /** How PostgreSQL did what `run` asks it for. */
    planOf: async (run: (db: Sql) => Promise<unknown>): Promise<string> => {
      const plan: string[] = []
      const explaining = {
        $queryRaw: async ({ text, values }: { text: string; values: unknown[] }) => {
          const rows = await sql<{ 'QUERY PLAN': string }>(`EXPLAIN (ANALYZE, TIMING OFF) ${text}`, values)
          plan.push(...rows.map((row) => row['QUERY PLAN']))
          return []
        },
      }
      await run(explaining as unknown as Sql)
      return plan.join('\n')
    },
    /** Holds a row's lock while `work` runs in the same transaction, then commits. */
    holding: async (
      id: string,
      work: (holder: pg.Client) => Promise<void>,
      table: 'resource' | 'delivery' | 'directory_organization' | 'directory_user' = 'resource',
    ): Promise<void> => {
      const holder = new pg.Client({ connectionString: ownerUrl })
      await holder.connect()
      try {
        await holder.query('BEGIN')
        await holder.query(`SELECT FROM ${table} WHERE id = $1 FOR UPDATE`, [id])
        await work(holder)
        await holder.query('COMMIT')
      } finally {
        await holder.end()
      }
    },
    /** How many transactions have changed resources and not committed yet. */
    changing: async (): Promise<number> => {
      const rows = await sql(`SELECT DISTINCT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE d.datname = current_database() AND relation = 'resource'::regclass AND mode = 'RowExclusiveLock' AND granted`)
      return rows.length
    },
    /** Resolves when so many statements wait for somebody's lock. */
    lockWaiters: async (statements: number): Promise<void> => {
      const waiting = async () => {
        const rows = await sql(`SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
          WHERE datname = current_database() AND NOT granted`)
        return rows.length >= statements
      }
      await until(waiting, { what: `${statements} statements waiting for a lock` })
    },
    /** The deliveries of a channel that a worker may claim now. */
    readyIn: async (channel: Channel): Promise<{ id: string; round: number }[]> => {
      await domain.deliveries.promote(channel)
      return sql(
        `SELECT id, round FROM delivery WHERE channel::text = $1 AND ready AND status IN ('pending', 'failed')
          AND next_attempt_at <= clock_timestamp() AND (leased_until IS NULL OR leased_until <= clock_timestamp())`,
        [channel],
      )
    },
    /** Types of what happened to it, the oldest first. */
    history: async (id: string): Promise<string[]> => {
      const rows = await sql<{ type: string }>('SELECT type FROM event WHERE resource_id = $1 ORDER BY id', [id])
      return rows.map((row) => row.type)
    },
  }
}

export const second = 1_000
export const minute = 60 * second
export const hour = 60 * minute
export const day = 24 * hour

/** A claim of all that is due in a channel, with room for everything. */
export const everythingIn = (channel: Channel): ClaimRequest => ({
  channel,
  limit: 1_000,
  general: 1_000,
  rooms: { lanes: {}, shares: {}, hosts: {}, each: { lane: 1_000, share: 1_000, host: 1_000 }, spare: 0 },
  cursor: { classes: {}, shares: {} },
  leaseMs: minute,
})

/** How many there are of each. */
export const tally = (values: Iterable<string>): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1
  return counts
}

/** What one side waits for until the other gives it. */
export const signal = () => {
  let give = (): void => {}
  const given = new Promise<void>((resolve) => {
    give = resolve
  })
  return { give, given }
}
