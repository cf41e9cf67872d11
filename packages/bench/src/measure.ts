import type { ToldApart } from './told-apart.ts'

/** One measured figure beside its yardstick; a line has one or several. */
export interface Figure {
  readonly line: string
  readonly what: string
  readonly unit: 's' | 'ms' | '/s' | 'bytes' | 'off 0.5'
  readonly value: number
  readonly yardstick?: { readonly what: string; readonly value: number }
  /** As the target wants it: of the rates for rates, of the times for times. */
  readonly ratio?: number
  readonly target?: { readonly what: string; readonly met: boolean }
  /** What the value is the median of. */
  readonly rounds?: readonly number[]
}

export interface Settings {
  readonly quick: boolean
  /** Of the line `peers`: who is compared, how many end at once, and how many are pending meanwhile. */
  readonly sides?: readonly string[] | undefined
  readonly ends?: number | undefined
  readonly pending?: readonly number[] | undefined
  /** Of the line `neighbours`: those that are measured; all of them without. */
  readonly neighbours?: readonly string[] | undefined
}

/** What an observer sees of one class of answers. */
export interface Observed extends ToldApart {
  readonly line: string
  readonly what: string
  /** What it is told apart from. */
  readonly other: string
  readonly medianMs: number
  /** Of the medians. */
  readonly slowerByMs: number
  /** In milliseconds. */
  readonly samples: readonly number[]
}

/** Rows of cells under their heads; the numbers stand to the right. */
export interface Table {
  readonly heads: readonly string[]
  readonly numbers: readonly number[]
  readonly rows: readonly string[][]
}

/** A line of the benchmark: its figures, and everything that was lost, early, doubled, or answered otherwise than it must be. */
export type Line = (settings: Settings) => Promise<{
  figures: Figure[]
  problems: string[]
  observed?: Observed[]
  /** What does not fit into the table of figures, and what it was made of. */
  tables?: Table[]
  details?: unknown
}>

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, Math.max(0, ms)))

export const times = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i))

export const percentile = (values: readonly number[], share: number): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export const median = (values: readonly number[]): number => percentile(values, 0.5)

/** How many a second, when `act` does `count` of them. */
export const rateOf = async (count: number, act: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await act()
  return (count / (performance.now() - start)) * 1000
}

/** Calls `act` for 0 to `count - 1`, always `width` at a time. */
export const inFlight = async (count: number, width: number, act: (i: number) => Promise<unknown>): Promise<void> => {
  let next = 0
  const lane = async () => {
    while (next < count) await act(next++)
  }
  await Promise.all(times(width, lane))
}

export const chunks = <T>(items: readonly T[], size: number): T[][] =>
  times(Math.ceil(items.length / size), (i) => items.slice(i * size, (i + 1) * size))
