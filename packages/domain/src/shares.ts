import { type Caller, type Lane, lanes } from './caller.ts'

/** What part of the connections a lane is sure of; the rest is shared by all. See docs/decisions/requests.md. */
const reserves: Readonly<Record<Lane, number>> = { checks: 0.2, upkeep: 0.2, 'sign-in': 0.1, work: 0 }

/** No organization and no token holds more than this part of the connections. */
const ownersPart = 1 / 3

/** Longer than a busy moment, and short enough that a request is answered within its deadline. */
const patienceMs = 3_000
/** For what has no deadline: a program that uses the library, a worker. */
const longPatienceMs = 10_000

/** More would be answered too late anyway. */
const maxWaiting = 1_000

type Release = () => void

interface Waiter {
  readonly lane: Lane
  readonly owner: string | undefined
  readonly grant: () => void
}

/** No connection, or none any more: the SQLSTATE says which to `isUnavailable`. */
export class NoConnection extends Error {
  override readonly name = 'NoConnection'
  readonly code: '53300' | '57014'
  /** As an error of the driver has it: Prisma hands on what looks like one. */
  readonly severity = 'ERROR'

  constructor(reason: 'busy' | 'given-up') {
    super(
      reason === 'busy'
        ? 'All connections to PostgreSQL that this may use are taken. Ask again in a moment, or raise LAPSE_DB_POOL_SIZE.'
        : 'The caller has given up waiting for PostgreSQL.',
    )
    this.code = reason === 'busy' ? '53300' : '57014'
  }
}

/**
 * Divides the connections of a pool: each lane is sure of its reserve and may use what no other lane's reserve needs, and
 * no owner takes more than a third. Those who wait are served in their order, but for those whose lane or owner is full.
 */
export class Shares {
  readonly #total: number
  readonly #reserved: Readonly<Record<Lane, number>>
  readonly #perOwner: number
  readonly #held: Record<Lane, number> = { checks: 0, upkeep: 0, 'sign-in': 0, work: 0 }
  readonly #ofOwners = new Map<string, number>()
  readonly #waiting = new Set<Waiter>()

  constructor(total: number) {
    this.#total = total
    const part = (lane: Lane) => (total < 3 ? 0 : Math.round(total * reserves[lane]))
    this.#reserved = { checks: part('checks'), upkeep: part('upkeep'), 'sign-in': part('sign-in'), work: 0 }
    this.#perOwner = Math.max(1, Math.ceil(total * ownersPart))
  }

  /** Waits for a share. @throws NoConnection when there was none in time, or the caller gave up */
  take({ lane = 'work', owner, signal }: Caller): Promise<Release> {
    if (signal?.aborted) return Promise.reject(new NoConnection('given-up'))
    // Nobody is overtaken: of those who wait, none fits.
    if (this.#fits(lane, owner)) return Promise.resolve(this.#hold(lane, owner))
    if (this.#waiting.size >= maxWaiting) return Promise.reject(new NoConnection('busy'))
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', giveUp)
        this.#waiting.delete(waiter)
      }
      const refuse = (reason: 'busy' | 'given-up') => {
        leave()
        reject(new NoConnection(reason))
      }
      const giveUp = () => refuse('given-up')
      const timer = setTimeout(refuse, signal ? patienceMs : longPatienceMs, 'busy')
      signal?.addEventListener('abort', giveUp)
      const waiter: Waiter = {
        lane,
        owner,
        grant: () => {
          leave()
          resolve(this.#hold(lane, owner))
        },
      }
      this.#waiting.add(waiter)
    })
  }

  #fits(lane: Lane, owner: string | undefined): boolean {
    if (owner !== undefined && (this.#ofOwners.get(owner) ?? 0) >= this.#perOwner) return false
    if (this.#held[lane] < this.#reserved[lane]) return true
    const spoken = lanes.reduce((sum, one) => sum + Math.max(this.#held[one], this.#reserved[one]), 0)
    return spoken < this.#total
  }

  #hold(lane: Lane, owner: string | undefined): Release {
    this.#count(lane, owner, 1)
    return () => {
      this.#count(lane, owner, -1)
      for (const waiter of this.#waiting) if (this.#fits(waiter.lane, waiter.owner)) waiter.grant()
    }
  }

  #count(lane: Lane, owner: string | undefined, by: 1 | -1): void {
    this.#held[lane] += by
    if (owner === undefined) return
    const count = (this.#ofOwners.get(owner) ?? 0) + by
    if (count === 0) this.#ofOwners.delete(owner)
    else this.#ofOwners.set(owner, count)
  }
}
