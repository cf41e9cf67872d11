import type { Domain, Owed, Timer, Told } from '@lapse/domain'
import { nextTimer } from '@lapse/domain'
import { enqueueDeliveries, type Full, type Queues, type Timers } from '@lapse/queue'

type Advanced = Awaited<ReturnType<Domain['advance']>>
export type AdvancedRows = Advanced['rows']
type Refused = Advanced['refused']

/**
 * Tells Redis what PostgreSQL has committed: new timers, timers to take back, side effects that are owed.
 *
 * It never throws: nothing depends on it. What could not be told comes with the look-ahead and the sweep.
 */
export class AfterCommit {
  readonly #queues: Queues
  readonly #timers: Timers
  readonly #onError: (error: unknown) => void
  readonly #running = new Set<Promise<boolean>>()

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

  /** `full`: how many side effects may wait in their queues. */
  advanced(rows: AdvancedRows, full?: Full): Promise<boolean> {
    return this.#tell(
      rows.map(nextTimer).filter((timer) => timer !== undefined),
      [],
      rows.flatMap((row) => row.owed ?? []),
      full,
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

  #tell(timers: readonly Timer[], stale: readonly Timer[], owed: readonly Owed[], full?: Full): Promise<boolean> {
    if (timers.length + stale.length + owed.length === 0) return Promise.resolve(true)
    const telling = this.#queues.begun
      .then(() =>
        Promise.all([
          this.#timers.disarm(stale),
          this.#timers.arm(timers),
          enqueueDeliveries(this.#queues, owed, full),
        ]),
      )
      .then(
        () => true,
        (error) => {
          this.#onError(error)
          return false
        },
      )
    this.#running.add(telling)
    return telling.finally(() => this.#running.delete(telling))
  }
}
