import { createHmac } from 'node:crypto'
import { isIP, isIPv4 } from 'node:net'
import type { ApiToken, Queues } from 'lapse'
import { RateLimiterRes } from 'rate-limiter-flexible'
import { createDelays, Delayed } from './delays.ts'
import { createLimiter, type GiveBack, patience, type Rate } from './limiter.ts'
import { HttpError } from './problem.ts'

const quarter = 15 * 60
const hour = 60 * 60

const rates = {
  'redemption-address': { points: 20, seconds: quarter },
  'redemption-selector': { points: 10, seconds: quarter },
  'look-address': { points: 200, seconds: quarter },
  'mail-address': { points: 20, seconds: hour },
  'mail-organization': { points: 200, seconds: hour },
  'mail-target': { points: 5, seconds: hour },
  'sign-in-requester': { points: 5, seconds: hour },
  'sign-in-target': { points: 20, seconds: hour },
  'password-link': { points: 100, seconds: quarter },
  login: { points: 30, seconds: quarter },
  token: { points: 30, seconds: quarter },
} satisfies Record<string, Rate>

export type LimitName = keyof typeof rates | 'api-token' | 'password'

export interface Attempt {
  /**
   * Gives the attempt back: it was right, or nobody could say, because PostgreSQL is away; or no mail was sent. Nothing has
   * to wait for it, and a second call does nothing.
   */
  giveBack(): void
}

/** Failures at a secret that is compared at once, so that nothing can come between a guess and its count. */
export interface Failures {
  /** Counts one. @throws HttpError `too_many` when none was left */
  failed(ip: string): Promise<void>
  /** For a right one, where guessing must not show. @throws HttpError `too_many` when none is left */
  passed(ip: string): Promise<void>
}

/** What may be asked how often. Clients are told by `request.ip`. */
export interface Limits {
  readonly redemption: {
    /**
     * Takes one attempt before the work is done, so that parallel guesses count; one that is not given back is a failure.
     * `selector` is the part of the token that says which one is meant.
     *
     * @throws HttpError `too_many` when none is left, for right tokens too, without saying which limit it was
     */
    attempt(ip: string, selector?: string): Promise<Attempt>
  }
  /**
   * Takes one look at where a link leads, as `redemption.attempt` does. There are many: looking uses nothing up, and a whole
   * office opens old links.
   *
   * @throws HttpError `too_many` when none is left
   */
  look(ip: string): Promise<Attempt>
  /** Before a request that sends mail: `sender` is the client's address or the organization's id. @throws HttpError `too_many` */
  mailFrom(sender: string, about: 'address' | 'organization'): Promise<Attempt>
  /**
   * Before each mail, with the canonical address and what it is about: without an answer, answer as always and send
   * nothing.
   */
  mailTo(target: string, about: string): Promise<Attempt | undefined>
  /**
   * Before each link to sign in, as `mailTo`. Each requester has a limit of their own for the address, far below that of all together:
   * whoever asks for somebody else's links again and again keeps nobody from getting their own.
   */
  signIn(target: string, requester: string): Promise<Attempt | undefined>
  /**
   * Takes one try at a link's password; whoever fails waits ever longer for the next, and nobody else does, until a hundred have
   * failed within 15 minutes. `client` is an address, or what the host application calls them.
   *
   * @throws HttpError `too_many` when it is too soon
   */
  password(linkId: string, client: string): Promise<Attempt>
  /** At the board. */
  readonly login: Failures
  /** Bearer tokens. */
  readonly token: Failures
  /** Counts one use of an API token that may be used only so often. @throws HttpError `too_many` when it was too many */
  use(token: ApiToken): Promise<void>
}

export interface LimitsOptions {
  /** Addresses and selectors stand in Redis under their HMAC with this key only. */
  key: string
  /** Told of each refusal: for metrics. */
  onRefused: (limit: LimitName) => void
  /** Called when Redis did not count: this process does so by itself then. */
  onError?: (where: 'limits', error: unknown) => void
  /** Other rates than the usual ones. */
  rates?: Partial<Record<keyof typeof rates, Rate>>
}

