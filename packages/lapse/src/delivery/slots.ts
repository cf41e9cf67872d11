import type { Channel, Claim, Rooms } from '@lapse/domain'

/** One claim with the host that it goes to, where there is one. */
export type HostedClaim = Claim & { readonly host: string | null }

/** How an attempt ended, for the room that its lane has afterwards. */
export type Ending = 'well' | 'badly' | 'neutral'

interface Lane {
  underWay: number
  /** So many may be under way. */
  window: number
}

/** A lane begins with so many attempts at once, and gains one with each that succeeds. */
const firstWindow = 2

/** Lanes that are remembered though nothing is under way in them. */
const rememberedLanes = 1_000

/**
 * The slots of one channel in one process: who shares them, and what each is sure to get.
 *
 * - A lane (what can hang: an endpoint, a host, a handler) begins with two attempts at once, gains one with each success and
 *   halves with each failure, so that one that hangs keeps two slots, and one that is well has many.
 * - No organization or host has more than half of the slots that are not reserved, and no lane more than half of that. At a host that
 *   is used up, an organization with nothing under way has one all the same: what hangs for one tenant works for another.
 * - A quarter is reserved for organizations with nothing under way. Of mails, which one server takes, a fifth is reserved for
 *   those that carry a token, and for alerts.
 */
export class Slots {
  readonly #total: number
  readonly #reserved: number
  readonly #most: number
  readonly #mostOfLane: number
  readonly #first: number
  #underWay = 0
  readonly #lanes = new Map<string, Lane>()
  readonly #shares = new Map<string, number>()
  readonly #hosts = new Map<string, number>()

  constructor(channel: Channel, total: number) {
    this.#total = total
    const part = channel === 'email' ? total / 5 : total / 4
    this.#reserved = total > 1 ? Math.max(1, Math.floor(part)) : 0
    this.#most = channel === 'email' ? total : Math.max(1, Math.ceil((total - this.#reserved) / 2))
    this.#mostOfLane = channel === 'email' ? total : Math.max(1, Math.ceil(this.#most / 2))
    this.#first = channel === 'email' ? total : Math.min(firstWindow, this.#mostOfLane)
  }

  get underWay(): number {
    return this.#underWay
  }

  get free(): number {
    return this.#total - this.#underWay
  }

  /** Free for what has no right to the reserved slots. */
  get general(): number {
    return Math.max(0, this.free - this.#reserved)
  }

  /** How many more attempts each may have under way. */
  get rooms(): Rooms {
    const left = (counts: ReadonlyMap<string, number>) =>
      Object.fromEntries([...counts].map(([name, count]) => [name, this.#most - count]))
    const lanes = [...this.#lanes].map(([name, lane]) => [name, Math.max(0, lane.window - lane.underWay)])
    return {
      lanes: Object.fromEntries(lanes),
      shares: left(this.#shares),
      hosts: left(this.#hosts),
      each: { lane: this.#first, share: this.#most, host: this.#most },
      spare: Math.floor(this.#reserved / 2),
    }
  }

  take({ delivery, host }: HostedClaim): void {
    this.#underWay++
    const lane = this.#lanes.get(delivery.lane) ?? { underWay: 0, window: this.#first }
    lane.underWay++
    // The most recently used comes last.
    this.#lanes.delete(delivery.lane)
    this.#lanes.set(delivery.lane, lane)
    add(this.#shares, delivery.share, 1)
    if (host !== null) add(this.#hosts, host, 1)
  }

  release({ delivery, host }: HostedClaim, ending: Ending): void {
    this.#underWay--
    add(this.#shares, delivery.share, -1)
    if (host !== null) add(this.#hosts, host, -1)
    const lane = this.#lanes.get(delivery.lane)
    if (!lane) return
    lane.underWay--
    if (ending === 'well') lane.window = Math.min(this.#mostOfLane, lane.window + 1)
    if (ending === 'badly') lane.window = Math.max(1, Math.floor(lane.window / 2))
    this.#forget()
  }

  /** Those that were used longest ago, of what has nothing under way: it begins anew. */
  #forget(): void {
    if (this.#lanes.size <= rememberedLanes) return
    for (const [name, { underWay }] of this.#lanes) {
      if (underWay === 0) this.#lanes.delete(name)
      if (this.#lanes.size <= rememberedLanes) return
    }
  }
}

const add = (counts: Map<string, number>, name: string, by: number): void => {
  const count = (counts.get(name) ?? 0) + by
  if (count <= 0) counts.delete(name)
  else counts.set(name, count)
}
