import type { Timer } from '@lapse/domain'
import { timerId, type WakeUp } from './jobs.ts'
import type { Queues } from './queues.ts'

/** One pipeline at a time, so that no burst keeps a producer's command waiting past its time. */
const chunk = 1_000

export interface TimerOptions {
  /** How far ahead timers are enqueued, in milliseconds; unlimited without. The look-ahead brings the others. */
  horizonMs?: number | undefined
}

/** The delayed jobs. Both verbs fail fast when Redis is away, and may be repeated at any time. */
export class Timers {
  readonly #queues: Queues
  readonly #horizonMs: number

  constructor(queues: Queues, { horizonMs = Number.POSITIVE_INFINITY }: TimerOptions = {}) {
    this.#queues = queues
    this.#horizonMs = horizonMs
  }

  /** Enqueues a wake-up at exactly `dueAt`, wherever this process's clock stands. */
  async arm(timers: readonly Timer[]): Promise<void> {
    const near = timers.filter((timer) => timer.dueAt - Date.now() <= this.#horizonMs)
    for (let i = 0; i < near.length; i += chunk) await this.#queues.timers.addBulk(near.slice(i, i + chunk).map(jobOf))
  }

  async disarm(timers: readonly Timer[]): Promise<void> {
    await Promise.all(timers.map((timer) => this.#queues.timers.remove(timerId(timer))))
  }
}

const jobOf = (timer: Timer) => {
  const { id, kind, version, offset, dueAt } = timer
  const data: WakeUp = { id, kind, version, ...(offset !== undefined && { offset }) }
  // BullMQ fires at timestamp + delay: from one reading of the clock that is dueAt, whatever the clock said.
  const timestamp = Date.now()
  return { name: timer.step, data, opts: { jobId: timerId(timer), timestamp, delay: Math.max(0, dueAt - timestamp) } }
}
