import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { privateRedis, until } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { sleepUntil, stage } from './stage.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

describe('recovery', () => {
  it('A3 Redis cut before the end and restored: it fires by itself, and what was issued meanwhile is armed', async () => {
    const redis = await privateRedis({ appendonly: true })
    const app = await stage(redis)
    const worker = await app.startWorker()
    const before = await app.lapse.issue('pass', { expiresIn: '5s' })
    await redis.stop()
    const cut = performance.now()
    const during = await app.lapse.issue('pass', { expiresIn: '18s' })
    expect([before.timer, during.timer]).toEqual(['armed', 'pending'])
    const expired = await app.happened(before.id, 'expired')
    expect(expired.latenessMs).toBeGreaterThanOrEqual(0)
    expect(app.lateness(expired)).toBeLessThan(2_500)
    // As long as this a back-off that doubles has grown to more than is left.
    await new Promise((resolve) => setTimeout(resolve, 12_000 - (performance.now() - cut)))
    await redis.start()
    await until(async () => (await app.timers(during.id)).length === 1, { what: 'the pending timer to be armed' })
    expect((await app.happened(during.id, 'expired')).trigger).toBe('job')
    await worker.stop()
  })

  it('A3 with Redis away for good everything still ends, by the sweep, within about a second', async () => {
    const redis = await privateRedis()
    const app = await stage(redis)
    const worker = await app.startWorker()
    const { id } = await app.lapse.issue('pass', { expiresIn: '3s' })
    await redis.kill()
    const expired = await app.happened(id, 'expired')
    expect(expired.trigger).toBe('sweep')
    // Far sooner than the next sweep of a worker that has Redis.
    expect(app.lateness(expired)).toBeLessThan(10_000)
    expect((await worker.stop()).code).toBe(0)
  })

  it('A4 an end 400 days ahead survives a restart of everything, and an empty Redis', async () => {
    const redis = await privateRedis({ appendonly: true })
    const app = await stage(redis)
    const { id, expiresAt } = await app.lapse.issue('pass', { expiresIn: '400d' })
    const armedFor = async () => {
      const job = await app.lapse.queues.timers.getJob(`${id}-expire-v1`)
      return job && job.timestamp + job.delay
    }
    const first = await app.startWorker()
    await first.stop()
    await redis.stop()
    await redis.start()
    const second = await app.startWorker()
    expect(await until(armedFor, { what: 'the timer' })).toBe(expiresAt.getTime())
    await redis.flush()
    expect(await until(armedFor, { what: 'the timer, armed again' })).toBe(expiresAt.getTime())
    expect((await app.lapse.get(id)).status).toBe('active')
    await second.stop()
  })

  it('D1 after FLUSHALL what is due expires within one sweep, and what is to come is armed again', async () => {
    const redis = await privateRedis()
    const app = await stage(redis)
    const worker = await app.startWorker({ LAPSE_SWEEP_SECONDS: '2' })
    const soon = await app.lapse.issue('pass', { expiresIn: '1s' })
    // Far enough ahead to be seen armed again, however slow this machine is.
    const later = await app.lapse.issue('pass', { expiresIn: '15s' })
    const reminded = await app.lapse.issue('lease', { expiresIn: '17s' })
    await redis.flush()
    await app.happened(soon.id, 'expired', 15_000)
    await until(async () => (await app.timers(later.id)).includes(`${later.id}-expire-v1`), {
      what: 'the timer, armed again',
    })
    await app.happened(later.id, 'expired', 30_000)
    await app.happened(reminded.id, 'expired', 30_000)
    const story = await app.story(reminded.id)
    expect(story.map((event) => event.type)).toEqual(['issued', 'reminded', 'reminded', 'grace', 'expired'])
    await worker.stop()
  })

  it('D2 an application killed between commit and enqueue: the job is back before it is due, and it expires', async () => {
    const app = await stage()
    const worker = await app.startWorker({ LAPSE_LOOK_AHEAD_SECONDS: '1' })
    const script = `
      import { createLapse, defineKind } from 'lapse'
      import { z } from 'zod'
      const pass = defineKind({ name: 'pass', payload: z.strictObject({}), lifetime: { max: '1d' }, reminders: [] })
      const lapse = createLapse({ databaseUrl: process.env.DATABASE_URL, redisUrl: process.env.REDIS_URL, prefix: process.env.LAPSE_PREFIX, kinds: [pass] })
      lapse.queues.timers.addBulk = () => process.kill(process.pid, 'SIGKILL')
      await lapse.issue('pass', { reference: 'orphan', expiresIn: '6s' })`
    const died = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: root,
      env: { PATH: process.env.PATH, ...app.env },
    })
    expect(died.signal).toBe('SIGKILL')
    const [orphan] = await app.lapse.list({ reference: 'orphan' })
    const id = orphan?.id ?? ''
    await until(async () => (await app.timers(id)).length === 1, {
      timeout: 5_000,
      what: 'the timer, armed by the look-ahead',
    })
    const expired = await app.happened(id, 'expired')
    expect(expired.trigger).toBe('job')
    expect(app.lateness(expired)).toBeLessThan(1_000)
    await worker.stop()
  })

  it('D3 two sweepers and jobs on the same 500 rows: one transition each', async () => {
    const app = await stage()
    const workers = await Promise.all([1, 2].map(() => app.startWorker({ LAPSE_SWEEP_SECONDS: '1' })))
    const issued = await app.lapse.issueAll(
      Array.from({ length: 500 }, () => ({ kind: 'pass' as const, expiresIn: '2s' as const })),
    )
    const engine = app.lapse.engine({ onError: () => {} })
    await sleepUntil(issued[0]?.endsAt ?? new Date())
    await Promise.all([1, 2, 3, 4].map(() => engine.sweep()))
    await until(async () => (await app.lapse.count({ kind: 'pass', status: 'expired' })) === 500, {
      what: 'all to expire',
    })
    await until(async () => (await app.lapse.overdue()).length === 0, { what: 'nothing to be overdue' })
    const { rows } =
      await app.sql(`SELECT count(*)::int AS events, count(DISTINCT resource_id)::int AS resources, min(lateness_ms)::int AS least
      FROM event WHERE type = 'expired'`)
    expect(rows).toEqual([{ events: 500, resources: 500, least: expect.any(Number) }])
    expect(rows[0].least).toBeGreaterThanOrEqual(0)
    await Promise.all(workers.map((worker) => worker.stop()))
  })

  it('J3 stopped, then killed hard, during 1,000 expirations, then a new worker: all expire, nothing doubled, nothing lost', async () => {
    const app = await stage()
    const issued = await app.lapse.issueAll(
      Array.from({ length: 1_000 }, (_, i) => ({ kind: 'seat' as const, expiresIn: 2_000 + i })),
    )
    await app.sql('CREATE TABLE seat_given_back (resource_id uuid)')
    await app.sql('GRANT INSERT ON seat_given_back TO PUBLIC')
    const ended = async () =>
      Number((await app.sql(`SELECT count(*) AS n FROM event WHERE type = 'expired'`)).rows[0].n)
    const stopped = await app.startWorker()
    await until(async () => (await ended()) > 100, { what: 'the first to expire' })
    expect(await stopped.stop()).toMatchObject({ code: 0 })
    const killed = await app.startWorker()
    await until(async () => (await ended()) > 400, { what: 'more to expire' })
    await killed.kill()
    const last = await app.startWorker()
    await until(async () => (await ended()) === 1_000, { timeout: 20_000, what: 'all to expire' })
    // The hook's rows commit with the transitions: one each, whoever was killed when.
    const { rows } = await app.sql(
      'SELECT count(*)::int AS n, count(DISTINCT resource_id)::int AS seats FROM seat_given_back',
    )
    expect(rows).toEqual([{ n: 1_000, seats: 1_000 }])
    expect(await app.lapse.count({ kind: 'seat', status: 'expired' })).toBe(issued.length)
    expect((await last.stop()).ms).toBeLessThan(10_000)
  })
})
