import {
  type AttemptOutcome,
  type Backoff,
  backoff,
  type Channel,
  type Claim,
  type Domain,
  GiveUp,
  TryAgain,
  withDeadline,
  wordsOf,
} from '@lapse/domain'
import { done, drop, type Outcome, type Pace, retryIn } from '@lapse/queue'
import type { Mailer } from '../mail/mailer.ts'
import { CallError, createCaller } from '../outbound/call.ts'
import type { Resolve } from '../outbound/resolve.ts'
import { callSender } from './call.ts'
import { emailSender } from './email.ts'
import { handlerSender, termsOf } from './handler.ts'
import { policyOf } from './policy.ts'
import { FailedError, NoTurnError, type Sender } from './sender.ts'
import { UnderWay } from './under-way.ts'
import { webhookSender } from './webhook.ts'

export interface DeliverOptions {
  mailer?: Mailer | undefined
  /** At most so many mails in any second, over all processes together. */
  mailRate?: number | undefined
  /** At most so many mails go out a second time when a process is killed; 1 unless said otherwise. */
  mailCopies?: number | undefined
  /** Resolves the names of webhooks and calls. Default: the name servers of the system. */
  resolve?: Resolve | undefined
  /** Where the hosted pages are, for links in mails. */
  publicUrl?: string | undefined
  backoff: Backoff
  /** Longer than any attempt may take. */
  leaseMs?: number
  /** Told how every attempt ended, for the metrics. */
  onAttempt?: (channel: Channel, kind: string, status: AttemptOutcome['status']) => void
}

/** One attempt at one side effect: claim it, do it, write down how it went. */
export const createDeliverer = (domain: Domain, options: DeliverOptions, pace?: Pace) => {
  const { mailer, mailCopies: copies, publicUrl = 'http://127.0.0.1:3000', leaseMs = 60_000 } = options
  const call = createCaller(domain.addresses, options.resolve)
  const senders: Record<Channel, Sender> = {
    email: emailSender(domain, { mailer, publicUrl, pace, copies, patienceMs: (leaseMs * 2) / 3 }),
    webhook: webhookSender(domain, call),
    call: callSender(domain, call),
    handler: handlerSender(domain),
  }

  const underWay = new Set<UnderWay>()
  let stopped = false

  const attempt = async (channel: Channel, claim: Claim, noted: Promise<void>): Promise<AttemptOutcome> => {
    const mine = new UnderWay(channel)
    underWay.add(mine)
    try {
      // Not longer than the lease: then it would be another's.
      const limitMs = channel === 'handler' ? termsOf(domain, claim).timeoutMs : 0.9 * leaseMs
      const answer = await withDeadline(mine.unlessInterrupted(senders[channel](claim, mine.signal, noted)), limitMs)
      return { status: 'sent', ...answer }
    } catch (cause) {
      if (cause instanceof NoTurnError) return { status: 'interrupted', error: cause.message }
      if (mine.signal.aborted && !isAnswer(cause)) return { status: 'interrupted', error: 'its worker stopped' }
      return outcomeOf(cause, policyOf(domain.registry, options.backoff, channel, claim), claim)
    } finally {
      underWay.delete(mine)
      mine.abort()
    }
  }

  const deliver = async (channel: Channel, id: string): Promise<Outcome> => {
    if (stopped) return retryIn(0)
    const result = await domain.deliveries.claim(id, leaseMs, channel)
    if (result.verdict === 'later') return retryIn(result.inMs)
    if (result.verdict === 'settled') return drop(result.reason)
    const { claim } = result
    const started = performance.now()
    let note = () => {}
    const noted = new Promise<void>((resolve) => {
      note = resolve
    })
    const outcome = await attempt(channel, claim, noted)
      .then(async (ended) => {
        const ms = performance.now() - started
        await persist(
          () => domain.deliveries.settle(id, claim.delivery.attempt, ms, ended),
          () => !stopped && performance.now() - started < leaseMs,
        )
        return ended
      })
      .finally(note)
    options.onAttempt?.(channel, claim.kind, outcome.status)
    if (outcome.status === 'interrupted') return retryIn(0)
    return outcome.status === 'failed' ? retryIn(outcome.retryInMs) : done
  }

  /**
   * Begins nothing any more. Handlers are told at once and everything may come to its end; what has not by then is given
   * back, for another process to do again.
   */
  const stop = (): void => {
    stopped = true
    for (const one of underWay) if (one.channel === 'handler') one.abort()
    setTimeout(() => {
      for (const one of underWay) one.interrupt()
    }, windUpMs).unref()
  }

  return Object.assign(deliver, { stop })
}

export type Deliverer = ReturnType<typeof createDeliverer>

/** Shorter than a worker waits for what is under way before it ends. */
const windUpMs = 5_000

/** Whether it says by itself how to go on, and not only that it was aborted. */
const isAnswer = (cause: unknown): boolean =>
  cause instanceof FailedError || cause instanceof GiveUp || cause instanceof TryAgain

/** What an attempt that threw comes to. */
const outcomeOf = (cause: unknown, policy: Backoff, { delivery }: Claim): AttemptOutcome => {
  const error = wordsOf(cause)
  // Not before it was sent does it say anything of the other side.
  const ours = !(cause instanceof FailedError || cause instanceof CallError)
  const { answer = {}, notBeforeMs = 0, final = false } = cause instanceof FailedError ? cause : {}
  const waitMs = final || cause instanceof GiveUp ? undefined : backoff(policy, delivery.tries)
  if (waitMs === undefined) return { status: 'dead', error, ours, ...answer }
  const least = cause instanceof TryAgain ? cause.inMs : notBeforeMs
  return { status: 'failed', error, retryInMs: Math.max(waitMs, least), ours, ...answer }
}

/**
 * What has been sent must be written down: an absence of the database is no reason to send it twice. Nobody else has it
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
