import { testRedis, until } from '@lapse/testkit'
import { expect, it } from 'vitest'
import { done, openQueues, startRunner, Timers } from '../src/index.ts'

it('what a worker takes at the very moment is its own: nothing fails, and nothing is left', async () => {
  const { url: redisUrl, prefix } = testRedis()
  const queues = openQueues({ redisUrl, prefix })
  await queues.begun
  const timers = new Timers(queues)
  const all = Array.from({ length: 6_000 }, (_, i) => ({
    id: `01a1fd2a-733a-7600-a2c6-${String(i).padStart(12, '0')}`,
    ...{ kind: 'pass', version: 1, step: 'expire' as const, dueAt: Date.now() },
  }))
  await timers.arm(all)
  const errors: unknown[] = []
  const look = async () => done
  const runner = startRunner(
    'timers',
    { expire: look, remind: look, 'end-grace': look },
    { redisUrl, prefix, concurrency: 40, onError: (_, error) => errors.push(error) },
  )
  await until(async () => (await queues.timers.getActiveCount()) > 0, { what: 'the worker to begin' })
  await Promise.all(Array.from({ length: 40 }, () => timers.dismiss(() => true)))
  await until(async () => (await timers.missing(all)).length === all.length, { what: 'all to be gone' })
  await runner.close(5_000)
  await queues.close()
  expect(errors).toEqual([])
})
