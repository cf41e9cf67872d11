import {
  type AttemptOutcome,
  type Backoff,
  backoff,
  type Channel,
  type Claim,
  type Domain,
  GiveUp,
  type RateLimit,
  TryAgain,
  wordsOf,
} from '@lapse/domain'
import { done, drop, type Outcome, retryIn } from '@lapse/queue'
import type { Mailer } from '../mail/mailer.ts'
import { CallError, createCaller } from '../outbound/call.ts'
import type { Resolve } from '../outbound/resolve.ts'
import { callSender } from './call.ts'
import { emailSender } from './email.ts'
import { handlerSender, termsOf } from './handler.ts'
import { forDays, policyOf } from './policy.ts'
import { healthOf } from './receiver-health.ts'
import { FailedError, isUnknownOutcome, isUnreachable, LeaseLostError, NoTurnError, type Sender } from './sender.ts'
import { UnderWay } from './under-way.ts'
import { webhookSender } from './webhook.ts'

export interface DeliverOptions {
  mailer?: Mailer | undefined
  /** At most so many mails in any second, over all processes together. */
  mailRate?: number | undefined
  /** At most so many mails go out a second time when a process is killed. Default: 1. */
  mailCopies?: number | undefined
  /** Resolves the names of webhooks and calls. Default: the name servers of the system. */
  resolve?: Resolve | undefined
  /** Where the hosted pages are, for links in mails. */
  publicUrl?: string | undefined
  backoff: Backoff
  /** Longer than any attempt may take until its last byte goes out. Default: a minute. */
  leaseMs?: number
  /** How long the mail server's answer is waited for after the last byte. Default: ten minutes, as RFC 5321 4.5.3.2.6 demands. */
  mailAnswerMs?: number | undefined
  /** How every attempt ended, for the metrics. */
  onAttempt?: (channel: Channel, kind: string, status: AttemptOutcome['status']) => void
}

/** Longer than a receiver over HTTP is waited for: a call at most 30 seconds. */
const httpAnswerMs = 35_000

/** How long an answer may take to be written down, while the database comes back. */
const roomMs = 30_000

/** An attempt whose outcome is unknown waits so many times as long as the first that failed: a minute by default. */
const unknownTimes = 6

/** Makes attempts at side effects, and writes down how they went. */
export const createDeliverer = (domain: Domain, options: DeliverOptions, rateLimit?: RateLimit) => {
  const { mailer, mailCopies: copies, publicUrl = 'http://127.0.0.1:3000', leaseMs = 60_000 } = options
  const { mailAnswerMs = 600_000 } = options
  const call = createCaller(domain.addresses, options.resolve)
  const senders: Record<Channel, Sender> = {
    email: emailSender(domain, {
      ...{ mailer, publicUrl, rateLimit, copies, patienceMs: (leaseMs * 2) / 3 },
    }),
    webhook: webhookSender(domain, call),
    call: callSender(domain, call),
    handler: handlerSender(domain),
  }

  const underWay = new Set<UnderWay>()
  let stopped = false

  const makeAttempt = async (claim: Claim, noted: Promise<void>): Promise<AttemptOutcome> => {
    const { id, channel, attempt: number } = claim.delivery
    const mine = new UnderWay(channel)
    underWay.add(mine)
    const beforeLastByte = async () => {
      const answerMs = channel === 'email' ? mailAnswerMs : httpAnswerMs
      if (!(await domain.deliveries.beginSending(id, number, answerMs + roomMs))) throw new LeaseLostError()
      mine.sentAt = performance.now()
      mine.allow(answerMs)
    }
    try {
      // Not longer than the lease: then it would be another's.
      mine.allow(channel === 'handler' ? termsOf(domain, claim).timeoutMs : 0.9 * leaseMs)
      const sending = senders[channel](claim, { signal: mine.signal, noted, beforeLastByte })
      const answer = await mine.unlessEnded(sending)
      return { status: 'sent', ...answer, ...(channel !== 'handler' && { receiver: 'up' }) }
    } catch (cause) {
      if (cause instanceof NoTurnError || cause instanceof LeaseLostError)
        return { status: 'interrupted', error: cause.message }
      if (mine.signal.aborted && mine.sentAt === undefined && !isAnswer(cause))
        return { status: 'interrupted', error: 'its worker stopped' }
      const policy = policyOf(domain.registry, options.backoff, channel, claim)
      const unknownRetryMs = unknownTimes * options.backoff.baseMs
      return outcomeOf(cause, policy, claim, mine, { mailAnswerMs, unknownRetryMs })
    } finally {
      underWay.delete(mine)
      mine.abort()
    }
  }

  /** Makes the attempt that was claimed. @throws when how it went could not be written down before its lease was over */
  const attempt = async (claim: Claim): Promise<AttemptOutcome> => {
    const { id, channel, attempt: number } = claim.delivery
    const started = performance.now()
    let note = () => {}
    const noted = new Promise<void>((resolve) => {
      note = resolve
    })
    try {
      const outcome = await makeAttempt(claim, noted)
      const ms = performance.now() - started
      await persist(
        () => domain.deliveries.settle(id, number, ms, outcome),
        () => !stopped && performance.now() - started < leaseMs,
      )
      options.onAttempt?.(channel, claim.kind, outcome.status)
      return outcome
    } finally {
      note()
    }
  }

  /** Claims one delivery by its id, whatever waits beside it, and makes an attempt. */
  const deliver = async (channel: Channel, id: string): Promise<Outcome> => {
    if (stopped) return retryIn(0)
    const result = await domain.deliveries.claim(id, leaseMs, channel)
    if (result.verdict === 'later') return retryIn(result.inMs)
    if (result.verdict === 'settled') return drop(result.reason)
    const outcome = await attempt(result.claim)
    if (outcome.status === 'interrupted') return retryIn(0)
    return 'retryInMs' in outcome && outcome.retryInMs !== undefined ? retryIn(outcome.retryInMs) : done
  }

  /**
   * Begins nothing any more. Handlers are aborted at once and everything may come to its end; what has not by then is given
   * back, for another process to do again.
   */
  const stop = (): void => {
    stopped = true
    for (const one of underWay) if (one.channel === 'handler') one.abort()
    setTimeout(() => {
      for (const one of underWay) one.interrupt()
    }, windUpMs).unref()
  }

  return Object.assign(deliver, { attempt, stop, leaseMs })
}

