import {
  type AttemptOutcome,
  type Backoff,
  backoff,
  type Claim,
  type Domain,
  type Happening,
  withDeadline,
} from '@lapse/domain'
import { type DeliveryChannel, done, drop, type Outcome, retryIn } from '@lapse/queue'
import { render } from './mail/letter.ts'
import { type Mailer, RefusedError } from './mail/mailer.ts'

export interface DeliverOptions {
  mailer?: Mailer | undefined
  /** Where the hosted pages are, for links in mails. */
  publicUrl?: string | undefined
  backoff: Backoff
  /** Longer than any attempt may take. */
  leaseMs?: number
  /** Told how every attempt ended, for the metrics. */
  onAttempt?: (channel: DeliveryChannel, kind: string, status: AttemptOutcome['status']) => void
}

/** One attempt at one side effect: claim it, do it, write down how it went. */
export const createDeliverer = (domain: Domain, options: DeliverOptions) => {
  const { mailer, publicUrl = 'http://127.0.0.1:3000', leaseMs = 60_000 } = options

  const url = (path: string): string => new URL(path, publicUrl).href

  const email = async ({ delivery, sealed, ...claim }: Claim): Promise<void> => {
    const template = domain.registry.get(claim.row.kind).mail[claim.event.type]
    if (!mailer) throw new Error('No mail transport is configured. Set SMTP_URL.')
    if (!template) throw new Error(`The kind ${claim.row.kind} has no mail for ${claim.event.type} any more.`)
    const secrets = sealed === null ? {} : domain.secrets.open(claim.row.id, sealed)
    const secret = (name: string): string => {
      if (secrets[name] !== undefined) return secrets[name]
      throw new RefusedError(`The ${name} for this mail has been erased. Issue a new ${claim.row.kind}.`)
    }
    const letter = render(template, happeningOf(domain, claim), { url, secret, secrets })
    await mailer.send({ ...letter, to: delivery.target, id: delivery.id })
  }

  const handler = async ({ delivery, ...claim }: Claim): Promise<void> => {
    const handle = domain.registry.get(claim.row.kind).handlers[claim.event.type]
    if (!handle) throw new Error(`The kind ${claim.row.kind} has no handler for ${claim.event.type} any more.`)
    await handle({ ...happeningOf(domain, claim), deliveryId: delivery.id, attempt: delivery.attempt })
  }

  const senders: Record<DeliveryChannel, (claim: Claim) => Promise<void>> = { email, handler }

  const attempt = async (channel: DeliveryChannel, claim: Claim): Promise<AttemptOutcome> => {
    try {
      // Not longer than the lease: then it would be another's.
      await withDeadline(senders[channel](claim), 0.9 * leaseMs)
      return { status: 'sent' }
    } catch (cause) {
      const error = cause instanceof Error ? cause.message : String(cause)
      const tries = Math.max(1, claim.delivery.attempt - claim.delivery.round * options.backoff.attempts)
      const retryInMs = cause instanceof RefusedError ? undefined : backoff(options.backoff, tries)
      return retryInMs === undefined ? { status: 'dead', error } : { status: 'failed', error, retryInMs }
    }
  }

  return async (channel: DeliveryChannel, id: string): Promise<Outcome> => {
    const result = await domain.deliveries.claim(id, leaseMs)
    if (result.verdict === 'later') return retryIn(result.inMs)
    if (result.verdict === 'settled') return drop(result.reason)
    const { claim } = result
    const started = performance.now()
    const outcome = await attempt(channel, claim)
    await persist(() => domain.deliveries.settle(id, claim.delivery.attempt, performance.now() - started, outcome))
    options.onAttempt?.(channel, claim.row.kind, outcome.status)
    return outcome.status === 'failed' ? retryIn(outcome.retryInMs) : done
  }
}

export type Deliverer = ReturnType<typeof createDeliverer>

const happeningOf = (domain: Domain, { row, event }: Pick<Claim, 'row' | 'event'>): Happening => ({
  type: event.type,
  resource: domain.seen(row),
  at: event.at,
  from: event.from,
  to: event.to,
})

/** What has been sent must be written down: a short absence of the database is no reason to send it twice. */
const persist = async (write: () => Promise<void>): Promise<void> => {
  for (let tries = 1; ; tries++) {
    try {
      return await write()
    } catch (error) {
      if (tries === 5) throw error
      await new Promise((resolve) => setTimeout(resolve, tries * 500))
    }
  }
}
