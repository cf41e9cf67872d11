import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { acceptWrites, askRedis, privateRedis, refusals, refuseWrites, until } from '@lapse/testkit'
import { Job } from 'bullmq'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Alarm, done, type Outcome, openQueues, retryIn, scheduleUpkeep, startRunner, Timers } from '../src/index.ts'

const open = async () => {
  const redis = await privateRedis()
  const queues = openQueues({ redisUrl: redis.url })
  await until(() => queues.redis.status === 'ready', { what: 'the connection to Redis' })
  closing.push(() => queues.close())
  const errors: { message: string; at: number }[] = []
  const onError = (_: unknown, error: unknown) => {
    errors.push({ message: (error as Error).message, at: performance.now() })
  }
  const calls: string[] = []
  let answer = async (): Promise<Outcome> => done
  const run = (name: string) => () => {
    calls.push(name)
    return answer()
  }
  const runners = [
    startRunner(
      'upkeep',
      { sweep: run('sweep'), 'look-ahead': run('look-ahead'), purge: run('purge') },
      { redisUrl: redis.url, concurrency: 1, onError },
    ),
    startRunner(
      'timers',
      { expire: run('expire'), remind: run('remind'), 'end-grace': run('end-grace') },
      { redisUrl: redis.url, concurrency: 5, onError },
    ),
  ]
  closing.push(async () => void (await Promise.all(runners.map((runner) => runner.close(2_000)))))
  const timers = new Timers(queues)
  return {
    ...{ redis, queues, errors, calls },
    answers: (next: typeof answer) => {
      answer = next
    },
    arm: (count = 1, inMs = 0) =>
      timers.arm(
        Array.from({ length: count }, () => ({
          ...{ id: randomUUID(), kind: 'pass', version: 1, step: 'expire' as const, dueAt: Date.now() + inMs },
        })),
      ),
  }
}
const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const commandsOf = async (url: string): Promise<number> =>
  Number(/total_commands_processed:(\d+)/.exec(await askRedis(url, (client) => client.info('stats')))?.[1])

describe('while Redis refuses writes', () => {
  it.each(refusals)('%s: runners ask it less and less often, and go on when it accepts them', async (refusal) => {
    const { redis, queues, errors, calls, arm } = await open()
    const often = 200
    await scheduleUpkeep(queues, { sweep: often, 'look-ahead': often, purge: often })
    // Some come while it refuses.
    await arm(20, 1_500)
    await until(() => calls.includes('sweep'), { what: 'a sweep' })
    await refuseWrites(redis.url, refusal)
    await until(() => errors.length > 0, { what: 'a refusal' })
    const commands = await commandsOf(redis.url)
    errors.length = 0
    // However fast the machine: what is bounded is how often it asks.
    await sleep(5_000)
    const asked = (await commandsOf(redis.url)) - commands
    // By the second, for two runners and their connections.
    expect({ errors: errors.length / 5 < 10, commands: asked / 5 < 100 }).toEqual({ errors: true, commands: true })
    calls.length = 0
    await acceptWrites(redis.url, refusal)
    await arm()
    await until(() => calls.includes('expire'), { timeout: 30_000, what: 'a timer' })
    await until(() => calls.includes('sweep'), { timeout: 30_000, what: 'a sweep' })
  })

  it('a job that cannot be put off comes again: it does not fail, and is not lost', async () => {
    const { errors, calls, answers, arm } = await open()
    // Refused this once: what BullMQ asks for next, that the job fails, would be accepted again.
    vi.spyOn(Job.prototype, 'moveToDelayed').mockRejectedValueOnce(new Error('NOREPLICAS Not enough good replicas.'))
    answers(async () => (calls.length === 1 ? retryIn(1) : done))
    await arm()
    await until(() => errors.length > 0, { what: 'the refusal' })
    await until(() => calls.length > 1, { timeout: 40_000, what: 'the job coming again' })
  })

  it('the alarm asks less and less often, and rings again afterwards', async () => {
    const redis = await privateRedis()
    const failures: number[] = []
    const report = (_error: unknown, where: string) => where === 'alarm' && failures.push(performance.now())
    const queues = openQueues({ redisUrl: redis.url, report })
    closing.push(() => queues.close())
    await until(() => queues.redis.status === 'ready', { what: 'the connection to Redis' })
    await refuseWrites(redis.url, 'NOREPLICAS')
    const rings: string[] = []
    const alarm = new Alarm(queues, {
      skewMs: () => 0,
      ring: (kind) => rings.push(kind),
    })
    closing.push(() => alarm.stop())
    await until(() => failures.length === 4, { timeout: 20_000, what: 'four failures' })
    const [first = 0, second = 0, third = 0, fourth = 0] = failures
    expect([second - first >= 990, third - second >= 1_990, fourth - third >= 3_990]).toEqual([true, true, true])
    await acceptWrites(redis.url, 'NOREPLICAS')
    const timers = new Timers(queues)
    for (let seconds = 1; seconds < 12; seconds++)
      await timers.arm([
        { id: randomUUID(), kind: 'pass', version: 1, step: 'expire', dueAt: Date.now() + seconds * 1_000 },
      ])
    await until(() => rings.length > 0, { timeout: 15_000, what: 'a ring' })
  })
})
