import { describe, expect, it } from 'vitest'
import { isFlat, slopeOf } from '../src/soak.ts'

/** Sampled every ten seconds for half an hour. */
const sampled = (at: (hours: number) => number) =>
  Array.from({ length: 180 }, (_, i) => ({ x: i / 360, y: at(i / 360) }))

describe('what is sampled', () => {
  it('has the slope that it has', () => {
    expect(slopeOf(sampled((hours) => 100 + 30 * hours))).toBeCloseTo(30)
    expect(slopeOf([{ x: 1, y: 5 }])).toBe(0)
  })

  it('is flat when it warms up first, and when it swings', () => {
    expect(isFlat(sampled((hours) => Math.min(120, 60 + 600 * hours)))).toBe(true)
    expect(isFlat(sampled((hours) => 100 + 20 * Math.sin(hours * 200)))).toBe(true)
  })

  it('rises when it goes on rising', () => {
    expect(isFlat(sampled((hours) => 100 + 100 * hours))).toBe(false)
    expect(isFlat(sampled((hours) => 20 + 40 * hours))).toBe(false)
  })
})
