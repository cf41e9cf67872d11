import { describe, expect, it } from 'vitest'
import type { Caller } from '../src/caller.ts'
import { isUnavailable } from '../src/database.ts'
import { Shares } from '../src/shares.ts'

/** Whether each got a share at once, and how to give it back. */
const taker = (total: number) => {
  const shares = new Shares(total)
  const take = async (caller: Caller, count = 1) => {
    const got: (() => void)[] = []
    const waiting = Array.from({ length: count }, () => shares.take(caller).then((release) => got.push(release)))
    for (const one of waiting) one.catch(() => {})
    await new Promise(setImmediate)
    return got
  }
  return { shares, take }
}

describe('the connections of a pool', () => {
  it('are never all taken by work: two are left to checks, two to upkeep, and one to sign-in, of ten', async () => {
    const { take } = taker(10)
    expect(await take({ lane: 'work' }, 30)).toHaveLength(5)
    expect(await take({ lane: 'sign-in' }, 30)).toHaveLength(1)
    expect(await take({ lane: 'upkeep' }, 30)).toHaveLength(2)
    expect(await take({ lane: 'checks' }, 30)).toHaveLength(2)
  })

  it.each(['checks', 'upkeep', 'sign-in'] as const)('are not all taken by %s either', async (lane) => {
    const { take } = taker(10)
    await take({ lane }, 30)
    for (const other of ['checks', 'upkeep', 'sign-in'] as const)
      if (other !== lane) expect((await take({ lane: other })).length).toBe(1)
  })

  it('are used by one lane as far as no other lane’s reserve needs them', async () => {
    const { take } = taker(10)
    expect(await take({ lane: 'checks' }, 30)).toHaveLength(7)
  })

  it('are all used where there are too few to divide', async () => {
    for (const total of [1, 2]) expect(await taker(total).take({ lane: 'work' }, 5)).toHaveLength(total)
  })

  it('no owner has more than a third of them; others go on', async () => {
    const { take } = taker(12)
    expect(await take({ owner: 'noisy' }, 30)).toHaveLength(4)
    expect(await take({ owner: 'quiet' })).toHaveLength(1)
  })

  it('go to those who wait, in their order, but for those whose owner has enough', async () => {
    const { shares, take } = taker(2)
    const [first] = await take({ owner: 'noisy' })
    const order: string[] = []
    const next = async (owner: string) => {
      const release = await shares.take({ owner })
      order.push(owner)
      return release
    }
    const waiting = [next('noisy'), next('quiet')]
    expect((await waiting[1])?.()).toBeUndefined()
    first?.()
    await waiting[0]
    expect(order).toEqual(['quiet', 'noisy'])
  })

  it('are not waited for by who has given up: then and there, and with an error that passes', async () => {
    const { shares, take } = taker(1)
    const [held] = await take({})
    const giveUp = new AbortController()
    const waiting = shares.take({ signal: giveUp.signal }).catch((error) => error)
    giveUp.abort()
    expect(isUnavailable(await waiting)).toBe(true)
    expect(isUnavailable(await shares.take({ signal: giveUp.signal }).catch((error) => error))).toBe(true)
    held?.()
    expect(await take({})).toHaveLength(1)
  })
})
