import { isCluster, type Lapse, type Place, RetryDelay, type Runner, timerPlaces } from 'lapse'

const beatMs = 1_000

/** While Redis is away or refuses, it is asked less and less often. */
const maxRetryMs = 8_000

/**
 * Runs the shards of the timers: of this worker's own number of them, and of every other number that somebody uses or that
 * still holds timers. So old and new processes may run side by side while the number is changed.
 */
export class TimerRunners {
  readonly #lapse: Lapse
  readonly #places: (count: number) => Place[]
  readonly #start: (place: Place) => Runner
  readonly #onError: (where: string, error: unknown) => void
  readonly #running = new Map<number, readonly Runner[]>()
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(
    lapse: Lapse,
    { redisUrl, prefix }: { redisUrl: string; prefix: string },
    start: (place: Place) => Runner,
    onError: (where: string, error: unknown) => void,
  ) {
    this.#lapse = lapse
    this.#places = (count) => timerPlaces(count, prefix, isCluster(redisUrl))
    this.#start = start
    this.#onError = onError
    this.#run(lapse.queues.divisions.own)
    const retryDelay = new RetryDelay({ initialMs: beatMs, maxMs: maxRetryMs })
    const beat = async (): Promise<void> => {
      // While Redis is away or refuses, everything stays as it is.
      const waitMs = await this.#follow().then(
        () => {
          retryDelay.reset()
          return beatMs
        },
        (error) => {
          this.#onError('shards', error)
          return retryDelay.next()
        },
      )
      if (!this.#stopped) this.#timer = setTimeout(beat, waitMs)
    }
    void beat()
  }

  async close(deadlineMs: number): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await Promise.all([...this.#running.values()].flat().map((runner) => runner.close(deadlineMs)))
  }

  /** Says that its own number is in use, and runs what others say. */
  async #follow(): Promise<void> {
    const { divisions } = this.#lapse.queues
    await divisions.claim()
    const wanted = await divisions.all()
    if (this.#stopped) return
    for (const count of wanted) if (!this.#running.has(count)) this.#run(count)
    for (const [count, runners] of this.#running)
      if (!wanted.includes(count)) {
        this.#running.delete(count)
        await Promise.all(runners.map((runner) => runner.close(1_000)))
      }
  }

  #run(count: number): void {
    this.#running.set(count, this.#places(count).map(this.#start))
  }
}
