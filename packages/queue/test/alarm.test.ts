import { randomUUID } from 'node:crypto'
import { testRedis, until } from '@lapse/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { Alarm, openQueues, Timers } from '../src/index.ts'

const redis = testRedis()
const minute = 60_000

/** Queues that no worker looks at, and what has rung there. */
const open = async (skewMs = () => 0) => {
  const queues = openQueues({ redisUrl: redis.url, prefix: `${redis.prefix}-${randomUUID()}` })
  await queues.begun
  const rings: { kind: string; at: number; who: number }[] = []
  const alarms: Alarm[] = []
  const start = () => {
    const who = alarms.length
    const ring = (kind: string) => void rings.push({ kind, at: Date.now(), who })
    alarms.push(new Alarm(queues, { skewMs, ring }))
  }
  const timers = new Timers(queues)
  const arm = (inMs: number, kind = 'pass') => {
    const dueAt = Date.now() + inMs
    return timers.arm([{ id: randomUUID(), kind, version: 1, step: 'expire', dueAt }]).then(() => dueAt)
  }
  closing.push(async () => {
    await Promise.all(alarms.map((alarm) => alarm.stop()))
    await queues.close()
  })
  return { queues, rings, alarms, start, arm }
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

  it('comes back after what it cannot read', async () => {
    const { queues, rings, start, arm } = await open()
    await queues.timers.add('expire', 'nonsense' as never, { delay: 1_200 })
    for (let seconds = 2; seconds < 8; seconds++) await arm(seconds * 1_000)
    start()
    await until(() => rings.length > 0, { what: 'a ring' })
  })
})
