import { describe, expect, it } from 'vitest'
import type { Result, Stage } from '../src/peers/compare.ts'
import { plotsOf } from '../src/peers/plots.ts'
import { ahead, compared, extrapolated, grown } from '../src/peers/sum-up.ts'

const stage = (pending: number, figures: Partial<Stage> = {}): Stage => ({
  ...{ pending, issue: 1_000, bulk: 5_000, redisBytes: 400, databaseBytes: 600, ends: 20_000, cpu: undefined, p99: 20 },
  ...figures,
})

const result = (name: string, figures: Partial<Result> = {}): Result => ({
  ...{
    name,
    title: name,
    burst: 2,
    cpu: { postgres: 5, redis: 10, workers: 15 },
    lateness: { p50: 5, p99: 15, max: 40 },
  },
  stages: [stage(10_000), stage(100_000)],
  ...figures,
})

const lapse = result('lapse', { title: 'Lapse' })

describe('what is compared', () => {
  it('stands beside each other, aspect by aspect', () => {
    const { heads, rows } = compared([lapse, result('other', { burst: 61.234, cpu: undefined })], 50_000)
    expect(heads).toEqual(['', 'Lapse', 'other'])
    expect(rows).toContainEqual(['50,000 ended at once', '2.00 s', '61.23 s'])
    expect(rows).toContainEqual(['CPU for 100,000 ends', '30.00 s', '–'])
  })

  it('tells where somebody is ahead of Lapse, in the direction that is better, wherever Lapse stands', () => {
    const other = result('other', { burst: 0.5, stages: [stage(10_000, { issue: 3_000, redisBytes: 0 })] })
    const worse = result('worse', { burst: 4, lateness: { p50: 6, p99: 16, max: 41 } })
    expect(ahead([other, worse, lapse], 50_000).rows).toEqual([
      ['50,000 ended at once', 'other', '0.50 s', '2.00 s', '4.00'],
      ['issued, 20 in flight', 'other', '3,000/s', '1,000/s', '3.00'],
      ['Redis for each', 'other', '0 bytes', '400 bytes', '–'],
    ])
  })

  it('has no remark when nobody is ahead, not even somebody who does as well, and none without Lapse', () => {
    expect(ahead([lapse, result('other')], 50_000).rows).toEqual([])
    expect(ahead([result('other'), result('better', { burst: 1 })], 50_000).rows).toEqual([])
  })
})

describe('growth', () => {
  it('goes on by the factor that the last step had', () => {
    const stages = [stage(1_000, { ends: 7 }), stage(10_000, { ends: 400 }), stage(100_000, { ends: 200 })]
    expect(extrapolated(stages, ({ ends }) => ends)).toBeCloseTo(100)
    expect(extrapolated(stages, ({ databaseBytes }) => databaseBytes)).toBeCloseTo(600)
    expect(extrapolated([stage(20_000, { p99: 10 }), stage(80_000, { p99: 20 })], ({ p99 }) => p99)).toBeCloseTo(
      63.2,
      1,
    )
  })

  it('is not made up from one size, nor from nothing', () => {
    expect(extrapolated([stage(1_000)], ({ ends }) => ends)).toBeUndefined()
    expect(extrapolated([stage(1_000, { redisBytes: 0 }), stage(2_000, { redisBytes: 0 })], (s) => s.redisBytes)).toBe(
      0,
    )
  })

  it('leaves out what was not measured, and what would follow from it', () => {
    const slow = result('slow', { stages: [stage(10_000)] })
    const { heads, rows } = grown([lapse, slow], [10_000, 100_000])
    expect(heads).toEqual(['with so many pending', '', '10,000', '100,000', '1,000,000, extrapolated'])
    expect(rows).toContainEqual(['ended a second', 'Lapse', '20,000/s', '20,000/s', '20,000/s'])
    expect(rows).toContainEqual(['ended a second', 'slow', '20,000/s', '–', '–'])
    expect(grown([lapse], [10_000]).heads).toEqual(['with so many pending', '', '10,000'])
  })
})

describe('the plots', () => {
  const plots = plotsOf([lapse, result('a & b <c>', { burst: 1 })], 50_000, [10_000, 100_000])

  it('are one for each aspect, and one for how each grows', () => {
    expect([...plots.keys()]).toEqual(expect.arrayContaining(['burst.svg', 'cpu.svg', 'growth-ends.svg']))
    expect(plots.get('growth-ends.svg')).toContain('100,000 pending')
  })

  it('say how others compare, in text that cannot break them', () => {
    const burst = plots.get('burst.svg') ?? ''
    expect(burst).toContain('1.00 s (0.50)')
    expect(burst).toContain('a &#38; b &#60;c&#62;')
    expect(burst).not.toContain('<c>')
  })

  it('can be read on light and on dark ground', () => {
    expect(plots.get('burst.svg')).toContain('prefers-color-scheme: dark')
  })

  it('draw the longest bar to the end, and a bar of nothing so that it can be seen', () => {
    const widths = [...(plots.get('burst.svg') ?? '').matchAll(/width="([\d.]+)" height="18"/g)].map(
      ([, width]) => width,
    )
    expect(widths).toEqual(['410.0', '205.0'])
    const empty = plotsOf([result('lapse', { burst: 0 }), result('b')], 1, [1]).get('burst.svg') ?? ''
    expect(empty).toContain('width="2.0" height="18"')
  })
})
