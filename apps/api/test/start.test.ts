import { startProcess, testDatabase, testRedis, until } from '@lapse/testkit'
import pg from 'pg'
import { expect, it } from 'vitest'
import { token } from './api.ts'

/** An API whose look at PostgreSQL is held up until `release`. */
const heldUp = async () => {
  const [redis, database] = [testRedis(), await testDatabase()]
  const owner = new pg.Client({ connectionString: database.ownerUrl })
  owner.on('error', () => {})
  await owner.connect()
  await owner.query('BEGIN')
  await owner.query('LOCK TABLE _prisma_migrations IN ACCESS EXCLUSIVE MODE')
  const api = await startProcess({
    entry: 'api',
    env: {
      ...{ DATABASE_URL: database.url, REDIS_URL: redis.url, LAPSE_PREFIX: redis.prefix, LAPSE_ROOT_TOKEN: token },
      LAPSE_CONFIG: 'apps/api/test/kinds.config.ts',
    },
    until: 'alive',
  })
  const ask = async (path: string) => {
    const answer = await fetch(`${api.url}${path}`, { headers: { authorization: `Bearer ${token}` } })
    return [answer.status, await answer.text()] as const
  }
  return { api, ask, release: () => owner.end() }
}

it('an API answers for its state before PostgreSQL has been looked at, refuses the rest, and stops at once', async () => {
  const { api, ask, release } = await heldUp()
  const [ready, verb, metrics] = await Promise.all(['/readyz', '/v1/resources', '/metrics'].map(ask))
  expect(ready).toEqual([503, expect.stringContaining('Lapse is starting: PostgreSQL and Redis are being looked at')])
  expect(verb?.[0]).toBe(503)
  expect(metrics).toEqual([200, expect.stringContaining('process_cpu_seconds_total')])
  const { code, ms } = await api.stop()
  expect([code, ms < 10_000]).toEqual([0, true])
  expect(api.output()).not.toContain('is ready')
  await release()
}, 120_000)

it('an API answers everything as soon as PostgreSQL has been looked at', async () => {
  const { api, ask, release } = await heldUp()
  await release()
  await until(async () => (await ask('/readyz'))[0] === 200, { timeout: 40_000, what: 'it to be ready' })
  expect((await ask('/v1/resources'))[0]).toBe(200)
  expect((await api.stop()).code).toBe(0)
}, 120_000)
