import { testDatabase, testRedis, until } from '@lapse/testkit'
import pg from 'pg'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { createLapse, defineKind } from '../src/index.ts'

let isBroken = true
let stopped = Promise.resolve()
const terms = { payload: z.strictObject({}), lifetime: { max: '9d' as const }, reminders: [] }
const failing = defineKind({
  ...{ name: 'failing', ...terms },
  hooks: {
    expired: async () => {
      await stopped
      if (isBroken) throw new Error('out of order')
    },
  },
})

const [database, redis] = [await testDatabase(), testRedis()]
const owner = new pg.Client({ connectionString: database.ownerUrl })
await owner.connect()
const lapse = createLapse({
  ...{ databaseUrl: database.url, redisUrl: redis.url, prefix: redis.prefix, kinds: [failing] },
  alerts: { swept: 0 },
})
await until(() => lapse.queues.redis.status === 'ready', { what: 'the connection to Redis' })
afterAll(async () => {
  await lapse.close()
  await owner.end()
})
const errors: unknown[] = []
const triggers: string[] = []
/** One for each test: it knows for a while which jobs have come. */
const engineOf = () => {
  const engine = lapse.engine({
    onError: (error) => errors.push(error),
    onAdvanced: (_, trigger) => triggers.push(trigger),
  })
  onTestFinished(() => engine.stop())
  return engine
}

/** Lets time pass, as far as the database is concerned. */
const age = (id: string, interval: string) =>
  owner.query(
    `UPDATE resource SET issued_at = issued_at - $2::interval, expires_at = expires_at - $2::interval,
       ends_at = ends_at - $2::interval, due_at = due_at - $2::interval WHERE id = $1`,
    [id, interval],
  )
const dueAt = async (id: string): Promise<number> => {
  const { rows } = await owner.query<{ at: number }>(
    'SELECT extract(epoch FROM due_at)::float8 * 1000 AS at FROM resource WHERE id = $1',
    [id],
  )
  return rows[0]?.at ?? Number.NaN
}
const missed = async () => {
  await lapse.alerts.watch()
  return (await lapse.alerts.list()).find(({ name }) => name === 'swept-not-fired')?.raised
}
/** One that is over, whose timer Redis has lost. */
const over = async () => {
  const { id } = await lapse.issue('failing', { expiresIn: '1h' })
  await lapse.queues.timers.remove(`${id}-expire-v1`)
  await age(id, '2 hours')
  return id
}

describe('what a failing hook has put off', () => {
  it('has a timer for its next try, whoever tried first', async () => {
    const engine = engineOf()
    const [swept, checked] = [await over(), await over()]
    await engine.sweep()
    for (const id of [swept, checked]) {
      const timer = async () => lapse.queues.timers.getJob(`${id}-expire-v1`)
      await until(async () => (await timer()) !== undefined, { what: 'the timer' })
      const { timestamp = 0, delay = 0 } = (await timer()) ?? {}
      expect(timestamp + delay).toBe(await dueAt(id))
    }
    expect(errors.map(String)).toEqual([
      expect.stringContaining('out of order'),
      expect.stringContaining('out of order'),
    ])
    // The next try fails too: the job that has tried is the timer for the one after.
    await owner.query(`UPDATE resource SET due_at = date_trunc('milliseconds', clock_timestamp()) WHERE id = $1`, [
      swept,
    ])
    const outcome = await engine.wake('expire', { id: swept, kind: 'failing', version: 1 })
    expect(outcome).toMatchObject({ do: 'retry' })
    expect((outcome as { inMs: number }).inMs).toBeLessThanOrEqual(2_000)
    engine.stop()
    await owner.query('DELETE FROM resource')
  })

  it('is no missed timer when the sweep is the one that ends it', async () => {
    const engine = engineOf()
    isBroken = false
    expect(await missed()).toBe(false)
    isBroken = true
    const id = await over()
    await engine.sweep()
    isBroken = false
    await age(id, '1 hour')
    await engine.sweep()
    expect((await lapse.events({ resourceId: id })).map(({ type, trigger }) => [type, trigger])).toEqual([
      ['expired', 'sweep'],
      ['hook-failed', 'sweep'],
      ['issued', 'manual'],
    ])
    expect(await missed()).toBe(false)
    // One that no hook has refused is.
    await over()
    await engine.sweep()
    expect(await missed()).toBe(true)
  })
})

describe('jobs that a hook keeps waiting', () => {
  it('have fired: what the sweep ends meanwhile was theirs', async () => {
    const engine = engineOf()
    isBroken = false
    let go = () => {}
    stopped = new Promise((resolve) => {
      go = resolve
    })
    const first = await over()
    expect(await engine.wake('expire', { id: first, kind: 'failing', version: 1 })).toEqual({
      do: 'retry',
      inMs: 1_000,
    })
    const second = await over()
    triggers.length = 0
    const sweeping = engine.sweep()
    go()
    await sweeping
    await until(async () => (await lapse.events({ resourceId: second, type: 'expired' })).length > 0, {
      what: 'the end',
    })
    expect(new Set(triggers)).toEqual(new Set(['job']))
  })
})

it('an engine that stops begins no other part of a batch that fails', async () => {
  isBroken = true
  let calls = 0
  stopped = Promise.resolve()
  const ids = [await over(), await over(), await over(), await over()]
  const own = lapse.engine({ onError: () => calls++ })
  stopped = Promise.resolve().then(() => own.stop())
  await own.sweep()
  expect(calls).toBe(0)
  for (const id of ids) expect((await lapse.events({ resourceId: id })).map(({ type }) => type)).toEqual(['issued'])
})
