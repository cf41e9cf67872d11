import { randomUUID } from 'node:crypto'
import pg from 'pg'
import type { Place } from './peer.ts'

/** As many connections as Lapse has. */
export const connect = ({ databaseUrl }: Pick<Place, 'databaseUrl'>, max = 10, options = '-c timezone=UTC'): pg.Pool =>
  new pg.Pool({ connectionString: databaseUrl, max, options }).on('error', () => {})

/** Ids in the order of their making, as Lapse has them: an index likes them better than random ones. */
export const newId = (): string => {
  const ms = Date.now().toString(16).padStart(12, '0')
  return `${ms.slice(0, 8)}-${ms.slice(8)}-7${randomUUID().slice(15)}`
}

const inserted = `
  WITH inserted AS (
    INSERT INTO resource (id, kind, issued_at, changed_at, expires_at, ends_at, reminders, due_at, next_step)
    SELECT id, 'bench-plain', date_trunc('milliseconds', now()), date_trunc('milliseconds', now()), at, at, '{}', at, 'expire'
    FROM (SELECT id, to_timestamp(ms / 1000) AS at FROM unnest($1::uuid[], $2::float8[]) AS t (id, ms)) AS t
    RETURNING id, kind, version, issued_at, expires_at
  )`

const told = `
  INSERT INTO event (resource_id, kind, type, version, at, to_status, trigger, data)
  SELECT id, kind, 'issued', version, issued_at, 'active', 'manual',
    jsonb_build_object('after', jsonb_build_object('expires_at', expires_at)) FROM inserted`

const ended = (which: string) => `
  WITH moved AS (
    UPDATE resource SET status = 'expired', ended_at = ends_at, next_step = 'purge', changed_at = date_trunc('milliseconds', clock_timestamp()),
      due_at = clock_timestamp() + interval '30 days'
    WHERE ${which} AND status = 'active' AND ends_at <= clock_timestamp()
    RETURNING id, kind, version, ends_at
  )
  INSERT INTO event (resource_id, kind, type, version, at, from_status, to_status, trigger, lateness_ms)
  SELECT id, kind, 'expired', version, date_trunc('milliseconds', clock_timestamp()), 'active', 'expired', 'job',
    (extract(epoch FROM clock_timestamp() - ends_at) * 1000)::bigint FROM moved`

/** Writes the rows and their events, in one statement, which may select something more from `$1` ids and `$2` instants. */
export const issueRows = (ids: readonly string[], at: readonly Date[], select = '') => ({
  name: 'issued',
  text: select ? `${inserted}, told AS (${told}) ${select}` : `${inserted} ${told}`,
  values: [ids, at.map((date) => date.getTime())],
})

/** Ends one and says so, in one statement, which is a transaction: the least that a handler can do. */
export const endRow = (id: string) => ({ name: 'ended', text: ended('id = $1'), values: [id] })

export const endRows = (ids: readonly string[]) => ({
  name: 'ended-some',
  text: ended('id = ANY ($1::uuid[])'),
  values: [ids],
})

/** All that is due, by the index that Lapse's own sweep uses: a clock that moves on while it is read could not use it. */
export const endDue = { name: 'ended-due', text: ended(`due_at <= now() AND next_step <> 'purge'`) }

/** Runs `act` in a transaction. */
export const inTransaction = async <T>(pool: pg.Pool, act: (client: pg.PoolClient) => Promise<T>): Promise<T> => {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const result = await act(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  } finally {
    client.release()
  }
}
