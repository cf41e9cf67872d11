import { testRedis, until } from '@lapse/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  done,
  drop,
  type Outcome,
  openQueues,
  type Processor,
  type Runner,
  retryIn,
  startRunner,
  Timers,
  timerId,
} from '../src/index.ts'

const id = '01a1fd2a-733a-7600-a2c6-a37a254b722a'
const redis = testRedis()
const queues = openQueues({ redisUrl: redis.url, prefix: redis.prefix })
const calls: number[] = []
const told: unknown[] = []
let answer: () => Promise<Outcome> = async () => done
let runner: Runner

beforeAll(async () => {
  await queues.begun
  const act = () => {
    calls.push(Date.now())
    return answer()
  }
  const processor: Processor<'timers'> = { expire: act, remind: act, 'end-grace': act }
  runner = startRunner('timers', processor, {
    ...{ redisUrl: redis.url, prefix: redis.prefix, concurrency: 5 },
    onDrop: (...drop) => told.push(drop),
    onError: (queue, error) => told.push([queue, (error as Error).message]),
  })
})
afterAll(async () => {
  await runner.close(5_000)
  await queues.close()
})

const timer = { id, kind: 'pass', version: 1, step: 'expire' as const, dueAt: Date.now() }
const timers = new Timers(queues)
const empty = () =>
  until(
    async () => (await queues.timers.getJobCountByTypes('wait', 'active', 'delayed', 'failed', 'completed')) === 0,
    {
      what: 'the queue to be empty',
    },
  )

describe('the runner', () => {
  it('removes a job that is done, so that its id can be used again', async () => {
    await timers.arm([timer])
    await empty()
    await timers.arm([timer])
    await empty()
    expect(calls.splice(0)).toHaveLength(2)
  })

  it('brings the same job again after the time that was asked for', async () => {
    answer = async () => (calls.length === 1 ? retryIn(300) : done)
    await timers.arm([timer])
    await until(() => calls.length === 2, { what: 'the second call' })
    const [first = 0, second = 0] = calls.splice(0)
    expect(second - first).toBeGreaterThanOrEqual(299)
    await empty()
  })

  it('brings a job again whose processor threw, and never lets it fail', async () => {
    answer = async () => {
      if (calls.length === 1) throw new Error('PostgreSQL is away')
      return done
    }
    await timers.arm([timer])
    await until(() => calls.length === 2, { what: 'the second call' })
    expect(told.splice(0)).toEqual([['timers', 'PostgreSQL is away']])
    calls.length = 0
    await empty()
  })

  it('tells why a job was dropped, and drops what is no job of this queue', async () => {
    answer = async () => drop('nothing to do')
    await timers.arm([timer])
    await empty()
    await queues.timers.addBulk([
      { name: 'constructor', data: timer },
      { name: 'expire', data: { ...timer, id: 'no id' } },
      { name: 'expire', data: [timer] },
    ])
    await empty()
    expect(told.splice(0).sort()).toEqual([
      ['timers', 'constructor', 'no processor of that name'],
      ['timers', 'expire', 'malformed data'],
      ['timers', 'expire', 'malformed data'],
      ['timers', 'expire', 'nothing to do'],
    ])
    expect(calls.splice(0)).toHaveLength(1)
  })

  it('drops a job whose data is no JSON, which would come back for ever', async () => {
    answer = async () => done
    await timers.arm([{ ...timer, dueAt: Date.now() + 2_000 }])
    await queues.redis.hset(queues.timers.toKey(timerId(timer)), 'data', 'no JSON')
    await empty()
    expect(told.splice(0)).toEqual([['timers', 'expire', 'malformed data']])
    expect(await queues.redis.exists(queues.timers.toKey(timerId(timer)))).toBe(0)
    expect(calls).toEqual([])
  })
})

describe('timers', () => {
  const later = { ...timer, dueAt: Date.now() + 3_600_000 }

  it('stand in Redis at exactly the instant they are due, however often they are armed', async () => {
    await Promise.all([1, 2, 3].map(() => timers.arm([later, { ...later, step: 'remind', offset: 60 }])))
    expect((await queues.timers.getJobs(['delayed'])).map((job) => job.id).sort()).toEqual([
      `${id}-expire-v1`,
      `${id}-remind-60-v1`,
    ])
    const job = await queues.timers.getJob(timerId(later))
    expect((job?.timestamp ?? 0) + (job?.delay ?? 0)).toBe(later.dueAt)
    expect(job?.data).toEqual({ id, kind: 'pass', version: 1 })
    await timers.disarm([later, { ...later, step: 'remind', offset: 60 }, { ...later, step: 'end-grace' }])
    await empty()
  })

  it('beyond the horizon they are left to the look-ahead', async () => {
    await new Timers(queues, { horizonMs: 60_000 }).arm([later])
    await empty()
  })
})
