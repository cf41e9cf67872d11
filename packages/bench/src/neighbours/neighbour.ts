import { median, percentile } from '../measure.ts'
import type { Stage } from './stage.ts'

/** How long each request, or each side effect, took in milliseconds; one that did not come in time has `Infinity`. */
export interface Measured {
  readonly alone: readonly number[]
  readonly beside: readonly number[]
  /** What else was seen and must not be, such as requests that were refused. */
  readonly wrong?: readonly string[]
  readonly notes?: string
}

export interface Bound {
  readonly what: string
  readonly holds: (alone: number, beside: number) => boolean
}

export interface Neighbour {
  readonly name: string
  readonly noisy: (quick: boolean) => string
  /** What is measured, of which nothing belongs to the noisy one. */
  readonly quiet: string
  readonly bound: Bound
  /** How long its mail server takes to accept a mail; 0 without. */
  readonly mailAcceptMs?: number
  /** For its worker and its API. */
  readonly env?: Record<string, string>
  /** @throws Skipped when it cannot be measured here. */
  readonly measure: (stage: Stage, quick: boolean) => Promise<Measured>
}

/** Thrown by a neighbour that cannot be measured with this code or on this machine. */
export class Skipped extends Error {}

const twice = (alone: number, beside: number) => beside <= 2 * alone

/** Side effects of others start within a second of when they would have. */
export const withinASecond: Bound = {
  what: '≤ 2 times, or 1 s later',
  holds: (alone, beside) => twice(alone, beside) || beside <= alone + 1_000,
}

/** A person waits for it. */
export const withinTwoSeconds: Bound = { what: '≤ 2 s', holds: (_, beside) => beside <= 2_000 }

/**
 * All of it shares the cores with the client, the databases and the noise. Below one time slice of the scheduler a ratio says
 * something about the machine, not about who waits for whom.
 */
const sliceMs = 25

export const atMostTwice: Bound = {
  what: `≤ 2 times (or ${sliceMs} ms)`,
  holds: (alone, beside) => twice(alone, beside) || beside <= sliceMs,
}

export const worst = (values: readonly number[]): number => percentile(values, 0.99)

/** How long a side effect is waited for. */
export const patienceMs = (quick: boolean): number => (quick ? 20_000 : 130_000)

const shown = (ms: number, quick: boolean): string =>
  ms === Number.POSITIVE_INFINITY
    ? `> ${patienceMs(quick).toLocaleString('en')}`
    : ms.toLocaleString('en', { maximumFractionDigits: ms < 100 ? 1 : 0 })

export const rowOf = (neighbour: Neighbour, quick: boolean, measured: Measured): { row: string[]; holds: boolean } => {
  const { alone, beside, wrong = [] } = measured
  const [before, during] = [worst(alone), worst(beside)]
  const holds = neighbour.bound.holds(before, during) && wrong.length === 0
  const both = (values: readonly number[]) => `${shown(median(values), quick)} / ${shown(worst(values), quick)}`
  return {
    holds,
    row: [
      `${neighbour.name}: ${neighbour.noisy(quick)}`,
      neighbour.quiet,
      both(alone),
      both(beside),
      Number.isFinite(during / before) ? (during / before).toFixed(1) : '–',
      neighbour.bound.what,
      [holds ? 'holds' : 'BROKEN', ...wrong, ...(measured.notes ? [measured.notes] : [])].join('; '),
    ],
  }
}
