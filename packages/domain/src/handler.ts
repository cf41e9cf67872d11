import type { Backoff } from './backoff.ts'
import type { Duration, EventType, Happening, Payload } from './kind.ts'

export interface HandlerCall<P = Payload> extends Happening<P> {
  /** The idempotency key: the same for every attempt at this side effect. */
  readonly deliveryId: string
  /** 1 for the first try. */
  readonly attempt: number
  /** Aborted when its time is up, and when the worker stops: what goes on after that is not heard. */
  readonly signal: AbortSignal
}

/**
 * Runs in the worker, after the commit, at least once. When it throws it is tried again: `GiveUp` says never, `TryAgain`
 * not before.
 */
export type Handler<P = Payload> = (call: HandlerCall<P>) => Promise<void> | void

export interface HandlerOptions<P = Payload> {
  readonly run: Handler<P>
  /** Attempts in all before it is given up; LAPSE_RETRY_ATTEMPTS unless said otherwise. */
  readonly attempts?: number
  /** The wait after the first failure, which doubles with each other, and the longest; LAPSE_RETRY_SECONDS to an hour. */
  readonly backoff?: { readonly first: Duration; readonly most: Duration }
  /** How long an attempt may take: one minute unless said otherwise, at most 15. */
  readonly timeout?: Duration
}

/** A handler with its durations worked out. What `policy` does not say is as for everything else. */
export interface HandlerTerms {
  readonly run: Handler
  readonly policy: Partial<Backoff>
  readonly timeoutMs: number
}

const known = ['run', 'attempts', 'backoff', 'timeout']
const minute = 60_000
const longestWait = 30 * 24 * 60 * minute

/** `wrong` refuses an option, and `duration` reads one. */
interface Reading {
  readonly wrong: (option: string, why: string) => never
  readonly duration: (option: string, value: Duration) => number
}

/** A kind's handlers as they were given, a function or an object each. */
export const handlersOf = <P extends Payload>(
  handlers: Partial<Record<EventType, Handler<P> | HandlerOptions<P>>>,
  reading: Reading,
): Partial<Record<EventType, HandlerTerms>> =>
  Object.fromEntries(
    Object.entries(handlers).map(([event, given]) => {
      const options = typeof given === 'function' ? { run: given } : given
      return [event, termsOf(options as HandlerOptions, `handlers.${event}`, reading)]
    }),
  )

const termsOf = (given: HandlerOptions, path: string, { wrong, duration }: Reading): HandlerTerms => {
  if (typeof given !== 'object' || given === null || typeof given.run !== 'function')
    wrong(path, 'is neither a function nor { run: a function }')
  for (const option of Object.keys(given))
    if (!known.includes(option)) wrong(`${path}.${option}`, `is no option. There are: ${known.join(', ')}`)
  const { run, attempts, backoff, timeout = minute } = given
  if (attempts !== undefined && !(Number.isInteger(attempts) && attempts >= 1 && attempts <= 100))
    wrong(`${path}.attempts`, 'must be a whole number from 1 to 100')
  const timeoutMs = duration(`${path}.timeout`, timeout)
  if (timeoutMs < 1 || timeoutMs > 15 * minute)
    wrong(`${path}.timeout`, 'must be above nothing, and at most 15 minutes')
  return {
    run,
    timeoutMs,
    policy: {
      ...(attempts !== undefined && { attempts }),
      ...(backoff !== undefined && waitsOf(backoff, `${path}.backoff`, { wrong, duration })),
    },
  }
}

const waitsOf = (backoff: NonNullable<HandlerOptions['backoff']>, path: string, { wrong, duration }: Reading) => {
  if (backoff?.first === undefined || backoff.most === undefined)
    wrong(path, "needs both { first, most }, as { first: '10s', most: '1h' }")
  const baseMs = duration(`${path}.first`, backoff.first)
  const capMs = duration(`${path}.most`, backoff.most)
  if (baseMs < 1) wrong(`${path}.first`, 'must be at least a millisecond')
  if (capMs < baseMs) wrong(`${path}.most`, `is below ${path}.first`)
  if (capMs > longestWait) wrong(`${path}.most`, 'must be at most 30 days')
  return { baseMs, capMs }
}
