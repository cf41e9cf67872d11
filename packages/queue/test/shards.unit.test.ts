import { describe, expect, it } from 'vitest'
import { shardOf, slotOf, timerPlaces } from '../src/index.ts'

describe('shards', () => {
  it('counts slots as Redis Cluster does', () => {
    // From the specification, and from CLUSTER KEYSLOT.
    expect(slotOf('123456789')).toBe(0x31c3)
    expect([slotOf('foo'), slotOf('lapse'), slotOf('')]).toEqual([12_182, 1168, 0])
  })

  it('one shard is the queue as it has always been; on a cluster it has a slot of its own', () => {
    expect(timerPlaces(1, 'lapse', false)).toEqual([{ name: 'timers', prefix: 'lapse' }])
    expect(timerPlaces(1, 'lapse', true)).toEqual([{ name: 'timers', prefix: 'lapse:{timers}' }])
  })

  it('of N shards each lies in its own N-th of the slots, and always in the same', () => {
    for (const count of [2, 3, 4, 7, 16, 64, 256]) {
      const places = timerPlaces(count, 'lapse', true)
      const tags = places.map(({ prefix }) => /^lapse:\{(.+)\}$/.exec(prefix)?.[1] ?? '')
      expect(tags.map((tag) => Math.floor((slotOf(tag) * count) / 16_384))).toEqual([...tags.keys()])
      expect(timerPlaces(count, 'lapse', false)).toEqual(places)
      expect(new Set(places.map(({ name }) => name)).size).toBe(count)
    }
    const all = [2, 4, 8].flatMap((count) => timerPlaces(count, 'lapse', true).map(({ prefix }) => prefix))
    expect(new Set(all).size).toBe(2 + 4 + 8)
  })

  it('3, 6 or 12 shards are the same number on each of three masters, as redis-cli and managed clusters share the slots', () => {
    // The last slots of the first and the second master.
    const [first, second] = [5_460, 10_922]
    for (const count of [3, 6, 12]) {
      const slots = timerPlaces(count, 'lapse', true).map(({ prefix }) => slotOf(prefix.slice(7, -1)))
      expect(slots.filter((slot) => slot <= first)).toHaveLength(count / 3)
      expect(slots.filter((slot) => slot > second)).toHaveLength(count / 3)
    }
  })

  it('resources spread evenly over the shards, and each stays in its own', () => {
    const ids = Array.from({ length: 20_000 }, () => crypto.randomUUID())
    for (const count of [2, 3, 8]) {
      const sizes = Array.from({ length: count }, () => 0)
      for (const id of ids) sizes[shardOf(id, count)] = (sizes[shardOf(id, count)] ?? 0) + 1
      for (const size of sizes) expect(Math.abs(size * count - ids.length)).toBeLessThan(ids.length * 0.1)
    }
    expect(['01a1fd2a-733a-7600-a2c6-a37a254b722a'].map((id) => [shardOf(id, 4), shardOf(id, 1)])).toEqual([[2, 0]])
  })
})