/** All limits of the API. They hold for all processes together; while Redis is away, for each of them. */
export const createLimits = (
  { redis, prefix }: Pick<Queues, 'redis' | 'prefix'>,
  { key, onRefused, onError = () => {}, rates: others }: LimitsOptions,
): Limits => {
  const uncounted = (error: unknown) => onError('limits', error)
  const limit = (name: keyof typeof rates) => limitOf(name, others?.[name] ?? rates[name])
  const hashedFor = (name: LimitName) => (subject: string) =>
    createHmac('sha256', key).update(`limits\0${name}\0${subject}`).digest('base64url')
  const limitOf = (name: LimitName, rate: Rate) => {
    const limiter = createLimiter(redis, `${prefix}:limits:${name}`, rate, uncounted)
    const hashed = hashedFor(name)
    const refuse = (full: unknown): never => {
      if (!(full instanceof RateLimiterRes)) throw full
      onRefused(name)
      throw tooMany(full.msBeforeNext)
    }
    return {
      take: (subject: string, late = patience()): Promise<GiveBack> =>
        limiter.take(hashed(subject), late).catch(refuse),
      look: (subject: string): Promise<void> => limiter.look(hashed(subject), patience()).catch(refuse),
    }
  }

  const failures = (name: keyof typeof rates): Failures => {
    const { take, look } = limit(name)
    return {
      failed: async (ip) => void (await take(clientOf(ip))),
      passed: (ip) => look(clientOf(ip)),
    }
  }

  const byAddress = limit('redemption-address')
  const bySelector = limit('redemption-selector')
  const looks = limit('look-address')
  const mails = { address: limit('mail-address'), organization: limit('mail-organization') }
  const mailsTo = limit('mail-target')
  const signIns = { requester: limit('sign-in-requester'), target: limit('sign-in-target') }
  const byLink = limit('password-link')
  const passwords = createDelays(redis, `${prefix}:limits:password`, uncounted)

  const uses = new Map<string, ReturnType<typeof limitOf>>()
  const usesOf = (rate: Rate) => {
    const name = `${rate.points}/${rate.seconds}`
    const known = uses.get(name) ?? limitOf('api-token', rate)
    // Each rate that some token has is counted by a limiter of its own; Redis has the counts, so those can be made anew.
    if (uses.size >= mostRates && !uses.has(name)) uses.clear()
    uses.set(name, known)
    return known
  }
  return {
    redemption: {
      attempt: async (ip, selector) => {
        const late = patience()
        const taken = [await byAddress.take(clientOf(ip), late)]
        const giveBack = () => {
          for (const giveOne of taken) giveOne()
        }
        // One after the other, so that a client who has none left takes nothing from the owner of a token.
        if (selector !== undefined)
          try {
            taken.push(await bySelector.take(selector, late))
          } catch (error) {
            giveBack()
            throw error
          }
        return { giveBack }
      },
    },
    look: async (ip) => ({ giveBack: await looks.take(clientOf(ip)) }),
    mailFrom: async (sender, about) => ({
      giveBack: await mails[about].take(about === 'address' ? clientOf(sender) : sender),
    }),
    mailTo: (target, about) => mailsTo.take(`${about}\0${target}`).then((giveBack) => ({ giveBack }), unlessTooMany),
    // The requester before the target: who has none left takes nothing from the owner of the address.
    signIn: (target, requester) =>
      signIns.requester
        .take(`${requester}\0${target}`)
        .then(() => signIns.target.take(target))
        .then((giveBack) => ({ giveBack }), unlessTooMany),
    password: async (linkId, client) => {
      const who = isIP(client) ? clientOf(client) : client
      const giveBack = await passwords(hashedFor('password')(`${linkId}\0${who}`)).catch((error) => {
        if (!(error instanceof Delayed)) throw error
        onRefused('password')
        throw tooMany(error.ms, 'password')
      })
      // After the client: who has to wait takes nothing from all others.
      const giveBackToLink = await byLink.take(linkId).catch((error) => {
        giveBack()
        throw error
      })
      return {
        giveBack: () => {
          giveBack()
          giveBackToLink()
        },
      }
    },
    login: failures('login'),
    token: failures('token'),
    use: async ({ id, payload: { rateLimit } }) => {
      if (rateLimit) await usesOf({ points: rateLimit.requests, seconds: rateLimit.seconds }).take(id)
    },
  }
}

const mostRates = 1_000

/** Too many are no error where the answer must not differ. */
const unlessTooMany = (error: unknown): undefined => {
  if (!(error instanceof HttpError)) throw error
}

const tooMany = (ms: number, field?: string): HttpError =>
  new HttpError('too_many', {
    ...(field && { field }),
    detail: 'Wait for as many seconds as Retry-After says.',
    headers: { 'retry-after': String(Math.max(1, Math.ceil(ms / 1_000))) },
  })

/**
 * Who an address belongs to: with IPv6 everybody has a whole /64 to choose from. What a proxy says may hold a port, and
 * IPv4 may be written as IPv6.
 */
export const clientOf = (ip: string): string => {
  const bare = ip.replace(/%.*$/, '')
  const url = `http://${isIP(bare) === 6 ? `[${bare}]` : bare}`
  const host = URL.canParse(url) ? new URL(url).hostname : bare
  if (!host.startsWith('[')) return isIPv4(host) ? host : bare
  const [head = [], tail = []] = host
    .slice(1, -1)
    .split('::')
    .map((part) => part.split(':').filter(Boolean))
  const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail]
  const isMapped = groups.slice(0, 6).join(':') === '0:0:0:0:0:ffff'
  if (!isMapped) return `${groups.slice(0, 4).join(':')}::/64`
  const [high = 0, low = 0] = groups.slice(6).map((group) => Number.parseInt(group, 16))
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
