import { backoff } from '@lapse/domain'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { overDays } from '../src/delivery/policy.ts'

const hour = 3_600_000
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

/** The waits of one delivery that always fails. */
const waitsOf = (random: (n: number) => number) => {
  const waits: number[] = []
  for (let n = 1; ; n++) {
    const wait = backoff(overDays, n, random(n))
    if (wait === undefined) return waits
    waits.push(wait)
  }
}

describe('what somebody else has to repair', () => {
  it('is tried 28 times in two to four days, to the hour, whatever chance says', () => {
    fc.assert(
      fc.property(fc.array(chance, { minLength: 28, maxLength: 28 }), (chances) => {
        const waits = waitsOf((n) => chances[n] ?? 0)
        expect(waits).toHaveLength(27)
        const total = waits.reduce((sum, wait) => sum + wait, 0)
        expect(total).toBeGreaterThan(47 * hour)
        expect(total).toBeLessThan(96 * hour)
      }),
    )
    const middle = waitsOf(() => 0.5).reduce((sum, wait) => sum + wait, 0)
    expect(middle / hour / 24).toBeCloseTo(3, 1)
  })

  it('waits within bounds that never fall, and always a number', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 27 }), chance, (n, random) => {
        const [least, wait, most] = [backoff(overDays, n, 0), backoff(overDays, n, random), backoff(overDays, n, 1)]
        const next = backoff(overDays, n + 1, 0) ?? Number.POSITIVE_INFINITY
        expect(Number.isSafeInteger(wait)).toBe(true)
        expect(least).toBeLessThanOrEqual(wait as number)
        expect(wait).toBeLessThanOrEqual(most as number)
        expect(most).toBeLessThanOrEqual(6 * hour)
        expect(least).toBeLessThanOrEqual(next)
      }),
    )
  })

  it('that failed together does not come back together: half of a wait is left to chance', () => {
    for (let n = 1; n < 28; n++) {
      const [least = 0, most = 0] = [backoff(overDays, n, 0), backoff(overDays, n, 1)]
      expect(most / least).toBeCloseTo(2, 2)
      const waits = Array.from({ length: 200 }, () => backoff(overDays, n) ?? 0)
      expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(0.7 * (most - least))
    }
  })
})

it('attempts are used up exactly, and no policy waits for ever or for nothing', () => {
  const policy = fc.record({
    baseMs: fc.double({ min: 0.001, max: 30 * 24 * hour, noNaN: true }),
    capMs: fc.double({ min: 0.001, max: 30 * 24 * hour, noNaN: true }),
    attempts: fc.integer({ min: 1, max: 100 }),
  })
  fc.assert(
    fc.property(policy, chance, (p, random) => {
      for (let n = 1; n < p.attempts; n++) {
        const wait = backoff(p, n, random) ?? 0
        expect(Number.isSafeInteger(wait) && wait >= 1).toBe(true)
      }
      for (const n of [p.attempts, p.attempts + 1, 10_000]) expect(backoff(p, n, random)).toBeUndefined()
    }),
  )
})
