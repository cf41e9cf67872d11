import { testRedis, until } from '@lapse/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { done, openQueues, startRunner, Timers } from '../src/index.ts'

const open = async (shards: number) => {
  const { url: redisUrl, prefix } = testRedis()
  const queues = openQueues({ redisUrl, prefix, shards })
  afterAll(() => queues.close())
  await queues.begun
  return { queues, timers: new Timers(queues), place: { redisUrl, prefix } }
}

const timer = (i: number, inMs: number) => ({
  id: `01a1fd2a-733a-7600-a2c6-${String(i).padStart(12, '0')}`,
  kind: 'pass',
  version: 1,
  step: 'expire' as const,
  dueAt: Date.now() + inMs,
})

const few = new Set([7, 1_200, 2_699].map((i) => timer(i, 0).id))

describe('after a burst', () => {
  it.each([1, 3])(
    'what is due and over is taken away, with nothing left of it, and nothing else: %i shards',
    async (shards) => {
      const { queues, timers } = await open(shards)
      const waiting = Array.from({ length: 2_700 }, (_, i) => timer(i, -1))
      const delayed = Array.from({ length: 1_500 }, (_, i) => timer(3_000 + i, 100))
      const later = [timer(9_000, 3_600_000)]
      await timers.arm([...waiting, ...delayed, ...later])
      await until(() => Date.now() > (delayed.at(-1)?.dueAt ?? 0), { what: 'those that are delayed to be due' })
      await timers.dismiss((id) => !few.has(id))
      const left = [...waiting.filter(({ id }) => few.has(id)), ...later]
      const gone = await timers.missing([...waiting, ...delayed, ...later])
      expect(gone.length).toBe(4_200 - few.size)
      expect(await timers.missing(left)).toEqual([])
      const keys = await queues.redis.keys(`${queues.prefix}:*`)
      expect(keys.filter((key) => key.includes('01a1fd2a'))).toHaveLength(left.length)
    },
  )

  it('what somebody has in hand is left alone, and a name that was dismissed can be used again', async () => {
    const { queues, timers, place } = await open(1)
    const [held, other] = [timer(1, -1), timer(2, -1)]
    const seen: string[] = []
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const look = async ({ id }: { id: string }) => {
      seen.push(id)
      if (seen.length === 1) await released
      return done
    }
    await timers.arm([held])
    const processor = { expire: look, remind: look, 'end-grace': look }
    const runner = startRunner('timers', processor, { ...place, concurrency: 1, onError: () => {} })
    await until(() => seen.length === 1, { what: 'the first to be in hand' })
    await timers.arm([other])
    await timers.dismiss(() => true)
    expect(await timers.missing([held, other])).toEqual([other])
    await timers.arm([other])
    release()
    await until(async () => (await timers.missing([held, other])).length === 2, { what: 'both to be done' })
    expect(seen).toEqual([held.id, other.id])
    await runner.close(5_000)
    expect(await queues.timers.getFailedCount()).toBe(0)
  })
})
