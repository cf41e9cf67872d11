import pg from 'pg'
import { afterAll, describe, expect, it } from 'vitest'
import { type Answer, testApi } from './api.ts'

const api = await testApi()
const holder = new pg.Client({ connectionString: api.ownerUrl })
await holder.connect()
afterAll(() => holder.end())

/** Holds the rows' locks while `act` runs. */
const holding = async (statement: string, values: unknown[], act: () => Promise<void>): Promise<void> => {
  await holder.query('BEGIN')
  try {
    await holder.query(statement, values)
    await act()
  } finally {
    await holder.query('ROLLBACK')
  }
}

/** With how long it took. */
const timed = async (answer: Promise<Answer>): Promise<Answer & { ms: number }> => {
  const begun = performance.now()
  return { ...(await answer), ms: performance.now() - begun }
}

const thirty = (ask: (i: number) => Promise<Answer>) => Array.from({ length: 30 }, (_, i) => timed(ask(i)))

/** Statements of the API that wait for a lock. */
const lockWaits = async (): Promise<number> => {
  const [row] = await api.sql(`SELECT count(DISTINCT pid)::int AS n FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE datname = current_database() AND NOT granted`)
  return row.n
}

const ticket = async (more: object = {}) =>
  (await api.call('POST', '/v1/resources', { kind: 'ticket', expires_in: 3_600, ...more })).body

/** What nobody waits for goes on: checks, verification of tokens, sign-in, readiness. */
const everythingElse = async (): Promise<number[]> => {
  const other = await ticket()
  const { body } = await api.call('POST', '/v1/api-tokens', { name: 'other', scopes: ['resources:read'] })
  const answers = await Promise.all([
    api.call('POST', `/v1/resources/${other.id}/check`),
    api.call('GET', `/v1/resources/${other.id}`, undefined, { authorization: `Bearer ${body.token}` }),
    api.call('POST', '/v1/api-tokens/verify', { token: body.token }),
    api.call('POST', '/v1/sign-in', { email: 'ada@example.com' }),
    api.call('GET', '/readyz'),
  ])
  return answers.map(({ status }) => status)
}

const expectRefused = (answers: readonly (Answer & { ms: number })[]) => {
  for (const { status, headers, ms } of answers) {
    expect([status, headers.get('retry-after')]).toEqual([503, expect.stringMatching(/^[1-9]$/)])
    expect(ms).toBeLessThan(4_000)
  }
}

describe('K5: 30 verbs wait for one locked row', () => {
  it('each is answered within 4 s, everything else goes on meanwhile, and nothing happens after it was refused', async () => {
    const { id } = await ticket()
    const consume = (i: number) =>
      api.call('POST', `/v1/resources/${id}/consume`, undefined, i % 2 ? { 'idempotency-key': `key-${i}` } : {})
    await holding('SELECT FROM resource WHERE id = $1 FOR UPDATE', [id], async () => {
      const waiting = thirty(consume)
      expect(await everythingElse()).toEqual([200, 200, 200, 202, 200])
      expectRefused(await Promise.all(waiting))
      expect(await lockWaits()).toBe(0)
    })
    const [row] = await api.sql('SELECT uses FROM resource WHERE id = $1', [id])
    expect(row.uses).toBe(0)
    expect((await consume(1)).status).toBe(200)
  })

  it.each([
    [
      'an organization in which they issue',
      'directory_organization',
      (organization: string) => () =>
        api.call('POST', '/v1/resources', { kind: 'ticket', expires_in: 60, organization }),
    ],
    [
      'an organization that they suspend',
      'directory_organization',
      (organization: string) => () => api.call('POST', `/v1/organizations/${organization}/suspend`),
    ],
    [
      'an organization whose grants they write',
      'directory_organization',
      (organization: string) => (i: number) =>
        api.call('POST', '/v1/access-grants', {
          resource: `d:${i}`,
          relation: 'viewer',
          subject: 'user:1',
          organization,
        }),
    ],
  ])('the same for %s', async (_, table, verb) => {
    const { id } = (await api.call('POST', '/v1/organizations', { name: 'Acme' })).body
    await holding(`SELECT FROM ${table} WHERE id = $1 FOR UPDATE`, [id], async () => {
      const waiting = thirty(verb(id))
      expect(await everythingElse()).toEqual([200, 200, 200, 202, 200])
      const answers = await Promise.all(waiting)
      for (const { status } of answers) expect([429, 503]).toContain(status)
      for (const { ms } of answers) expect(ms).toBeLessThan(7_000)
      expect(await lockWaits()).toBe(0)
    })
  })

  it('at most three of a process wait with a connection; the others are refused with the first of them, without one', async () => {
    const { id } = await ticket()
    await holding('SELECT FROM resource WHERE id = $1 FOR UPDATE', [id], async () => {
      let refused = 0
      const waiting = thirty(() => api.call('POST', `/v1/resources/${id}/consume`).finally(() => refused++))
      let most = 0
      while (refused < 30) most = Math.max(most, await lockWaits())
      expect(most).toBe(3)
      const codes = (await Promise.all(waiting)).map(({ body }) => body.code)
      expect(codes.filter((code) => code === 'busy').length).toBeGreaterThan(20)
    })
  })
})
