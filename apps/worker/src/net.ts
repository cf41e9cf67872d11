import { type Engine, type Lapse, scheduleUpkeep, spanOf, type UpkeepIntervals } from 'lapse'

const beatMs = 1_000

/** A clock that is off by more than this cannot be trusted to fire timers. */
const tolerableSkewMs = 1_000

/**
 * The safety net, on a timer of the worker's own that needs nobody.
 *
 * Every second it asks whether timers can be relied on. When Redis is away, or this machine's clock is off, they cannot,
 * and it sweeps each time. When Redis has forgotten (flushed, failed over, restored), it brings the schedules and the
 * timers back. And when the scheduled sweep has not come, it sweeps.
 */
export class Net {
  readonly #lapse: Lapse
  readonly #engine: Engine
  readonly #intervals: UpkeepIntervals
  readonly #onError: (where: string, error: unknown) => void
  #timer: NodeJS.Timeout | undefined
  #beating: Promise<void> = Promise.resolve()
  /** By the process's monotonic clock, as all durations here. */
  #sweptAt = Number.NEGATIVE_INFINITY
  #redisWasAway = true
  #skewMs = 0

  constructor(
    lapse: Lapse,
    engine: Engine,
    intervals: UpkeepIntervals,
    onError: (where: string, error: unknown) => void,
  ) {
    this.#lapse = lapse
    this.#engine = engine
    this.#intervals = intervals
    this.#onError = onError
    // An absence shorter than a beat loses timers too: those that producers could not arm meanwhile.
    const away = () => {
      this.#redisWasAway = true
    }
    // Of a cluster, that of one node.
    lapse.queues.redis.on('close', away).on('-node', away)
  }

  /** The first beat does it all: sweeps what was missed, schedules, looks ahead. */
  async start(): Promise<void> {
    await this.#beat()
    const next = () => {
      this.#timer = setTimeout(() => {
        this.#beating = this.#beat().then(next)
      }, beatMs)
    }
    next()
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#beating
    clearTimeout(this.#timer)
  }

  /** By how much this machine's clock is ahead of the database's, where that is more than measuring it may be off. */
  get skewMs(): number {
    return Math.abs(this.#skewMs) > 20 ? this.#skewMs : 0
  }

  /** Whether a sweep has been done lately. */
  get isHealthy(): boolean {
    return performance.now() - this.#sweptAt < 4 * this.#intervals.sweep + 10_000
  }

  async sweep(): Promise<void> {
    await this.#engine.sweep()
    this.#sweptAt = performance.now()
    this.#skewMs = await this.#lapse.clockSkew()
    if (this.#lapse.queues.redis.status === 'ready') await this.#guard('restored', () => this.#recognizeRestore())
  }

  async #recognizeRestore(): Promise<void> {
    const loss = await this.#engine.recognizeRestore()
    if (!loss) return
    this.#onError(
      'restored',
      new Error(
        `PostgreSQL is behind Redis: what happened between ${spanOf(loss)} is lost. Was it restored from a backup? "lapse restored" lists what is live again.`,
      ),
    )
    await this.#engine.lookAhead()
  }

  async #beat(): Promise<void> {
    const redis = await this.#redisState()
    if (redis === 'away') this.#redisWasAway = true
    else if (redis === 'forgetful' || this.#redisWasAway)
      await this.#guard('re-arm', () => this.#rearm(redis === 'forgetful'))
    const unreliable = redis === 'away' || Math.abs(this.#skewMs) > tolerableSkewMs
    const waited = performance.now() - this.#sweptAt
    if (unreliable || waited > this.#intervals.sweep + 2 * beatMs) await this.#guard('sweep', () => this.sweep())
  }

  async #redisState(): Promise<'well' | 'forgetful' | 'away'> {
    try {
      return (await this.#engine.isRemembered()) ? 'well' : 'forgetful'
    } catch {
      return 'away'
    }
  }

  /** What is overdue first, then what is to come, and then what has become due between the two. */
  async #rearm(forgetful: boolean): Promise<void> {
    // Before, not after: the connection may break again meanwhile.
    this.#redisWasAway = false
    try {
      if (forgetful) await this.#engine.beginAnew()
      await scheduleUpkeep(this.#lapse.queues, this.#intervals)
      await this.sweep()
      await this.#engine.lookAhead()
      await this.sweep()
    } catch (error) {
      this.#redisWasAway = true
      throw error
    }
  }

  async #guard(where: string, act: () => Promise<unknown>): Promise<void> {
    try {
      await act()
    } catch (error) {
      this.#onError(where, error)
    }
  }
}
