import { setTimeout as sleep } from 'node:timers/promises'
import { type Engine, type Lapse, scheduleUpkeep, spanOf, type UpkeepIntervals } from 'lapse'

const beatMs = 1_000

/** After a beat that took its time. */
const restMs = 100

/** A clock that is off by more than this cannot be trusted to fire timers. */
const tolerableSkewMs = 1_000

/**
 * The safety net, on a timer of the worker's own that needs nobody.
 *
 * Every second it asks whether timers can be relied on. When Redis is away or accepts no writes, or this machine's clock is
 * off, they cannot, and it sweeps each time, without waiting for Redis. When Redis has forgotten (flushed, failed over, restored), it brings the schedules and the
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
  #redis: 'well' | 'forgetful' | 'bad' | 'slow' = 'well'
  #redisWasBad = true
  #skewMs = 0
  readonly #sweeping = new Set<Promise<void>>()

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
    // An absence or a refusal shorter than a beat loses timers too: those that producers could not arm meanwhile.
    const wasBad = () => {
      this.#redisWasBad = true
    }
    // Of a cluster, that of one node.
    lapse.queues.redis.on('close', wasBad).on('-node', wasBad)
    lapse.queues.health.onChange(wasBad)
  }

  /** The first beat does it all: sweeps what was missed, schedules, looks ahead. */
  async start(): Promise<void> {
    await this.#beat()
    const next = (inMs: number) => {
      this.#timer = setTimeout(() => {
        const began = performance.now()
        this.#beating = this.#beat().then(() => next(Math.max(restMs, beatMs - (performance.now() - began))))
      }, inMs)
    }
    next(beatMs)
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#beating
    clearTimeout(this.#timer)
    await Promise.all(this.#sweeping)
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
    if (await this.#lapse.queues.health.isUsable()) await this.#guard('restored', () => this.#recognizeRestore())
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
    // By what the last beat found: while Redis hangs, an answer takes seconds.
    const swept = this.#isUnreliable && this.#sweepForABeat()
    this.#redis = await this.#redisState()
    if (this.#redis === 'bad') this.#redisWasBad = true
    await swept
    if (this.#redis === 'forgetful' || (this.#redis === 'well' && this.#redisWasBad))
      await this.#guard('re-arm', () => this.#rearm(this.#redis === 'forgetful'))
    const waited = performance.now() - this.#sweptAt
    if (!swept && (this.#isUnreliable || waited > this.#intervals.sweep + 2 * beatMs)) await this.#sweepForABeat()
  }

  /** Whether timers may not fire. */
  get #isUnreliable(): boolean {
    return this.#redis === 'bad' || this.#redis === 'slow' || Math.abs(this.#skewMs) > tolerableSkewMs
  }

  /** A hook that takes its time holds its own kind up, and not the next sweep of the others. */
  #sweepForABeat(): Promise<unknown> {
    const sweeping = this.#guard('sweep', () => this.sweep()).finally(() => this.#sweeping.delete(sweeping))
    this.#sweeping.add(sweeping)
    return Promise.race([sweeping, sleep(beatMs, undefined, { ref: false })])
  }

  async #redisState(): Promise<'well' | 'forgetful' | 'bad' | 'slow'> {
    const { health } = this.#lapse.queues
    const ask = async () => {
      if ((await health.check()).status !== 'ok') return 'bad'
      return (await this.#engine.isRemembered()) ? 'well' : 'forgetful'
    }
    const asked = ask().catch((error: unknown) => {
      health.failed(error)
      return 'bad' as const
    })
    return Promise.race([asked, sleep(beatMs, 'slow' as const, { ref: false })])
  }

  /** What is overdue first, then what is to come, and then what has become due between the two. */
  async #rearm(forgetful: boolean): Promise<void> {
    // Before, not after: the connection may break again meanwhile.
    this.#redisWasBad = false
    try {
      if (forgetful) await this.#engine.beginAnew()
      await scheduleUpkeep(this.#lapse.queues, this.#intervals)
      await this.sweep()
      await this.#engine.lookAhead()
      await this.sweep()
    } catch (error) {
      this.#redisWasBad = true
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
