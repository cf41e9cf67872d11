import type { Channel } from '@lapse/domain'

/** One attempt, and how it is brought to its end from outside. */
export class UnderWay {
  readonly channel: Channel
  readonly #aborted = new AbortController()
  readonly #interrupted: Promise<never>
  #interrupt = (_: Error): void => {}

  constructor(channel: Channel) {
    this.channel = channel
    this.#interrupted = new Promise((_, reject) => {
      this.#interrupt = reject
    })
  }

  get signal(): AbortSignal {
    return this.#aborted.signal
  }

  abort(): void {
    this.#aborted.abort()
  }

  interrupt(): void {
    this.abort()
    this.#interrupt(new Error('interrupted'))
  }

  unlessInterrupted<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#interrupted])
  }
}
