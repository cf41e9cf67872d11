import type { History, Instant } from '../history.ts'
import { casesOf, type Rule, type Violation } from './case.ts'
import { doubled, undelivered, unevenLedger } from './effects.ts'
import { aliveAfterEnd, endedEarly, endsInTime, endsOnce } from './ending.ts'
import { heldUp } from './neighbours.ts'
import { lostWrite, wrongAnswer, wrongUses } from './writes.ts'

/** Nothing that waits for a timer, a sweep or a worker that starts takes longer. */
const boundMs = 30_000

/** So long after a fault requests may still fail. */
export const aftermathMs = 10_000

/** An API that has waited this long for PostgreSQL met no error, but a machine with too much to do. */
const busyMs = 3_500

const ofOne: Record<string, Rule> = {
  'alive-after-its-end': aliveAfterEnd,
  'ended-early': endedEarly,
  'not-ended-in-time': endsInTime(boundMs),
  'ended-more-than-once': endsOnce,
  'acknowledged-and-lost': lostWrite,
  'uses-miscounted': wrongUses,
  'refused-without-reason': wrongAnswer,
  'events-and-ledger-differ': unevenLedger,
  'side-effect-missing': undelivered,
  'side-effect-doubled': doubled,
  'held-up-by-another': heldUp,
}

const ofAll: Record<string, (history: History) => readonly string[]> = {
  'server-error': ({ serverErrors, faults }) =>
    serverErrors
      .filter(({ since, at, status }) => status !== 503 || at - since < busyMs)
      .filter(({ since, at }) => !faults.some((one) => one.fails && one.start <= at && since <= one.end + aftermathMs))
      .map(({ at, status, where, body }) => `${time(at)} ${where} answered ${status}: ${body}`),
  'slow-to-stop': ({ exits }) =>
    exits
      .filter(({ code, ms }) => code !== 0 || ms > 10_000)
      .map(({ name, code, ms }) => `${name} ended with code ${code} after ${ms.toFixed(0)} ms`),
}

const time = (at: Instant) => new Date(at).toISOString().slice(11, 23)

export const ruleNames = [...Object.keys(ofOne), ...Object.keys(ofAll)]

/** Judges by what clients and receivers have seen, and what everybody can read: it knows nothing of how Lapse works. */
export const check = (history: History): Violation[] => [
  ...casesOf(history).flatMap((one) =>
    Object.entries(ofOne).flatMap(([rule, find]) =>
      find(one, history).map((what) => ({ rule, life: one.life.name, what })),
    ),
  ),
  ...Object.entries(ofAll).flatMap(([rule, find]) => find(history).map((what) => ({ rule, what }))),
]
