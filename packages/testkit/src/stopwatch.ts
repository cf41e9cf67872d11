import { performance } from 'node:perf_hooks'
import { afterFile } from './after-file.ts'

const beatMs = 2

/** Measures time that was really there: a busy machine takes the core away from this process, and nothing here is to blame. */
export interface Stopwatch {
  /** Milliseconds since it was started, without those in which this process had no core. */
  ms(): number
  /** How many of those without a core lie between two instants. */
  lostBetween(from: Date, to: Date): number
  /** By `performance.now()`: what is read now was not there at this instant, or it would have been read then. */
  notBefore(): number
  stop(): void
}

/** Starts one; it is stopped after the test file at the latest. */
export const stopwatch = (): Stopwatch => {
  const start = performance.now()
  const beats: [number, number] = [start, start]
  const losses: { end: number; ms: number }[] = []
  const beat = () => {
    const now = performance.now()
    const ms = now - beats[1] - beatMs
    // Less than this is the timer's own grain.
    if (ms > beatMs) losses.push({ end: now, ms })
    beats[0] = beats[1]
    beats[1] = now
  }
  const beating = setInterval(beat, beatMs)
  const stop = () => clearInterval(beating)
  afterFile(stop)
  const lost = (from: number, to: number): number => {
    let sum = 0
    for (const { end, ms } of losses) sum += Math.max(0, Math.min(end, to) - Math.max(end - ms, from))
    return sum
  }
  return {
    ms: () => {
      beat()
      const now = performance.now()
      return now - start - lost(start, now)
    },
    lostBetween: (from, to) => {
      beat()
      return lost(from.getTime() - performance.timeOrigin, to.getTime() - performance.timeOrigin)
    },
    notBefore: () => beats[0],
    stop,
  }
}
