import { testRedis } from '@lapse/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { openQueues, readWatermark, resetWatermark, Timers } from '../src/index.ts'

const redis = testRedis()
const key = `${redis.prefix}:divisions`

const open = async (shards: number) => {
  const queues = openQueues({ redisUrl: redis.url, prefix: redis.prefix, shards })
  afterAll(() => queues.close())
  await queues.begun
  return queues
}

const timer = (i: number) => ({
  id: `01a1fd2a-733a-7600-a2c6-${String(i).padStart(12, '0')}`,
  kind: 'pass',
  version: 1,
  step: 'remind' as const,
  offset: 60,
  dueAt: Date.now() + 3_600_000 + i,
})

describe('a division of the timers', () => {
  it('is known to all who look as soon as somebody arms in it, and one shard where nobody has said anything yet', async () => {
    const [three, five] = await Promise.all([open(3), open(5)])
    await new Timers(three).arm([timer(1)])
    await new Timers(five).arm([timer(2)])
    await five.divisions.claim()
    expect((await five.divisions.all()).toSorted()).toEqual([1, 3, 5])
    expect((await three.divisions.all())[0]).toBe(3)
    expect(await new Timers(three).missing([timer(1), timer(2), timer(3)])).toMatchObject([{ id: timer(3).id }])
  })

  it('is emptied and forgotten when nobody has claimed it for a minute, and not before', async () => {
    const [two, six] = await Promise.all([open(2), open(6)])
    const timers = Array.from({ length: 2_500 }, (_, i) => timer(i))
    await resetWatermark(six)
    await new Timers(six).arm(timers)
    await two.divisions.claim()
    expect(await new Timers(two).moveAbandoned()).toBe(0)
    await six.redis.zadd(key, 'XX', 0, '6')
    expect(await new Timers(two).moveAbandoned()).toBe(2_500)
    const armed = await Promise.all(two.shards().map((shard) => shard.getDelayed()))
    expect(
      armed
        .flat()
        .map(({ timestamp, delay, data, id }) => [id, timestamp + delay, data.offset])
        .toSorted(),
    ).toEqual(timers.map(({ id, dueAt, offset }) => [`${id}-remind-60-v1`, dueAt, offset]).toSorted())
    expect([await readWatermark(six), await six.divisions.all()]).toEqual([undefined, expect.not.arrayContaining([7])])
    expect(await two.divisions.all()).not.toContain(6)
  })

  it('is left alone by what anybody may write there', async () => {
    const one = await open(1)
    await one.redis.zadd(key, 9e12, 'x', 9e12, '1e9', 9e12, '-1', 9e12, '2.5', 9e12, '257')
    for (let count = 10; count < 30; count++) await one.redis.zadd(key, 9e12, String(count))
    const all = await one.divisions.all()
    expect([all[0], all.length]).toEqual([1, 4])
    expect(() => openQueues({ redisUrl: redis.url, shards: 0 })).toThrow(/1 to 256 shards, not 0/)
  })
})
