import { setImmediate as turn } from 'node:timers/promises'
import type { Timer } from '@lapse/domain'
import { timerId, type WakeUp } from './jobs.ts'
import type { Queues } from './queues.ts'

/** One pipeline at a time, so that no burst keeps a producer's command waiting past its time. */
const chunk = 1_000

/** As many as may wait for others; a bulk goes by itself, for nobody shall wait for it. */
const few = 50

export interface TimerOptions {
  /** How far ahead timers are enqueued, in milliseconds; unlimited without. The look-ahead brings the others. */
  horizonMs?: number | undefined
}

/** A timer as it is in Redis: `delayed` until then, unless it is being worked on. */
export interface StandingTimer {
  readonly state: string
  readonly firesAt: Date
}

/** The delayed jobs. Both verbs fail fast when Redis is away, and may be repeated at any time. */
export class Timers {
  readonly #queues: Queues
  readonly #horizonMs: number
  #gathered: Timer[] = []
  #sending: Promise<void> | undefined

  constructor(queues: Queues, { horizonMs = Number.POSITIVE_INFINITY }: TimerOptions = {}) {
    this.#queues = queues
    this.#horizonMs = horizonMs
  }

  /**
   * Enqueues a wake-up at exactly `dueAt`, wherever this process's clock stands. What comes in one turn of the event loop
   * goes out in one pipeline: a write for each would take a third of what issuing costs.
   */
  arm(timers: readonly Timer[]): Promise<void> {
    const near = timers.filter((timer) => timer.dueAt - Date.now() <= this.#horizonMs)
    if (near.length === 0 || near.length >= few) return this.#send(near)
    this.#gathered.push(...near)
    this.#sending ??= turn().then(() => {
      const together = this.#gathered
      this.#gathered = []
      this.#sending = undefined
      return this.#send(together)
    })
    return this.#sending
  }

  async disarm(timers: readonly Timer[]): Promise<void> {
    await Promise.all(timers.map((timer) => this.#queues.timers.remove(timerId(timer))))
  }

  /** Those that do not stand in Redis, in whatever state. */
  async missing(timers: readonly Timer[]): Promise<Timer[]> {
    const { redis, timers: queue } = this.#queues
    const asked = redis.pipeline()
    for (const timer of timers) asked.exists(queue.toKey(timerId(timer)))
    const answers = (await asked.exec()) ?? []
    const failed = answers.find(([error]) => error)?.[0]
    if (failed) throw failed
    return timers.filter((_, i) => answers[i]?.[1] !== 1)
  }

  /** The same timers, with how each of them stands in Redis. */
  standing<T extends Timer>(timers: readonly T[]): Promise<(T & { standing: StandingTimer | undefined })[]> {
    return Promise.all(
      timers.map(async (timer) => {
        const job = await this.#queues.timers.getJob(timerId(timer))
        const standing = job && { state: await job.getState(), firesAt: new Date(job.timestamp + job.delay) }
        return { ...timer, standing }
      }),
    )
  }

  async #send(timers: readonly Timer[]): Promise<void> {
    for (let i = 0; i < timers.length; i += chunk)
      await this.#queues.timers.addBulk(timers.slice(i, i + chunk).map(jobOf))
  }
}

const jobOf = (timer: Timer) => {
  const { id, kind, version, offset, dueAt } = timer
  const data: WakeUp = { id, kind, version, ...(offset !== undefined && { offset }) }
  // BullMQ fires at timestamp + delay: from one reading of the clock that is dueAt, whatever the clock said.
  const timestamp = Date.now()
  return { name: timer.step, data, opts: { jobId: timerId(timer), timestamp, delay: Math.max(0, dueAt - timestamp) } }
}
