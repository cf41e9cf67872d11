import { request } from 'node:http'
import { until } from '@lapse/testkit'
import pg from 'pg'
import { afterAll, describe, expect, it } from 'vitest'
import { type Answer, breakableWay, testApi, token } from './api.ts'

const api = await testApi()
const holder = new pg.Client({ connectionString: api.ownerUrl })
await holder.connect()
afterAll(() => holder.end())

const ticket = async () => (await api.call('POST', '/v1/resources', { kind: 'ticket', expires_in: 3_600 })).body

/** See `lockTimeoutMs` of the domain. */
const lockTimeoutMs = 1_500

/** Holds a resource's lock while `act` runs. */
const holding = async (id: string, act: () => Promise<void>): Promise<void> => {
  await holder.query('BEGIN')
  try {
    await holder.query('SELECT FROM resource WHERE id = $1 FOR UPDATE', [id])
    await act()
  } finally {
    await holder.query('ROLLBACK')
  }
}

/** Backends of the application's role that are in a statement or a transaction. */
const working = async (): Promise<number> => {
  const [row] = await api.sql(`SELECT count(DISTINCT pid)::int AS n FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE datname = current_database() AND NOT granted`)
  return row.n
}

/** A request that can be broken off. */
const begun = (path: string, headers: Record<string, string> = {}) => {
  const outgoing = request(`${api.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, ...headers },
  })
  outgoing.on('error', () => {})
  outgoing.end()
  return { abort: () => outgoing.destroy() }
}

const usesOf = async (id: string): Promise<number> =>
  (await api.sql('SELECT uses FROM resource WHERE id = $1', [id]))[0].uses

describe('a request whose client goes away', () => {
  it('has its statement cancelled: it is gone from PostgreSQL before the lock is free, and nothing happens', async () => {
    const { id } = await ticket()
    await holding(id, async () => {
      const { abort } = begun(`/v1/resources/${id}/consume`)
      await until(async () => (await working()) === 1, { what: 'the wait for the lock' })
      const seen = performance.now()
      abort()
      await until(async () => (await working()) === 0, { what: 'the end of the wait' })
      // By the cancellation, and not by the time that a lock is waited for.
      expect(performance.now() - seen).toBeLessThan(lockTimeoutMs)
    })
    expect(await usesOf(id)).toBe(0)
    expect((await api.call('POST', `/v1/resources/${id}/consume`)).status).toBe(200)
  })

  it('with an Idempotency-Key goes on, and its answer is there for whoever asks again', async () => {
    const { id } = await ticket()
    const key = { 'idempotency-key': 'asked-again' }
    await holding(id, async () => {
      const { abort } = begun(`/v1/resources/${id}/consume`, key)
      await until(async () => (await working()) === 1, { what: 'the wait for the lock' })
      abort()
    })
    await until(async () => (await usesOf(id)) === 1, { what: 'the use' })
    const again = await api.call('POST', `/v1/resources/${id}/consume`, undefined, key)
    expect([again.status, again.headers.get('idempotent-replayed'), await usesOf(id)]).toEqual([200, 'true', 1])
  })
})

describe('a request that takes too long', () => {
  it('is answered with 503 and has its statement cancelled: what was refused does not happen later', async () => {
    // A trigger that takes its time stands for a statement that does.
    await api.sql(`CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN IF NEW.subject = 'slow' THEN PERFORM pg_sleep(12); END IF; RETURN NEW; END $$;
      CREATE TRIGGER dawdle BEFORE INSERT ON resource FOR EACH ROW EXECUTE FUNCTION dawdle()`)
    const issue = (subject: string) => api.call('POST', '/v1/resources', { kind: 'ticket', expires_in: 60, subject })
    const [slow, alongside] = (await Promise.all([issue('slow'), issue('quick')])) as [Answer, Answer]
    expect([slow.status, slow.headers.get('retry-after')]).toEqual([503, '2'])
    // It shared the statement of the slow one, or went alone.
    expect([201, 503]).toContain(alongside.status)
    const sleeping = await api.sql(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`,
    )
    expect(sleeping).toEqual([])
    const found = await api.sql(`SELECT subject FROM resource WHERE subject IN ('slow', 'quick')`)
    expect(found).toEqual(alongside.status === 201 ? [{ subject: 'quick' }] : [])
    await api.sql('DROP TRIGGER dawdle ON resource')
  })

  it('is answered although PostgreSQL cannot even be asked to cancel', async () => {
    const way = breakableWay()
    const cut = await testApi({ databaseUrl: way.to })
    const { id } = (await cut.call('POST', '/v1/resources', { kind: 'ticket', expires_in: 60 })).body
    way.freeze()
    const begun = performance.now()
    const { status } = await cut.call('POST', `/v1/resources/${id}/consume`)
    expect([status, performance.now() - begun < 9_000]).toEqual([503, true])
    way.open()
    way.cut()
  })
})
