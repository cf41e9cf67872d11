import type { Answer, Claim, Domain, Happening, Occurrence } from '@lapse/domain'
import { retryAfterMs } from '../outbound/answer.ts'
import { CallError, type Called } from '../outbound/call.ts'

export interface SendContext {
  readonly signal: AbortSignal
  /** Resolves when it is written down how the attempt went. */
  readonly noted: Promise<void>
  /** Awaited right before the last byte goes out: extends the lease. @throws LeaseLostError when nothing may be sent any more */
  readonly beforeLastByte: () => Promise<void>
}

/**
 * Makes one attempt. What it throws says how to go on: `GiveUp` never, `TryAgain` not before, anything else when its time
 * comes; `FailedError` says besides what the receiver answered.
 */
export type Sender = (claim: Claim, context: SendContext) => Promise<Answer | undefined>

/** The other side has answered, and not as it should. */
export class FailedError extends Error {
  override readonly name = 'FailedError'
  readonly answer: Answer
  /** Not to be tried before, in milliseconds. */
  readonly notBeforeMs: number
  /** Whether there is no use in trying again. */
  readonly final: boolean
  /** Of a mail: its address does not exist, so that no other mail can reach it. */
  readonly noSuchAddress: boolean
  /** People have to repair it: it is retried for days, if the usual retries end sooner. */
  readonly retryForDays: boolean
  /** The answer says that the server as a whole takes nothing now. */
  readonly unreachable: boolean

  constructor(
    message: string,
    answer: Answer,
    {
      notBeforeMs = 0,
      final = false,
      noSuchAddress = false,
      retryForDays = false,
      unreachable = false,
    }: FailedOptions = {},
  ) {
    super(message)
    this.answer = answer
    this.notBeforeMs = notBeforeMs
    this.final = final
    this.noSuchAddress = noSuchAddress
    this.retryForDays = retryForDays
    this.unreachable = unreachable
  }
}

/** Nothing has been sent: the lease ran out, or the delivery was cancelled, before the last byte. That is no try. */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError'

  constructor() {
    super('its lease ran out, or it was cancelled, before it was sent')
  }
}

interface FailedOptions {
  notBeforeMs?: number | undefined
  final?: boolean
  noSuchAddress?: boolean
  retryForDays?: boolean
  unreachable?: boolean
}

/** The other side cannot be reached, or does not answer; nothing has been sent. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError'
  readonly unreachable = true
}

/** Two copies of this package have two classes, and one symbol. */
const unknownOutcome = Symbol.for('lapse.UnknownOutcomeError')

/** All of it was sent, and no answer came: the other side may have it. */
export class UnknownOutcomeError extends Error {
  override readonly name = 'UnknownOutcomeError'
  readonly sent = true
  readonly unreachable = true
  readonly [unknownOutcome] = true
}

/** Whether the other side may have done what this attempt asked for: another one may do it twice. */
export const isUnknownOutcome = (error: unknown): boolean =>
  (error instanceof CallError && error.sent) || has(error, unknownOutcome)

/** Whether this says something of the other side as a whole, for its circuit breaker: no answer, or 502, 503, 504; of a mail server 421. */
export const isUnreachable = (error: unknown): boolean => has(error, 'unreachable')

const has = (error: unknown, marker: string | symbol): boolean =>
  typeof error === 'object' && error !== null && (error as Record<typeof marker, unknown>)[marker] === true

/** Nothing has been sent, for its turn did not come in time: that is no try. */
export class NoTurnError extends Error {
  override readonly name = 'NoTurnError'
}

/**
 * What an answer over HTTP comes to: 2xx that it is done, anything else that it is not, and when it may be tried again.
 *
 * @throws FailedError
 */
export const answered = (
  { status, headers, broken }: Called,
  excerpt: string,
  { isFinal }: { isFinal: (status: number) => boolean },
): Answer => {
  const answer = { code: status, answer: excerpt }
  const ok = status >= 200 && status < 300
  if (ok && broken === undefined) return answer
  throw new FailedError(ok ? `It answered ${status}, but not to the end. ${broken}` : inWords(status), answer, {
    notBeforeMs: retryAfterMs(headers),
    final: isFinal(status),
    unreachable: status >= 502 && status <= 504,
  })
}

const inWords = (status: number): string => {
  if (status >= 300 && status < 400)
    return `It answered ${status}, a redirect, which is not followed. Give the address where it ends.`
  return status === 410 ? 'It answered 410: it is gone for good.' : `It answered ${status}.`
}

/** What happened to a resource; notices are for mails and webhooks only. */
export const occurrenceOf = ({ about }: Claim): Occurrence => {
  if ('notice' in about) throw new TypeError('a notice has no resource')
  return about
}

export const happeningOf = (domain: Domain, { row, event }: Occurrence): Happening => ({
  type: event.type,
  resource: domain.seen(row),
  at: event.at,
  from: event.from,
  to: event.to,
})
