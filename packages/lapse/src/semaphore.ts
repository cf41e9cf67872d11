/** Enters when it is its turn; leaves when `until` resolves or rejects. */
export type Acquire = (by: Entrant, until: Promise<unknown>, signal?: AbortSignal) => Promise<void>

export interface Entrant {
  /** The lowest number enters first. */
  readonly priority: number
  /** Among whom turns go round, within a priority: an organization, say. */
  readonly share: string
}

interface Waiting extends Entrant {
  readonly enter: () => void
}

const rememberedShares = 1_000

/**
 * So many at once. Of those who wait, the lowest priority number enters first, within one the share that entered longest ago,
 * and within a share who came first.
 *
 * @throws the signal's reason: who waits leaves the queue when it aborts
 */
export const semaphore = (places: number): { acquire: Acquire } => {
  let free = places
  const waiting: Waiting[] = []

  /** When each share that still waits last entered, as a count. */
  const entered = new Map<string, number>()
  let entries = 0

  const leave = (): void => {
    const next = waiting.reduce<Waiting | undefined>(
      (best, one) => (best && !goesBefore(one, best) ? best : one),
      undefined,
    )
    if (!next) {
      free++
      entered.clear()
      return
    }
    waiting.splice(waiting.indexOf(next), 1)
    note(next.share)
    next.enter()
  }
  const note = (share: string): void => {
    // Whose turn it is matters among those that wait: to forget it now and then costs one turn.
    if (entered.size > rememberedShares) entered.clear()
    entered.set(share, ++entries)
  }
  const goesBefore = (one: Waiting, other: Waiting): boolean =>
    one.priority === other.priority
      ? (entered.get(one.share) ?? 0) < (entered.get(other.share) ?? 0)
      : one.priority < other.priority

  return {
    acquire: async ({ priority, share }, until, signal) => {
      signal?.throwIfAborted()
      if (free > 0) {
        free--
        note(share)
      } else
        await new Promise<void>((resolve, reject) => {
          const one: Waiting = {
            priority,
            share,
            enter: () => {
              signal?.removeEventListener('abort', abort)
              resolve()
            },
          }
          const abort = () => {
            waiting.splice(waiting.indexOf(one), 1)
            reject(signal?.reason)
          }
          waiting.push(one)
          signal?.addEventListener('abort', abort, { once: true })
        })
      void until.then(leave, leave)
    },
  }
}
