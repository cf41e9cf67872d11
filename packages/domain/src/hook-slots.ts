/** A kind whose last transaction took longer has the fewer slots that slow kinds share. */
const slowMs = 1_000

/**
 * The part of the pool that transactions with hooks of ended kinds may hold: a hook may take ten seconds, and what has no
 * hooks, and every request, must find a connection meanwhile.
 */
export const hookShare = 0.4

interface Waiting {
  readonly kind: string
  readonly begin: () => void
}

/**
 * A semaphore for the transactions that advance kinds with hooks, shared by all lanes of a process: timers, sweeps, and
 * verbs that meet what is over.
 *
 * A kind holds one slot at most, and who has waited longest comes first. Kinds that were slow the last time share half of the slots, so
 * that any number of blocked kinds leaves the other half to those that are not.
 */
export class HookSlots {
  readonly #size: number
  readonly #slowSize: number
  readonly #running = new Set<string>()
  readonly #slow = new Set<string>()
  readonly #waiting: Waiting[] = []

  /** `connections`: how many the pool has. */
  constructor(connections: number) {
    this.#size = Math.max(1, Math.floor(connections * hookShare))
    this.#slowSize = Math.max(1, Math.floor(this.#size / 2))
  }

  /** Whether this kind would begin at once. */
  isFree(kind: string): boolean {
    return this.#admits(kind)
  }

  /** Whether its last transaction was slow. */
  isSlow(kind: string): boolean {
    return this.#slow.has(kind)
  }

  /** Runs `act` when it is this kind's turn. @throws the signal's reason when it is aborted before */
  async run<T>(kind: string, act: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#acquire(kind, signal)
    const began = performance.now()
    try {
      return await act()
    } finally {
      this.#running.delete(kind)
      if (performance.now() - began > slowMs) this.#slow.add(kind)
      else this.#slow.delete(kind)
      this.#beginNext()
    }
  }

  #acquire(kind: string, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        kind,
        begin: () => {
          signal?.removeEventListener('abort', giveUp)
          this.#running.add(kind)
          resolve()
        },
      }
      const giveUp = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', giveUp, { once: true })
      this.#waiting.push(waiting)
      this.#beginNext()
    })
  }

  #beginNext(): void {
    for (;;) {
      const next = this.#waiting.findIndex(({ kind }) => this.#admits(kind))
      if (next < 0) return
      for (const { begin } of this.#waiting.splice(next, 1)) begin()
    }
  }

  #admits(kind: string): boolean {
    if (this.#running.has(kind) || this.#running.size >= this.#size) return false
    if (!this.#slow.has(kind)) return true
    return [...this.#running].filter((other) => this.#slow.has(other)).length < this.#slowSize
  }
}
