import { createDomain, defineKind } from '@lapse/domain'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { createDeliverer } from '../src/delivery/deliverer.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

const usual = defineKind({
  ...{ name: 'usual', payload: z.strictObject({}), lifetime: { max: '1d' } },
  handlers: { issued: async () => {} },
})

/** A deliverer whose database takes the lease, and then is away for so long. */
const whoseDatabaseIsAway = (ms: number) => {
  const domain = createDomain({ url: 'postgresql://127.0.0.1:9/none', kinds: [usual] })
  const back = performance.now() + ms
  const delivery = {
    id: 'an id',
    channel: 'handler',
    target: 'usual.issued',
    attempt: 1,
    tries: 1,
    createdAt: new Date(),
    startedAt: new Date(),
  }
  const about = { row: { kind: 'usual' }, event: { type: 'issued' } }
  const settle = vi.fn(async () => {
    if (performance.now() < back) throw new Error('the database is away')
  })
  const claim = async () => ({ verdict: 'claimed', claim: { delivery, kind: 'usual', about } })
  const deliveries = { ...domain.deliveries, claim, settle } as unknown as typeof domain.deliveries
  const seen = () => ({}) as ReturnType<typeof domain.seen>
  const deliver = createDeliverer({ ...domain, deliveries, seen }, { backoff: { baseMs: 1, capMs: 1, attempts: 1 } })
  return { deliver, settle }
}

it('what was done is written down as soon as the database is back, while nobody else may do it again', async () => {
  const { deliver, settle } = whoseDatabaseIsAway(50_000)
  const outcome = deliver('handler', 'an id')
  await vi.advanceTimersByTimeAsync(55_000)
  expect(await outcome).toEqual({ do: 'done' })
  expect(settle).toHaveBeenLastCalledWith('an id', 1, expect.any(Number), { status: 'sent' })
})

it('it is left to whoever comes after the lease, or when the worker stops', async () => {
  const lost = whoseDatabaseIsAway(600_000)
  const outcome = lost.deliver('handler', 'an id')
  outcome.catch(() => {})
  await vi.advanceTimersByTimeAsync(65_000)
  await expect(outcome).rejects.toThrow('the database is away')

  const stopping = whoseDatabaseIsAway(600_000)
  const stopped = stopping.deliver('handler', 'an id')
  stopped.catch(() => {})
  await vi.advanceTimersByTimeAsync(10_000)
  stopping.deliver.stop()
  await vi.advanceTimersByTimeAsync(3_000)
  await expect(stopped).rejects.toThrow('the database is away')
})