export type Deliverer = ReturnType<typeof createDeliverer>

/** Shorter than a worker waits for what is under way before it ends. */
const windUpMs = 5_000

/** Whether it says by itself how to go on, and not only that it was aborted. */
const isAnswer = (cause: unknown): boolean =>
  cause instanceof FailedError || cause instanceof GiveUp || cause instanceof TryAgain

/** Neither an answer nor that nothing was sent. */
const saysNothing = (cause: unknown): boolean =>
  !isAnswer(cause) && !(cause instanceof CallError) && !isUnreachable(cause)

/** What an attempt that threw comes to. */
const outcomeOf = (
  cause: unknown,
  policy: Backoff,
  { delivery }: Claim,
  { sentAt, signal }: UnderWay,
  { mailAnswerMs, unknownRetryMs }: { mailAnswerMs: number; unknownRetryMs: number },
): AttemptOutcome => {
  const error = wordsOf(cause)
  const {
    answer = {},
    notBeforeMs = 0,
    final,
    noSuchAddress,
    retryForDays,
  }: Partial<FailedError> = cause instanceof FailedError ? cause : {}
  const receiver = healthOf(delivery.channel, cause)
  const waitMs =
    final || cause instanceof GiveUp ? undefined : backoff(retryForDays ? forDays(policy) : policy, delivery.tries)
  // Sent whole, and nothing has been answered.
  if (sentAt !== undefined && (isUnknownOutcome(cause) || saysNothing(cause))) {
    const unknown = { status: 'unknown', error, receiver } as const
    // A mail server that was waited for as long as it may take has the mail: a second copy is for a person to send. One
    // that was cut off, by its end or by that of this process, may never have had it.
    const isLate = !signal.aborted && performance.now() - sentAt >= 0.9 * mailAnswerMs
    if (delivery.channel === 'email' && isLate) return { ...unknown, error: `${error} ${mayHaveArrived}` }
    return { ...unknown, retryInMs: waitMs && Math.max(waitMs, unknownRetryMs) }
  }
  // Not before it was sent does it say anything of the receiver.
  const ours = !(cause instanceof FailedError || cause instanceof CallError)
  if (waitMs === undefined)
    return { status: 'dead', error, ours, receiver, ...answer, ...(noSuchAddress && { bounced: delivery.target }) }
  const least = cause instanceof TryAgain ? cause.inMs : notBeforeMs
  return { status: 'failed', error, retryInMs: Math.max(waitMs, least), ours, receiver, ...answer }
}

const mayHaveArrived = 'The mail may have arrived: a retry sends it once more.'

/**
 * What has been sent must be written down: an absence of the database is no reason to send it twice. No other process has it
 * before its lease is over, so until then it is tried; and for a few seconds in any case.
 */
const persist = async (write: () => Promise<void>, isOurs: () => boolean): Promise<void> => {
  for (let tries = 1; ; tries++) {
    try {
      return await write()
    } catch (error) {
      if (tries >= 5 && !isOurs()) throw error
      await new Promise((resolve) => setTimeout(resolve, Math.min(tries, 4) * 500))
    }
  }
}
