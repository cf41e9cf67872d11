import { randomUUID } from 'node:crypto'
import { testRedis, until } from '@lapse/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { Alarm, openQueues, Timers } from '../src/index.ts'

const redis = testRedis()
const minute = 60_000

/** Queues that no worker looks at, and what has rung there. */
const open = async (skewMs = () => 0, shards = 1) => {
  const errors: string[] = []
  const report = (_: unknown, where: string) => void errors.push(where)
  const queues = openQueues({ redisUrl: redis.url, prefix: `${redis.prefix}-${randomUUID()}`, shards, report })
  await queues.begun
  const rings: { kind: string; at: number; who: number }[] = []
  const alarms: Alarm[] = []
  const start = () => {
    const who = alarms.length
    const ring = (kind: string) => void rings.push({ kind, at: Date.now(), who })
    alarms.push(new Alarm(queues, { skewMs, ring, ringAll: () => ring('(all)') }))
  }
  const timers = new Timers(queues)
  const arm = (inMs: number, kind = 'pass') => {
    const dueAt = Date.now() + inMs
    return timers.arm([{ id: randomUUID(), kind, version: 1, step: 'expire', dueAt }]).then(() => dueAt)
  }
  /** All of them for one millisecond. */
  const armAt = (dueAt: number, kinds: readonly string[]) =>
    timers.arm(kinds.map((kind) => ({ id: randomUUID(), kind, version: 1, step: 'expire' as const, dueAt })))
  closing.push(async () => {
    await Promise.all(alarms.map((alarm) => alarm.stop()))
    await queues.close()
  })
  return { queues, rings, errors, alarms, start, arm, armAt }
}
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

describe('the alarm', () => {
  it('rings for each timer when it is due and not before, one after the other, for its kind, though no job is handed out', async () => {
    const { rings, start, arm } = await open()
    const due = [await arm(1_500, 'pass'), await arm(1_600, 'lease'), await arm(3_500, 'pass')]
    start()
    await until(() => rings.length === 3, { what: 'three rings' })
    expect(rings.map(({ kind }) => kind)).toEqual(['pass', 'lease', 'pass'])
    for (const [i, { at }] of rings.entries()) expect(at).toBeGreaterThanOrEqual(due[i] ?? 0)
  })

  it('goes by the database clock, wherever that of its process stands', async () => {
    let skew = -minute
    const { rings, start, arm } = await open(() => skew)
    await arm(minute + 1_500, 'by the database due by now')
    await arm(2 * minute, 'not due yet')
    start()
    await until(() => rings.length > 0, { what: 'a ring' })
    expect(rings.map(({ kind }) => kind)).toEqual(['by the database due by now'])
    // It was the measure that was wrong: what comes before that is rung for as well.
    skew = 0
    for (let seconds = 2; seconds < 8; seconds++) await arm(seconds * 1_000, 'before that')
    await until(() => rings.length > 1, { what: 'another ring' })
    expect(rings[1]).toMatchObject({ kind: 'before that' })
  })

  it('rings once, however many workers there are; whoever stops is followed by another', async () => {
    const { rings, alarms, start, arm } = await open()
    for (let i = 0; i < 3; i++) start()
    for (let seconds = 2; seconds < 10; seconds++) await arm(seconds * 1_000)
    await until(() => rings.length > 0, { what: 'a ring' })
    const first = rings[0]?.who ?? 0
    await alarms[first]?.stop()
    // What is due before another has taken over is the queue's alone.
    await until(() => rings.some(({ who }) => who !== first), { what: 'a ring by another' })
    expect(rings.filter(({ who }) => who === first)).toHaveLength(1)
    expect(new Set(rings.map(({ who }) => who)).size).toBe(2)
  })

  it('rings for every kind that is due in one millisecond, in whichever shard, with equal scores too', async () => {
    const { queues, rings, start, armAt } = await open(() => 0, 3)
    const dueAt = Date.now() + 2_000
    const kinds = Array.from({ length: 20 }, (_, i) => `kind-${i}`)
    await armAt(dueAt, kinds)
    const [, score = ''] = await queues.redis.zrange(queues.timers.toKey('delayed'), '0', '0', 'WITHSCORES')
    const beside = `${randomUUID()}-expire-v1`
    const data = JSON.stringify({ id: randomUUID(), kind: 'beside it', version: 1 })
    await queues.redis.hset(queues.timers.toKey(beside), 'data', data)
    await queues.redis.zadd(queues.timers.toKey('delayed'), score, beside)
    start()
    await until(() => rings.length > 20, { what: 'a ring for each' })
    expect(rings.map(({ kind }) => kind).toSorted()).toEqual([...kinds, 'beside it'].toSorted())
  })

  it('rings for all kinds when more are due in one millisecond than it reads', async () => {
    const { rings, start, armAt } = await open()
    await armAt(Date.now() + 2_500, Array.from({ length: 300 }, () => 'many').concat('one'))
    start()
    await until(() => rings.length > 0, { what: 'a ring' })
    expect(rings.map(({ kind }) => kind)).toEqual(['(all)'])
  })

  it('passes by what it cannot read, at the head of the timers and among them', async () => {
    const { queues, rings, start, armAt } = await open()
    const delayed = queues.timers.toKey('delayed')
    const dueAt = Date.now() + 2_000
    const broken = { nonsense: 'not JSON', nothing: '', list: '[]', null: 'null', short: '{"kind":"pass"}' }
    for (const [job, data] of Object.entries(broken))
      for (const at of [dueAt - 600, dueAt]) {
        await queues.redis.hset(queues.timers.toKey(`${job}-${at}`), 'data', data)
        await queues.redis.zadd(delayed, at * 0x1000, `${job}-${at}`)
      }
    await queues.redis.zadd(delayed, (dueAt - 500) * 0x1000, 'a job without its hash')
    await queues.redis.set(queues.timers.toKey('a text'), 'x')
    await queues.redis.zadd(delayed, (dueAt - 400) * 0x1000, 'a text')
    await armAt(dueAt, ['pass'])
    start()
    await until(() => rings.length > 0, { what: 'a ring' })
    expect(rings.map(({ kind }) => kind)).toEqual(['pass'])
    expect(rings[0]?.at).toBeGreaterThanOrEqual(dueAt)
  })

  it('rings for the shards that can be read when one of them cannot, and says so', async () => {
    const { queues, rings, errors, start, arm } = await open(() => 0, 2)
    const [broken, well] = queues.shards()
    await queues.redis.set(broken?.toKey('delayed') ?? '', 'no sorted set')
    // Half of all ids belong there.
    for (let i = 0; i < 40; i++) await arm(1_500 + 100 * i).catch(() => undefined)
    expect(await well?.getDelayedCount()).toBeGreaterThan(0)
    start()
    await until(() => rings.length > 0, { what: 'a ring' })
    expect(errors).toContain('alarm')
  })
})
