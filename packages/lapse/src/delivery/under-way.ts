import type { Channel } from '@lapse/domain'

/** One attempt, and how it is brought to its end from outside. */
export class UnderWay {
  readonly channel: Channel
  /** Whether its last byte may have gone out: nothing says that it has not arrived. */
  isSending = false
  readonly #aborted = new AbortController()
  readonly #ended: Promise<never>
  #end = (_: Error): void => {}
  #timer: NodeJS.Timeout | undefined

  constructor(channel: Channel) {
    this.channel = channel
    this.#ended = new Promise((_, reject) => {
      this.#end = reject
    })
    // Heard by those that wait for the attempt; there may be none any more.
    this.#ended.catch(() => undefined)
  }

  get signal(): AbortSignal {
    return this.#aborted.signal
  }

  abort(): void {
    this.#aborted.abort()
  }

  interrupt(): void {
    this.abort()
    this.#end(new Error('interrupted'))
  }

  /** From now on it may take so long. */
  allow(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#end(new Error(`it did not finish within ${ms / 1000} seconds`)), ms)
  }

  /** What `work` answers, unless it is interrupted or takes too long first. */
  unlessEnded<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#ended]).finally(() => clearTimeout(this.#timer))
  }
}
