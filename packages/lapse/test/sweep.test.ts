import { testDatabase, testRedis } from '@lapse/testkit'
import pg from 'pg'
import { afterAll, expect, it } from 'vitest'
import { z } from 'zod'
import { createLapse, defineKind } from '../src/index.ts'

const pass = defineKind({ name: 'pass', payload: z.strictObject({}), lifetime: { max: '9d' }, reminders: [] })

const [database, redis] = [await testDatabase(), testRedis()]
const owner = new pg.Client({ connectionString: database.ownerUrl })
await owner.connect()
const lapse = createLapse({ databaseUrl: database.url, redisUrl: redis.url, prefix: redis.prefix, kinds: [pass] })
afterAll(async () => {
  await lapse.close()
  await owner.end()
})

it('a sweep goes on until nothing is due, however many batches that takes, and says how many it moved', async () => {
  for (let i = 0; i < 3; i++)
    await lapse.issueAll(Array.from({ length: 700 }, () => ({ kind: 'pass' as const, expiresIn: '1d' as const })))
  // Their timers stand for tomorrow: nothing but the sweep looks.
  await owner.query(`UPDATE resource SET issued_at = issued_at - s, expires_at = expires_at - s, ends_at = ends_at - s,
    due_at = due_at - s FROM (SELECT interval '2 days' AS s) AS shift`)
  const engine = lapse.engine({ onError: () => {} })
  expect(await engine.sweep()).toBe(2_100)
  expect(await lapse.overdue()).toEqual([])
  expect(await engine.sweep()).toBe(0)
})
