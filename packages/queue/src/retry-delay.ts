/** How long to wait before the next try: twice as long after each failure in a row. Milliseconds. */
export class RetryDelay {
  readonly #initialMs: number
  readonly #maxMs: number
  #nextMs: number

  constructor({ initialMs, maxMs }: { initialMs: number; maxMs: number }) {
    this.#initialMs = initialMs
    this.#maxMs = maxMs
    this.#nextMs = initialMs
  }

  next(): number {
    const ms = this.#nextMs
    this.#nextMs = Math.min(this.#maxMs, ms * 2)
    return ms
  }

  reset(): void {
    this.#nextMs = this.#initialMs
  }
}
