import type { Domain, Owed, Timer, Told } from '@lapse/domain'
import { nextTimer } from '@lapse/domain'
import { enqueueDeliveries, type Queues, type Timers } from '@lapse/queue'

type Advanced = Awaited<ReturnType<Domain['advance']>>
export type AdvancedRows = Advanced['rows']
type Refused = Advanced['refused']

/**
 * As many changes are on their way to Redis at most, some 50 MB of them: a burst of 50,000 ends fits in. A Redis that is
 * slower than what is committed would fill the memory.
 */
const maxUnderWay = 100_000

/**
 * Tells Redis what PostgreSQL has committed: new timers, timers to take back, side effects that are owed.
 *
 * It never throws: nothing depends on it. What could not be told comes with the look-ahead and the sweep. While Redis is
 * away or refuses writes nothing is sent, so that nothing waits for it.
 */
export class AfterCommit {
  readonly #queues: Queues
  readonly #timers: Timers
  readonly #onError: (error: unknown) => void
  readonly #running = new Set<Promise<boolean>>()
  #underWay = 0
  #overflowed = false

  constructor(queues: Queues, timers: Timers, onError: (error: unknown) => void) {
    this.#queues = queues
    this.#timers = timers
    this.#onError = onError
  }

  /** Whether all of it has arrived. */
  changes(changes: readonly Told[]): Promise<boolean> {
    return this.#tell(
      changes.flatMap((change) => change.timers),
      changes.flatMap((change) => change.stale),
      changes.flatMap((change) => change.owed),
    )
  }

  advanced(rows: AdvancedRows): Promise<boolean> {
    return this.#tell(
      rows.map(nextTimer).filter((timer) => timer !== undefined),
      [],
      rows.flatMap((row) => row.owed ?? []),
    )
  }

  /** Arms the timers of those whose hook has refused their step: the sweep would come later than they are to be tried again. */
  postponed(refused: Refused): Promise<boolean> {
    return this.#tell(
      refused.map(({ timer }) => timer).filter((timer) => timer !== undefined),
      [],
      [],
    )
  }

  /** Waits for what is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#running)
  }

  #tell(timers: readonly Timer[], stale: readonly Timer[], owed: readonly Owed[]): Promise<boolean> {
    const count = timers.length + stale.length + owed.length
    if (count === 0) return Promise.resolve(true)
    if (this.#isFull(count)) return Promise.resolve(false)
    const send = async (): Promise<boolean> => {
      await this.#queues.begun
      if (!(await this.#queues.health.isUsable())) return false
      await Promise.all([this.#timers.disarm(stale), this.#timers.arm(timers), enqueueDeliveries(this.#queues, owed)])
      return true
    }
    const telling = send().catch((error: unknown) => {
      this.#queues.health.failed(error)
      this.#onError(error)
      return false
    })
    this.#running.add(telling)
    this.#underWay += count
    return telling.finally(() => {
      this.#running.delete(telling)
      this.#underWay -= count
    })
  }

  /** One change alone may be larger: it is sent in chunks. */
  #isFull(count: number): boolean {
    const isFull = this.#underWay > 0 && this.#underWay + count > maxUnderWay
    if (isFull && !this.#overflowed)
      this.#onError(
        new Error(
          `Redis is slower than what is committed: ${this.#underWay} changes wait. The look-ahead arms the rest.`,
        ),
      )
    this.#overflowed = isFull
    return isFull
  }
}
