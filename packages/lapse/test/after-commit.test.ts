import { randomUUID } from 'node:crypto'
import { openQueues, Timers } from '@lapse/queue'
import { acceptWrites, privateRedis, refuseWrites, until } from '@lapse/testkit'
import { afterAll, expect, it } from 'vitest'
import { AfterCommit } from '../src/after-commit.ts'

const open = async () => {
  const redis = await privateRedis()
  const queues = openQueues({ redisUrl: redis.url })
  afterAll(() => queues.close())
  await until(() => queues.redis.status === 'ready', { what: 'the connection to Redis' })
  const errors: string[] = []
  const after = new AfterCommit(queues, new Timers(queues), (error) => errors.push((error as Error).message))
  const commit = (count: number) =>
    after.changes([
      {
        ...{ stale: [], owed: [] },
        timers: Array.from({ length: count }, () => ({
          ...{ id: randomUUID(), kind: 'pass', version: 1, step: 'expire' as const, dueAt: Date.now() + 3_600_000 },
        })),
      },
    ])
  return { redis, queues, errors, after, commit }
}

it('nothing is sent to a Redis that refuses writes, and all is again when it accepts them', async () => {
  const { redis, queues, errors, commit } = await open()
  expect(await commit(1)).toBe(true)
  await refuseWrites(redis.url, 'NOREPLICAS')
  expect(await commit(1)).toBe(false)
  // Known from the first that was refused.
  for (let i = 0; i < 20; i++) expect(await commit(1)).toBe(false)
  expect(errors).toEqual([expect.stringMatching(/^NOREPLICAS /)])
  await acceptWrites(redis.url, 'NOREPLICAS')
  await until(() => commit(1), { what: 'a timer that is armed' })
  expect(await queues.timers.getDelayedCount()).toBe(2)
})

it('what is on its way to a Redis that hangs is bounded, and the rest is left to the look-ahead', async () => {
  const { redis, errors, after, commit } = await open()
  redis.pause()
  const settled: string[] = []
  const sent = Array.from({ length: 4 }, (_, i) => commit(30_000).then(() => settled.push(`sent ${i}`)))
  await sent[3]
  expect(settled).toEqual(['sent 3'])
  expect(errors).toEqual([expect.stringContaining('90000 changes wait')])
  // It gives up by itself.
  await after.idle()
  redis.resume()
})
