import { setTimeout as sleep } from 'node:timers/promises'
import { type Domain, GiveUp, priorities, type RateLimit } from '@lapse/domain'
import { asLetter, type Rendered, render } from '../mail/letter.ts'
import type { Mailer } from '../mail/mailer.ts'
import { semaphore } from '../semaphore.ts'
import { happeningOf, NoTurnError, type Sender } from './sender.ts'

export interface EmailOptions {
  readonly mailer?: Mailer | undefined
  readonly publicUrl: string
  /** When the next mail may go. */
  readonly rateLimit?: RateLimit | undefined
  /** So many at once may be accepted by the server and not noted yet: a process that is killed leaves them to be sent again. */
  readonly copies?: number | undefined
  /** How long a mail waits for its turn before another attempt is made at it. */
  readonly patienceMs: number
}

/** One that the server takes longer to accept gives its place to the next: it must not hold up all others. */
const slowAnswerMs = 1_000

const deferred = () => {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

export const emailSender = (
  domain: Domain,
  { mailer, publicUrl, rateLimit, copies = 1, patienceMs }: EmailOptions,
): Sender => {
  const unnoted = semaphore(copies)
  const url = (path: string): string => new URL(path, publicUrl).href

  return async ({ delivery, kind, about }, { signal, noted, beforeLastByte }) => {
    if (!mailer) throw new Error('No mail transport is configured. Set SMTP_URL.')
    const { target: to, id, priority, share } = delivery
    const { promise: released, resolve: release } = deferred()
    void noted.then(release, release)
    const turn = async () => {
      await unnoted.acquire({ priority, share }, released, signal)
      await rateLimit?.(priority < priorities.usual)
    }
    const late = async () => {
      await sleep(patienceMs, undefined, { signal })
      throw new NoTurnError('its turn did not come in time')
    }
    const mayGo = async () => {
      await Promise.race([turn(), late()])
      await beforeLastByte()
      setTimeout(release, slowAnswerMs).unref()
    }
    if ('notice' in about) return mailer.send({ ...asLetter(about.notice.letter), to, id }, { signal, mayGo })
    const { row, event, sealed } = about
    const template = domain.registry.get(kind).mail[event.type]
    if (!template) throw new Error(`There is no mail.templates.${kind}.${event.type} any more.`)
    const secrets = sealed === null ? {} : domain.secrets.open(row.id, sealed)
    const secret = (name: string): string => {
      if (secrets[name] !== undefined) return secrets[name]
      throw new GiveUp(`The ${name} for this mail has been erased. Issue a new ${kind}.`)
    }
    const token = event.type === 'reminded' ? domain.suppressions.tokenFor(to) : undefined
    const unsubscribe = token && url(`/unsubscribe?token=${token}`)
    const happening = happeningOf(domain, about)
    const letter = named(`${kind}.${event.type}`, () =>
      render(template, happening, { url, secret, secrets, unsubscribe }),
    )
    return mailer.send({ ...letter, to, id, unsubscribe }, { signal, mayGo })
  }
}

/** A mistake in a template says which one it is in. It may be mended by a deployment, so the mail is tried again. */
const named = (name: string, fill: () => Rendered): Rendered => {
  try {
    return fill()
  } catch (error) {
    if (error instanceof GiveUp) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`The mail template ${name} failed: ${reason}`, { cause: error })
  }
}
