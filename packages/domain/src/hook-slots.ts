/** A kind one of whose transactions took longer is slow, and shares fewer slots with others that are. */
const slowMs = 1_000

/** So long after it: what fails quickly, or has just been put off, does not show that it is quick again. */
const slowForMs = 60_000

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
 * A kind holds one slot at most, and the kind that has waited longest comes first. Kinds that were slow lately share half
 * of the slots, so that any number of blocked kinds leaves the other half to those that are not.
 */
export class HookSlots {
  readonly #size: number
  readonly #slowSize: number
  readonly #running = new Set<string>()
  /** Until when each kind counts as slow, by the process's monotonic clock. */
  readonly #slow = new Map<string, number>()
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

  /** Whether one of its transactions was slow lately. */
  isSlow(kind: string): boolean {
    return performance.now() < (this.#slow.get(kind) ?? 0)
  }

  /** Runs `act` when it is this kind's turn. @throws the signal's reason when it is aborted before */
  async run<T>(kind: string, act: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#acquire(kind, signal)
    const began = performance.now()
    try {
      return await act()
    } finally {
      this.#running.delete(kind)
      const now = performance.now()
      if (now - began > slowMs) this.#slow.set(kind, now + slowForMs)
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
    if (!this.isSlow(kind)) return true
    return [...this.#running].filter((other) => this.isSlow(other)).length < this.#slowSize
  }
}
