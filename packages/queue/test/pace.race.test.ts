import { fullestSecond, stopwatch, testRedis } from '@lapse/testkit'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, it } from 'vitest'
import { createPace } from '../src/index.ts'

const { url, prefix } = testRedis()
const connections: Redis[] = []
afterAll(() => {
  for (const redis of connections) redis.disconnect()
})
/** A process of its own, as Redis sees it. */
const paceOf = (name: string, perSecond: number) => {
  const redis = new Redis(url)
  connections.push(redis)
  return createPace({ redis, prefix }, name, perSecond)
}
/** When so many turns came, asked for at once by four processes; and before which instant each certainly had not. */
const turns = async (count: number, name: string, perSecond: number) => {
  const paces = [1, 2, 3, 4].map(() => paceOf(name, perSecond))
  const clock = stopwatch()
  const turns: { at: number; notBefore: number }[] = []
  const take = async (i: number) => {
    await paces[i % 4]?.()
    turns.push({ at: performance.now(), notBefore: clock.notBefore() })
  }
  await Promise.all(Array.from({ length: count }, (_, i) => take(i)))
  clock.stop()
  return turns
}

describe('turns', () => {
  it.each([
    [1, 3],
    [7, 14],
    [100, 160],
  ])('of at most %i a second are never closer, whoever asks: %i at once', async (perSecond, count) => {
    const all = await turns(count, `rate ${perSecond}`, perSecond)
    expect(all).toHaveLength(count)
    expect(fullestSecond(all)).toBeLessThanOrEqual(perSecond)
  })

  it('go on where others wait whose turn has failed', async () => {
    const redis = new Redis(url, { maxRetriesPerRequest: 0 })
    connections.push(redis)
    const pace = createPace({ redis, prefix }, 'failing', 10)
    await redis.set(`${prefix}:pace:failing`, 'what is no list')
    await expect(Promise.all([pace(), pace()])).rejects.toThrow('WRONGTYPE')
    await redis.del(`${prefix}:pace:failing`)
    await pace()
  })

  it('begin anew when a clock was set back by hours', async () => {
    const redis = new Redis(url)
    connections.push(redis)
    const ahead = (Date.now() + 3_600_000) * 1_000
    await redis.lpush(`${prefix}:pace:clock`, String(ahead))
    const start = performance.now()
    await paceOf('clock', 1)()
    expect(performance.now() - start).toBeLessThan(30_000)
  })
})
