import { randomUUID } from 'node:crypto'
import { testRedis, until } from '@lapse/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import {
  keepWitness,
  onlyOne,
  openQueues,
  type Queues,
  readWatermark,
  readWitness,
  resetWatermark,
  Timers,
} from '../src/index.ts'

const redis = testRedis()
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const open = async (shards = 1, prefix = `${redis.prefix}-${randomUUID()}`) => {
  const errors: string[] = []
  const report = (_: unknown, where: string) => void errors.push(where)
  const queues = openQueues({ redisUrl: redis.url, prefix, shards, report })
  closing.push(() => queues.close())
  await queues.begun
  return { queues, prefix, errors }
}

/** What anybody may write in place of a value. */
const breaks: readonly [string, (queues: Queues, key: string) => Promise<unknown>][] = [
  ['no JSON', ({ redis }, key) => redis.set(key, '{')],
  ['another JSON', ({ redis }, key) => redis.set(key, '[1]')],
  ['null', ({ redis }, key) => redis.set(key, 'null')],
  ['nothing', ({ redis }, key) => redis.set(key, '')],
  ['wrong fields', ({ redis }, key) => redis.set(key, '{"eventId":{},"resourceId":7,"at":"x","through":"never"}')],
  ['another type', async ({ redis }, key) => [await redis.del(key), await redis.lpush(key, 'x')]],
]

describe.each(breaks)('a value in Redis that is broken (%s)', (_, damage) => {
  it('counts as a forgotten watermark, which is then written anew', async () => {
    const { queues, prefix, errors } = await open()
    await damage(queues, `${prefix}:look-ahead`)
    expect(await readWatermark(queues)).toBeUndefined()
    expect(errors).toEqual(['stored-value'])
    await resetWatermark(queues)
    expect(await readWatermark(queues)).toEqual({ through: new Date(0), at: new Date(0) })
  })

  it('counts as no witness, which is then written anew', async () => {
    const { queues, prefix, errors } = await open()
    await damage(queues, `${prefix}:witness`)
    expect(await readWitness(queues)).toBeUndefined()
    expect(errors).toEqual(['stored-value'])
    const witness = { eventId: '7', resourceId: randomUUID(), at: Date.now() }
    await keepWitness(queues, witness)
    expect(await readWitness(queues)).toEqual(witness)
  })

  it('does not keep a process from arming, and its division is claimed anew', async () => {
    const { queues, prefix, errors } = await open(3)
    await queues.divisions.claim()
    await damage(queues, `${prefix}:divisions`)
    expect(await queues.divisions.all()).toEqual([3])
    expect(await queues.divisions.abandoned()).toEqual([])
    expect(errors).toEqual(['divisions', 'divisions'])
    await queues.divisions.claim()
    expect((await queues.divisions.all()).toSorted()).toEqual([1, 3])
  })
})

describe('a claim of a division', () => {
  it('that failed is tried again at once: a division that is in use is not taken for an abandoned one', async () => {
    const { queues } = await open(5)
    const { redis: connection } = queues
    connection.disconnect()
    await until(() => connection.status === 'end')
    await expect(queues.divisions.claim()).rejects.toThrow()
    await connection.connect()
    await queues.divisions.claim()
    expect(await connection.zscore(`${queues.prefix}:divisions`, '5')).not.toBeNull()
  })
})

describe('timers in an abandoned division', () => {
  it('are moved although one of them cannot be read', async () => {
    const { queues: before, prefix } = await open(2)
    const timer = { id: randomUUID(), kind: 'pass', version: 1, step: 'expire' as const, dueAt: Date.now() + 3_600_000 }
    await new Timers(before).arm([timer])
    for (const shard of before.shards()) {
      const broken = shard.toKey(`${randomUUID()}-expire-v1`)
      await before.redis.hset(broken, 'data', 'no JSON')
      await before.redis.zadd(shard.toKey('delayed'), 1, broken.slice(shard.toKey('').length))
      await before.redis.zadd(shard.toKey('delayed'), 2, 'no timer at all')
    }
    const { queues } = await open(1, prefix)
    await queues.redis.zadd(`${prefix}:divisions`, 0, '2')
    await new Timers(queues).moveAbandoned()
    expect(await queues.timers.getDelayedCount()).toBe(1)
    expect(await new Timers(queues).missing([timer])).toEqual([])
    expect(await queues.divisions.all()).toEqual([1])
  })
})

describe('what only one process may do', () => {
  it('is done by one, and by the next when that has finished', async () => {
    const { queues, prefix } = await open()
    const { queues: other } = await open(1, prefix)
    const first = await onlyOne(queues, async () => {
      expect(await onlyOne(other, async () => 'second')).toBeUndefined()
      return 'first'
    })
    expect(first).toBe('first')
    expect(await onlyOne(other, async () => 'second')).toBe('second')
  })

  it('keeps the lease of the next when the one before has lost its own', async () => {
    const { queues, prefix } = await open()
    const { queues: other } = await open(1, prefix)
    const key = `${prefix}:witness-lease`
    await onlyOne(queues, async () => {
      // It ran out, and another process has taken it.
      await queues.redis.set(key, 'another process')
    })
    expect(await queues.redis.get(key)).toBe('another process')
    expect(await onlyOne(other, async () => 'second')).toBeUndefined()
  })
})

describe('many timers', () => {
  it('are taken back in scripts of bounded size, one after the other', async () => {
    const { queues } = await open()
    const timers = Array.from({ length: 5_000 }, () => ({
      ...{ id: randomUUID(), kind: 'pass', version: 1, step: 'expire' as const, dueAt: Date.now() + 3_600_000 },
    }))
    const lasting = new Timers(queues)
    await lasting.arm(timers)
    let [underWay, most, sent] = [0, 0, 0]
    const { eval: evaluate } = queues.redis
    queues.redis.eval = ((...args: Parameters<typeof evaluate>) => {
      sent++
      most = Math.max(most, ++underWay)
      return evaluate.apply(queues.redis, args).finally(() => underWay--)
    }) as typeof evaluate
    await lasting.disarm(timers)
    expect(await queues.timers.getDelayedCount()).toBe(0)
    expect(await queues.redis.exists(queues.timers.toKey(`${timers[0]?.id}-expire-v1`))).toBe(0)
    expect([most, sent]).toEqual([1, 40])
  })
})

describe('a job whose data is no JSON', () => {
  it('does not keep others from being listed, in Bull Board or by us', async () => {
    const { queues } = await open()
    const timers = [1, 2].map((hours) => ({
      ...{ id: randomUUID(), kind: 'pass', version: 1, step: 'expire' as const, dueAt: Date.now() + hours * 3_600_000 },
    }))
    const lasting = new Timers(queues)
    await lasting.arm(timers)
    await queues.redis.hset(queues.timers.toKey(`${timers[0]?.id}-expire-v1`), 'data', 'no JSON')
    expect((await queues.timers.getJobs(['delayed'])).map(({ data }) => data?.kind)).toEqual(
      expect.arrayContaining([undefined, 'pass']),
    )
    expect((await lasting.standing(timers)).map(({ standing }) => standing?.state)).toEqual(['delayed', 'delayed'])
  })
})
