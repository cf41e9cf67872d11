import { allOf } from '../cpu.ts'
import { type Figure, median, type Table } from '../measure.ts'
import { amount } from '../table.ts'
import type { Result, Stage } from './compare.ts'

type Unit = Figure['unit']

/** One thing that is compared. */
export interface Aspect<T> {
  /** Names its plot. */
  readonly name: string
  readonly what: string
  readonly unit: Unit
  readonly better: 'less' | 'more'
  readonly of: (measured: T) => number | undefined
  /** Only a part of the one before. */
  readonly part?: true
}

const less = { better: 'less' } as const
const more = { better: 'more' } as const

export const aspects = (ends: number): readonly Aspect<Result>[] => [
  { name: 'burst', what: `${group(ends)} ended at once`, unit: 's', ...less, of: ({ burst }) => burst },
  { name: 'lateness-p50', what: 'lateness, p50', unit: 'ms', ...less, of: ({ lateness }) => lateness.p50 },
  { name: 'lateness-p99', what: 'lateness, p99', unit: 'ms', ...less, of: ({ lateness }) => lateness.p99 },
  { name: 'lateness-max', what: 'lateness, max', unit: 'ms', ...less, of: ({ lateness }) => lateness.max },
  { name: 'cpu', what: 'CPU for 100,000 ends', unit: 's', ...less, of: ({ cpu }) => cpu && allOf(cpu) },
  { name: 'cpu-worker', what: 'of it the worker', unit: 's', ...less, of: ({ cpu }) => cpu?.workers, part: true },
  { name: 'cpu-redis', what: 'of it Redis', unit: 's', ...less, of: ({ cpu }) => cpu?.redis, part: true },
  { name: 'cpu-postgres', what: 'of it PostgreSQL', unit: 's', ...less, of: ({ cpu }) => cpu?.postgres, part: true },
  {
    name: 'issue',
    what: 'issued, 20 in flight',
    unit: '/s',
    ...more,
    of: ({ stages }) => median(stages.map(({ issue }) => issue)),
  },
  {
    name: 'bulk',
    what: 'issued by 1,000',
    unit: '/s',
    ...more,
    of: ({ stages }) => median(stages.map(({ bulk }) => bulk)),
  },
  { name: 'redis', what: 'Redis for each', unit: 'bytes', ...less, of: ({ stages }) => stages.at(-1)?.redisBytes },
  {
    name: 'postgres',
    what: 'PostgreSQL for each',
    unit: 'bytes',
    ...less,
    of: ({ stages }) => stages.at(-1)?.databaseBytes,
  },
]

/** How that changes with the number of pending ones. */
export const growing: readonly Aspect<Stage>[] = [
  { name: 'growth-ends', what: 'ended a second', unit: '/s', ...more, of: ({ ends }) => ends },
  { name: 'growth-cpu', what: 'CPU for 100,000 ends', unit: 's', ...less, of: ({ cpu }) => cpu && allOf(cpu) },
  { name: 'growth-lateness', what: 'lateness, p99', unit: 'ms', ...less, of: ({ p99 }) => p99 },
  { name: 'growth-issue', what: 'issued, 20 in flight', unit: '/s', ...more, of: ({ issue }) => issue },
  { name: 'growth-bulk', what: 'issued by 1,000', unit: '/s', ...more, of: ({ bulk }) => bulk },
  { name: 'growth-redis', what: 'Redis for each', unit: 'bytes', ...less, of: ({ redisBytes }) => redisBytes },
  {
    name: 'growth-postgres',
    what: 'PostgreSQL for each',
    unit: 'bytes',
    ...less,
    of: ({ databaseBytes }) => databaseBytes,
  },
]

const group = (n: number) => n.toLocaleString('en')

const shown = (value: number | undefined, unit: Unit) => (value === undefined ? '–' : amount(value, unit))

export const compared = (results: readonly Result[], ends: number): Table => ({
  heads: ['', ...results.map(({ title }) => title)],
  numbers: results.map((_, i) => i + 1),
  rows: aspects(ends).map(({ what, unit, of }) => [what, ...results.map((result) => shown(of(result), unit))]),
})

/** Ten times as many as were measured, along the line through the last two in a plot with two logarithmic axes. */
export const extrapolated = (stages: readonly Stage[], of: Aspect<Stage>['of']): number | undefined => {
  const [one, two] = stages.slice(-2)
  const [first, second] = [one && of(one), two && of(two)]
  if (!one || !two || first === undefined || second === undefined) return undefined
  if (first <= 0 || second <= 0) return second
  return second * 10 ** (Math.log(second / first) / Math.log(two.pending / one.pending))
}

export const grown = (results: readonly Result[], pending: readonly number[]): Table => {
  const further = pending.length > 1 ? [`${group(10 * (pending.at(-1) ?? 0))}, extrapolated`] : []
  const heads = ['with so many pending', '', ...pending.map(group), ...further]
  return {
    heads,
    numbers: heads.map((_, i) => i).slice(2),
    rows: growing.flatMap(({ what, unit, of }) =>
      results.map(({ title, stages }) => {
        const measured = pending.map((size) => {
          const stage = stages.find((stage) => stage.pending === size)
          return shown(stage && of(stage), unit)
        })
        const guess = stages.length === pending.length ? extrapolated(stages, of) : undefined
        return [what, title, ...measured, ...further.map(() => shown(guess, unit))]
      }),
    ),
  }
}

/** Where somebody does better than Lapse, and by how much. */
export const ahead = (results: readonly Result[], ends: number): Table => {
  const lapse = results.find(({ name }) => name === 'lapse')
  const others = results.filter((result) => result !== lapse)
  const wholes = aspects(ends).filter(({ part }) => !part)
  const rows = wholes.flatMap(({ what, unit, better, of }) =>
    others.flatMap((other) => {
      const [ours, theirs] = [lapse && of(lapse), of(other)]
      if (ours === undefined || theirs === undefined) return []
      const isAhead = better === 'less' ? theirs < ours : theirs > ours
      if (!isAhead) return []
      const times = better === 'less' ? ours / theirs : theirs / ours
      return [[what, other.title, shown(theirs, unit), shown(ours, unit), times > 1_000 ? '–' : times.toFixed(2)]]
    }),
  )
  return { heads: ['ahead of Lapse', 'who', 'theirs', 'ours', 'times'], numbers: [2, 3, 4], rows }
}
