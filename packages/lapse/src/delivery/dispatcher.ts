import type { Channel, ClaimedBatch, Domain } from '@lapse/domain'
import type { Deliverer } from './deliverer.ts'
import { type Ending, type HostedClaim, Slots } from './slots.ts'

export interface DispatcherOptions {
  /** How many attempts of each channel may be under way at once; a channel that is not named is not served here. */
  readonly slots: Partial<Readonly<Record<Channel, number>>>
  readonly onError: (error: unknown) => void
}

/** Each channel is looked at so often at the least, for what no wake-up has announced. */
const pollMs = 5_000

/** After an error: PostgreSQL is away, say. Doubles up to `pollMs`. */
const firstRetryMs = 500

/** When the walk over the lanes stopped before their end, it goes on after this. */
const breathMs = 20

/**
 * Serves the outbox: a wake-up says "look now", and one look claims what deserves it most for the slots that are free, makes
 * the attempts, and looks again when one ends. It needs no Redis: what waits for its time is known from PostgreSQL, and waited
 * for with a timer of the process's own.
 */
export class Dispatcher {
  readonly #channels: ReadonlyMap<Channel, ChannelDispatcher>

  constructor(domain: Domain, deliverer: Deliverer, { slots, onError }: DispatcherOptions) {
    this.#channels = new Map(
      (Object.entries(slots) as [Channel, number][]).map(([channel, count]) => [
        channel,
        new ChannelDispatcher(domain, deliverer, channel, new Slots(channel, count), onError),
      ]),
    )
  }

  /** Looks at one channel, or at all. */
  wake(channel?: Channel): void {
    if (channel !== undefined) this.#channels.get(channel)?.wake()
    else for (const one of this.#channels.values()) one.wake()
  }

  /** Claims nothing more. Resolves when no attempt is under way. */
  async stop(): Promise<void> {
    await Promise.all([...this.#channels.values()].map((one) => one.stop()))
  }
}

class ChannelDispatcher {
  readonly #domain: Domain
  readonly #deliverer: Deliverer
  readonly #channel: Channel
  readonly #slots: Slots
  readonly #onError: (error: unknown) => void
  readonly #turns = new Turns()
  readonly #underWay = new Set<Promise<void>>()
  #looking: Promise<void> | undefined
  #again = false
  #stopped = false
  #timer: NodeJS.Timeout | undefined
  #errors = 0

  constructor(domain: Domain, deliverer: Deliverer, channel: Channel, slots: Slots, onError: (error: unknown) => void) {
    this.#domain = domain
    this.#deliverer = deliverer
    this.#channel = channel
    this.#slots = slots
    this.#onError = onError
  }

  wake(): void {
    this.#again = true
    if (this.#stopped || this.#looking) return
    this.#looking = this.#look().finally(() => {
      this.#looking = undefined
    })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#looking
    await Promise.all(this.#underWay)
  }

  async #look(): Promise<void> {
    clearTimeout(this.#timer)
    let nextMs = pollMs
    while (this.#again && !this.#stopped) {
      // Wake-ups and endings of the same turn of the event loop are served by one look.
      await new Promise(setImmediate)
      this.#again = false
      try {
        nextMs = await this.#fill()
        this.#errors = 0
      } catch (error) {
        this.#onError(error)
        nextMs = firstRetryMs * 2 ** Math.min(this.#errors++, 4)
      }
    }
    if (!this.#stopped) this.#timer = setTimeout(() => this.wake(), Math.min(pollMs, Math.max(1, Math.ceil(nextMs))))
  }

  /** Fills the free slots, and answers in how many milliseconds to look again when nothing happens until then. */
  async #fill(): Promise<number> {
    while (!this.#stopped) {
      const { free: limit, general, rooms } = this.#slots
      if (limit <= 0) return pollMs
      const { channel, isFresh, cursor } = {
        channel: this.#channel,
        isFresh: this.#turns.isFresh,
        cursor: this.#turns.cursor,
      }
      const leaseMs = this.#deliverer.leaseMs
      const batch = await this.#domain.deliveries.claimDue({ channel, limit, general, rooms, cursor, leaseMs })
      for (const claim of batch.claims) this.#run(claim)
      this.#turns.moveOn(batch)
      await this.#tidy(batch)
      const isDue = batch.nextInMs !== null && batch.nextInMs <= 0
      if (isDue && (await this.#domain.deliveries.promote(this.#channel)) > 0) continue
      if (batch.claims.length === limit) continue
      if (!batch.ended) {
        if (batch.claims.length > 0) continue
        return breathMs
      }
      // The walk began after what was served last: what lies before has its turn now.
      if (!isFresh) {
        this.#turns.beginAnew()
        continue
      }
      return isDue ? breathMs : (batch.nextInMs ?? pollMs)
    }
    return pollMs
  }

  async #tidy({ unprobed, foreign }: ClaimedBatch): Promise<void> {
    if (unprobed.length > 0) await this.#domain.circuits.probeNow(this.#channel, unprobed)
    for (const lane of foreign) await this.#domain.deliveries.putOffForeign(this.#channel, lane)
  }

  #run(claim: HostedClaim): void {
    this.#slots.take(claim)
    const running = this.#deliverer
      .attempt(claim)
      .then(
        ({ status }): Ending => (status === 'sent' ? 'well' : status === 'interrupted' ? 'neutral' : 'badly'),
        (error): Ending => {
          this.#onError(error)
          return 'badly'
        },
      )
      .then((ending) => {
        this.#slots.release(claim, ending)
        this.#underWay.delete(running)
        this.wake()
      })
    this.#underWay.add(running)
  }
}

/** Shares whose lanes are remembered: those of which more than one had its turn. */
const rememberedShares = 200

/** Whose turn it is: after which share each class goes on, and after which lane each share. */
class Turns {
  #classes: Record<string, string> = {}
  readonly #shares = new Map<string, string>()

  get cursor() {
    return { classes: this.#classes, shares: Object.fromEntries(this.#shares) }
  }

  get isFresh(): boolean {
    return Object.keys(this.#classes).length === 0
  }

  beginAnew(): void {
    this.#classes = {}
  }

  moveOn({ claims, ended, last }: ClaimedBatch): void {
    if (ended && claims.length === 0) this.beginAnew()
    for (const { delivery } of claims) this.#served(delivery)
    // It stopped in the middle: it goes on there, even if nothing was claimed.
    if (!ended && last) this.#served(last)
  }

  #served({ priority, share, lane }: { priority: number; share: string; lane: string }): void {
    this.#classes[priority] = share
    this.#shares.delete(share)
    if (share !== lane) this.#shares.set(share, lane)
    const [oldest] = this.#shares.size > rememberedShares ? this.#shares.keys() : []
    if (oldest !== undefined) this.#shares.delete(oldest)
  }
}
