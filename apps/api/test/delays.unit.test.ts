import { afterEach, describe, expect, it, vi } from 'vitest'
import { createDelays, Delayed } from '../src/http/delays.ts'

/** A Redis that answers so. */
const delaysWith = (answer: () => Promise<unknown>) => createDelays({ eval: vi.fn(answer) } as never, 'test')
const away = () => Promise.reject(new Error('Redis is away'))

let now = 0
const begin = () => vi.spyOn(performance, 'now').mockImplementation(() => now)
afterEach(() => vi.restoreAllMocks())

const waitOf = (taking: Promise<unknown>) =>
  taking.then(
    () => 0,
    (error) => (error instanceof Delayed ? error.ms : Promise.reject(error)),
  )

describe('while Redis is away', () => {
  it('each failure makes the same client wait longer, up to a minute, and nobody else', async () => {
    begin()
    const take = delaysWith(away)
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      expect(await waitOf(take('ada'))).toBe(0)
      expect(await waitOf(take('ada'))).toBe(seconds * 1_000)
      now += seconds * 1_000 - 1
      expect(await waitOf(take('ada'))).toBe(1)
      expect(await waitOf(take(`somebody else ${seconds} ${now}`))).toBe(0)
      now += 1
    }
  })

  it('of many at once one goes through', async () => {
    begin()
    const take = delaysWith(away)
    const waits = await Promise.all(Array.from({ length: 40 }, () => waitOf(take('ada'))))
    expect(waits.filter((wait) => wait === 0)).toHaveLength(1)
  })

  it('what was right is given back, once', async () => {
    begin()
    const take = delaysWith(away)
    const giveBack = await take('ada')
    giveBack()
    await take('ada')
    giveBack()
    expect(await waitOf(take('ada'))).toBe(1_000)
  })

  it('what is not tried for a quarter of an hour begins anew', async () => {
    begin()
    const take = delaysWith(away)
    await take('ada')
    now += 1_000
    await take('ada')
    now += 2_000 + 15 * 60_000
    await take('ada')
    expect(await waitOf(take('ada'))).toBe(1_000)
  })
})

it('who waits in this process goes on waiting when Redis is back', async () => {
  begin()
  let isAway = true
  const take = delaysWith(() => (isAway ? away() : Promise.resolve([0, 1])))
  await take('ada')
  isAway = false
  expect(await waitOf(take('ada'))).toBe(1_000)
  now += 1_000
  expect(await waitOf(take('ada'))).toBe(0)
})

it('what Redis did without answering in time is undone', async () => {
  const given: unknown[] = []
  let answer: (value: unknown) => void = () => {}
  const redis = {
    eval: (_script: string, _keys: number, _key: string, back: number) => {
      given.push(back)
      return back ? Promise.resolve([0, 0]) : new Promise((resolve) => (answer = resolve))
    },
  }
  const take = createDelays(redis as never, 'test')
  await take('ada')
  expect(await waitOf(take('ada'))).toBeGreaterThan(0)
  answer([0, 17])
  await vi.waitFor(() => expect(given).toEqual([0, 17]), { timeout: 30_000 })
})
