import type { Channel } from '@lapse/domain'

/** One attempt, and how it is brought to its end from outside. */
export class UnderWay {
  readonly channel: Channel
  /** When its last byte may have gone out, by the process's clock: from then on nothing says that it has not arrived. */
  sentAt: number | undefined
  readonly #aborted = new AbortController()
  /** Why it was brought to its end, and who waits to be told. */
  #why: Error | undefined
  #reject: ((why: Error) => void) | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(channel: Channel) {
    this.channel = channel
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
    return new Promise<T>((resolve, reject) => {
      this.#reject = reject
      work.then(resolve, reject)
      if (this.#why) reject(this.#why)
    }).finally(() => clearTimeout(this.#timer))
  }

  #end(why: Error): void {
    this.#why ??= why
    this.#reject?.(why)
  }
}
