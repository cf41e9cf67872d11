import { moveWatermark, readWatermark } from '@lapse/queue'
import { testDatabase, testRedis, until } from '@lapse/testkit'
import pg from 'pg'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createLapse, defineKind, type Queues } from '../src/index.ts'

const pass = defineKind({ name: 'pass', payload: z.strictObject({}), lifetime: { max: '900d' }, reminders: ['1m'] })

const database = await testDatabase()
const owner = new pg.Client({ connectionString: database.ownerUrl })
await owner.connect()
afterAll(() => owner.end())

const open = async (redis: { url: string; prefix: string }, horizonMs?: number) => {
  const lapse = createLapse({
    ...{ databaseUrl: database.url, redisUrl: redis.url, prefix: redis.prefix, kinds: [pass], horizonMs },
  })
  afterAll(() => lapse.close())
  await until(() => lapse.queues.redis.status === 'ready', { what: 'the connection to Redis' })
  const timers = async () => (await lapse.queues.timers.getJobs(['delayed'])).map((job) => job.id).sort()
  const engine = lapse.engine({ onError: () => {} })
  await engine.beginAnew()
  return { lapse, timers, engine }
}

/** Lets time pass for a resource, as far as the database is concerned. */
const age = (id: string, interval: string) =>
  owner.query(
    `UPDATE resource SET issued_at = issued_at - $2::interval, expires_at = expires_at - $2::interval,
       ends_at = ends_at - $2::interval, due_at = due_at - $2::interval, changed_at = changed_at - $2::interval WHERE id = $1`,
    [id, interval],
  )

const flush = async ({ queues }: { queues: Queues }, { prefix }: { prefix: string }) => {
  for (const key of await queues.redis.keys(`${prefix}:*`)) await queues.redis.del(key)
}

describe('the look-ahead', () => {
  beforeEach(() => owner.query('DELETE FROM resource'))

  it('brings a timer beyond the horizon when its time comes near, once', async () => {
    const { lapse, timers, engine } = await open(testRedis(), 3_600_000)
    const { id, timer } = await lapse.issue('pass', { expiresIn: '2h' })
    await engine.lookAhead()
    expect([timer, await timers()]).toEqual(['armed', []])
    await age(id, '1 hour 51 minutes')
    const mark = await readWatermark(lapse.queues)
    const back = (instant?: Date) => new Date((instant?.getTime() ?? 0) - 111 * 60_000)
    await moveWatermark(lapse.queues, { through: back(mark?.through), at: back(mark?.at) })
    expect(await engine.lookAhead()).toBe(1)
    expect(await timers()).toEqual([`${id}-remind-60-v1`])
    await owner.query(`UPDATE resource SET changed_at = changed_at - interval '1 hour'`)
    expect(await engine.lookAhead()).toBe(0)
  })

  it('heeds a stop after each page, and leaves the mark where it was, so that the next worker arms the rest', async () => {
    const redis = testRedis()
    const { lapse, timers, engine } = await open(redis)
    await lapse.issueAll(Array.from({ length: 1_100 }, () => ({ kind: 'pass', expiresIn: '1h', payload: {} })))
    await flush(lapse, redis)
    await engine.beginAnew()
    const [shard] = lapse.queues.shards()
    const { addBulk } = shard as NonNullable<typeof shard>
    // While the first page goes out.
    Object.assign(shard as object, {
      addBulk: (...jobs: Parameters<typeof addBulk>) => {
        engine.stop()
        return addBulk.apply(shard, jobs)
      },
    })
    expect(await engine.lookAhead()).toBe(1_000)
    expect(await timers()).toHaveLength(1_000)
    expect(await readWatermark(lapse.queues)).toMatchObject({ through: new Date(0) })
    expect(await lapse.engine({ onError: () => {} }).lookAhead()).toBe(1_100)
    expect(await timers()).toHaveLength(1_100)
  })

  it('arms again what changed since it looked, wherever that is due', async () => {
    const { lapse, timers, engine } = await open(testRedis())
    await engine.lookAhead()
    const { id } = await lapse.issue('pass', { expiresIn: '5m' })
    await lapse.queues.timers.obliterate({ force: true })
    expect(await timers()).toEqual([])
    await engine.lookAhead()
    expect(await timers()).toEqual([`${id}-remind-60-v1`])
  })

  it('finds what has committed a while after the instant it bears, while it had already looked', async () => {
    const { lapse, timers, engine } = await open(testRedis())
    await engine.lookAhead()
    const { id } = await lapse.issue('pass', { expiresIn: '5m' })
    await owner.query(`UPDATE resource SET changed_at = changed_at - interval '20 seconds' WHERE id = $1`, [id])
    await lapse.queues.timers.obliterate({ force: true })
    await engine.lookAhead()
    expect(await timers()).toEqual([`${id}-remind-60-v1`])
  })

  it('arms everything within the horizon when Redis has forgotten how far it had looked', async () => {
    const redis = testRedis()
    const { lapse, timers, engine } = await open(redis)
    const issued = await lapse.issueAll(
      Array.from({ length: 2_500 }, (_, i) => ({ kind: 'pass' as const, expiresIn: 86_400_000 + i })),
    )
    await engine.lookAhead()
    expect(await engine.isRemembered()).toBe(true)
    await flush(lapse, redis)
    expect(await engine.isRemembered()).toBe(false)
    await engine.beginAnew()
    expect(await engine.lookAhead()).toBe(2_500)
    expect(await timers()).toEqual(issued.map(({ id }) => `${id}-remind-60-v1`).sort())
  })

  it('does not take a Redis that was flushed while it looked for one that remembers', async () => {
    const redis = testRedis()
    const { lapse, engine } = await open(redis)
    for (const begin of [async () => {}, () => engine.lookAhead().then(() => {})]) {
      await begin()
      await lapse.issue('pass', { expiresIn: '5m' })
      const addBulk = lapse.queues.timers.addBulk.bind(lapse.queues.timers)
      lapse.queues.timers.addBulk = async (jobs) => {
        const added = await addBulk(jobs)
        await flush(lapse, redis)
        return added
      }
      await engine.lookAhead()
      lapse.queues.timers.addBulk = addBulk
      expect(await engine.isRemembered()).toBe(false)
      await engine.beginAnew()
    }
  })

  it('leaves out what is overdue or ended, and arms kinds that are not known here, for the watermark is everybody’s', async () => {
    const { lapse, engine, timers } = await open(testRedis())
    const [overdue, revoked, unknown] = await lapse.issueAll(
      [1, 2, 3].map(() => ({ kind: 'pass' as const, expiresIn: '5m' as const })),
    )
    await age(overdue?.id ?? '', '10 minutes')
    await lapse.revoke('pass', revoked?.id ?? '')
    await owner.query(`UPDATE resource SET kind = 'of-another-process' WHERE id = $1`, [unknown?.id])
    await lapse.queues.timers.obliterate({ force: true })
    expect(await engine.lookAhead()).toBe(1)
    expect(await timers()).toEqual([`${unknown?.id}-remind-60-v1`])
  })
})
