import { makeDue, testDatabase, testRedis, until } from '@lapse/testkit'
import pg from 'pg'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { createLapse, defineKind, GiveUp, type HandlerCall, TryAgain } from '../src/index.ts'

/** What the handlers do, and what they were called with. */
const calls: HandlerCall[] = []
let act = async (_: HandlerCall): Promise<void> => {}
const run = async (call: HandlerCall) => {
  calls.push(call)
  await act(call)
}

const terms = { payload: z.strictObject({}), lifetime: { default: '1d', max: '2d' }, reminders: [] } as const
const usual = defineKind({ name: 'usual', ...terms, handlers: { issued: run } })
const stubborn = defineKind({
  ...{ name: 'stubborn', ...terms },
  handlers: { issued: { run, attempts: 3, backoff: { first: '10m', most: '15m' }, timeout: '10m' } },
})
const hasty = defineKind({ name: 'hasty', ...terms, handlers: { issued: { run, timeout: '50ms' } } })
const kinds = [usual, stubborn, hasty] as const

const [database, redis] = [await testDatabase(), testRedis()]
const lapse = createLapse({ databaseUrl: database.url, redisUrl: redis.url, prefix: redis.prefix, kinds })
const owner = new pg.Pool({ connectionString: database.ownerUrl, max: 1 })
owner.on('error', () => {})
afterAll(async () => {
  await lapse.close()
  await owner.end()
})
const worker = () => lapse.deliverer({ backoff: { baseMs: 1_000, capMs: 60_000, attempts: 5 } })
const deliver = worker()

const owing = async (kind: (typeof kinds)[number]['name'] = 'usual'): Promise<string> => {
  const { id } = await lapse.issue(kind)
  const [delivery] = await lapse.deliveries.list({ resourceId: id, channel: 'handler' })
  return delivery?.id ?? ''
}
/** As if its next try had come, and its lease run out. */
const comes = (id: string) => makeDue((text, values) => owner.query(text, values), id)
const leaseOf = async (id: string): Promise<number> => {
  const { rows } = await owner.query(
    `SELECT extract(epoch FROM leased_until - clock_timestamp()) * 1000 AS ms FROM delivery WHERE id = $1`,
    [id],
  )
  return Number(rows[0].ms)
}
const attempted = (id: string, n = 1) =>
  until(() => calls.filter((call) => call.deliveryId === id).length === n, { what: `attempt ${n}` })
const refuse = (message: string) => async () => {
  throw new Error(message)
}
/** Until its signal tells it to end. */
const untilAborted = ({ signal }: HandlerCall) =>
  new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(new Error('told to end'))))

describe('a handler', () => {
  it('that throws is tried again under the same key, and gives up after so many attempts', async () => {
    const id = await owing()
    act = refuse('not yet')
    const waits: number[] = []
    for (let n = 1; n < 5; n++) {
      const outcome = await deliver('handler', id)
      if (outcome.do !== 'retry') throw new Error(outcome.do)
      waits.push(outcome.inMs)
      await comes(id)
    }
    for (const [i, wait] of waits.entries()) {
      expect(wait).toBeGreaterThanOrEqual(500 * 2 ** i)
      expect(wait).toBeLessThanOrEqual(1_000 * 2 ** i)
    }
    expect(await deliver('handler', id)).toEqual({ do: 'done' })
    expect(await lapse.deliveries.get(id)).toMatchObject({ status: 'dead', attempts: 5, lastError: 'not yet' })
    const seen = calls.filter((call) => call.deliveryId === id)
    expect(seen.map(({ attempt, type }) => [attempt, type])).toEqual([1, 2, 3, 4, 5].map((n) => [n, 'issued']))
  })

  it('has attempts and waits of its own', async () => {
    const id = await owing('stubborn')
    act = refuse('not yet')
    const first = await deliver('handler', id)
    await comes(id)
    const second = await deliver('handler', id)
    for (const [outcome, least, most] of [
      [first, 300_000, 600_000],
      [second, 450_000, 900_000],
    ] as const) {
      expect(outcome.do === 'retry' && outcome.inMs).toBeGreaterThanOrEqual(least)
      expect(outcome.do === 'retry' && outcome.inMs).toBeLessThanOrEqual(most)
    }
    await comes(id)
    await deliver('handler', id)
    expect(await lapse.deliveries.get(id)).toMatchObject({ status: 'dead', attempts: 3 })
  })

  it('asked for again by hand has all its attempts again, however many there were before', async () => {
    const id = await owing('stubborn')
    // After one attempt, then after a full round.
    act = async () => {
      throw new GiveUp('no use')
    }
    await deliver('handler', id)
    act = refuse('not yet')
    for (const attempts of [4, 7]) {
      await lapse.deliveries.retry(id)
      for (let n = 0; n < 3; n++) {
        expect((await lapse.deliveries.get(id)).status).not.toBe('dead')
        await deliver('handler', id)
        await comes(id)
      }
      expect(await lapse.deliveries.get(id)).toMatchObject({ status: 'dead', attempts })
    }
  })

  it('may throw anything: it is tried again, and dead in the end', async () => {
    for (const thrown of [
      new Error('no\0way'),
      Object.create(null),
      Object.assign(new Error(), { message: {} }),
      null,
    ]) {
      const id = await owing('stubborn')
      act = async () => {
        throw thrown
      }
      for (let n = 0; n < 3; n++) {
        await deliver('handler', id)
        await comes(id)
      }
      expect(await lapse.deliveries.get(id)).toMatchObject({ status: 'dead', attempts: 3 })
    }
  })

  it('that throws GiveUp is dead at once, and can be retried by hand', async () => {
    const id = await owing()
    act = async () => {
      throw new GiveUp('nobody lives here')
    }
    expect(await deliver('handler', id)).toEqual({ do: 'done' })
    expect(await lapse.deliveries.get(id)).toMatchObject({
      status: 'dead',
      attempts: 1,
      lastError: 'nobody lives here',
    })
    act = async () => {}
    await lapse.deliveries.retry(id)
    await deliver('handler', id)
    expect(await lapse.deliveries.get(id)).toMatchObject({ status: 'sent', attempts: 2 })
  })

  it('that throws TryAgain is not tried before, and no sooner than its backoff', async () => {
    const id = await owing()
    act = async () => {
      throw new TryAgain('they are closed', '2h')
    }
    expect(await deliver('handler', id)).toEqual({ do: 'retry', inMs: 7_200_000 })
    const { log } = await lapse.deliveries.get(id)
    expect((log[0]?.nextAt?.getTime() ?? 0) - (log[0]?.at.getTime() ?? 0)).toBeGreaterThanOrEqual(7_200_000)
    await comes(id)
    act = async () => {
      throw new TryAgain('soon', 1)
    }
    const outcome = await deliver('handler', id)
    expect(outcome.do === 'retry' && outcome.inMs).toBeGreaterThanOrEqual(1_000)
  })

  it('that hangs is cut off, told so, and tried again', async () => {
    const id = await owing('hasty')
    act = () => new Promise(() => {})
    expect(await deliver('handler', id)).toMatchObject({ do: 'retry' })
    expect(calls.find((call) => call.deliveryId === id)?.signal.aborted).toBe(true)
    expect(await lapse.deliveries.get(id)).toMatchObject({
      ...{ status: 'failed', lastError: 'it did not finish within 0.05 seconds' },
      log: [{ status: 'failed' }],
    })
    await comes(id)
    act = async () => {}
    expect(await deliver('handler', id)).toEqual({ do: 'done' })
    expect((await lapse.deliveries.get(id)).status).toBe('sent')
  })

  it('keeps its lease for longer than it may take, and no other’s for longer than theirs', async () => {
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    act = () => released
    const [long, short] = [await owing('stubborn'), await owing()]
    const running = [deliver('handler', long), deliver('handler', short)]
    await Promise.all([attempted(long), attempted(short)])
    const [longest, usually] = [await leaseOf(long), await leaseOf(short)]
    expect(longest).toBeGreaterThan(600_000)
    expect(usually).toBeGreaterThan(60_000)
    expect(usually).toBeLessThan(120_000)
    expect(await worker()('handler', long)).toMatchObject({ do: 'retry' })
    expect(calls.filter((call) => call.deliveryId === long)).toHaveLength(1)
    release()
    await Promise.all(running)
  })

  it('that a deployment has taken away waits for one that brings it back', async () => {
    const id = await owing()
    const { url: databaseUrl } = database
    const bare = createLapse({
      databaseUrl,
      redisUrl: redis.url,
      prefix: redis.prefix,
      kinds: [defineKind({ name: 'usual', ...terms })],
    })
    const outcome = await bare.deliverer({ backoff: { baseMs: 1_000, capMs: 1_000, attempts: 5 } })('handler', id)
    await bare.close()
    expect(outcome).toMatchObject({ do: 'retry' })
    expect((await lapse.deliveries.get(id)).lastError).toBe('The kind usual has no handler for issued any more.')
  })
})

describe('a worker that stops', () => {
  it('tells its handlers; what ends is interrupted, counts as no attempt, and is due at once for another', async () => {
    const id = await owing('stubborn')
    act = untilAborted
    for (const n of [1, 2, 3]) {
      const stopping = worker()
      const running = stopping('handler', id)
      await attempted(id, n)
      stopping.stop()
      expect(await running).toEqual({ do: 'retry', inMs: 0 })
    }
    expect(await lapse.deliveries.get(id)).toMatchObject({
      ...{ status: 'pending', attempts: 3 },
      log: Array(3).fill({ status: 'interrupted', error: 'its worker stopped', nextAt: null }),
    })
    // It has all three of its tries yet.
    act = refuse('not yet')
    for (const status of ['failed', 'failed', 'dead']) {
      await deliver('handler', id)
      expect((await lapse.deliveries.get(id)).status).toBe(status)
      await comes(id)
    }
  })

  it('hears what a handler says on its way out: done, never, not before', async () => {
    const said: Record<string, () => void> = {
      sent: () => {},
      dead: () => {
        throw new GiveUp('never')
      },
      failed: () => {
        throw new TryAgain('not before', '1h')
      },
    }
    for (const [status, say] of Object.entries(said)) {
      const id = await owing()
      act = (call) => untilAborted(call).catch(say)
      const stopping = worker()
      const running = stopping('handler', id)
      await attempted(id)
      stopping.stop()
      await running
      expect((await lapse.deliveries.get(id)).status).toBe(status)
    }
  })

  it('does not wait for one that does not listen', async () => {
    const id = await owing()
    act = () => new Promise(() => {})
    const stopping = worker()
    const running = stopping('handler', id)
    await attempted(id)
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    stopping.stop()
    vi.advanceTimersByTime(5_000)
    vi.useRealTimers()
    expect(await running).toEqual({ do: 'retry', inMs: 0 })
    expect((await lapse.deliveries.get(id)).log).toMatchObject([{ status: 'interrupted' }])
  })

  it('begins nothing more', async () => {
    const id = await owing()
    const stopping = worker()
    stopping.stop()
    expect(await stopping('handler', id)).toEqual({ do: 'retry', inMs: 0 })
    expect((await lapse.deliveries.get(id)).attempts).toBe(0)
  })
})
