/** There are as many as there may be, and as many wait. */
export class Full extends Error {
  override readonly name = 'Full'
}

interface Waiter {
  readonly enter: () => void
}

interface Place {
  running: number
  readonly waiting: Set<Waiter>
}

/** So many at once of each key, and so many that wait for their turn, in their order. */
export class Semaphore {
  readonly #bound: { readonly running: number; readonly waiting: number }
  readonly #places = new Map<string, Place>()

  constructor(bound: { readonly running: number; readonly waiting: number }) {
    this.#bound = bound
  }

  /** Answers how to leave. @throws Full when there is no room, or none in time */
  async enter(
    key: string,
    { patienceMs, signal }: { readonly patienceMs: number; readonly signal?: AbortSignal | undefined },
  ): Promise<() => void> {
    const place = this.#places.get(key) ?? { running: 0, waiting: new Set<Waiter>() }
    this.#places.set(key, place)
    if (place.running < this.#bound.running) place.running++
    else if (place.waiting.size >= this.#bound.waiting || signal?.aborted) throw new Full()
    else await wait(place, patienceMs, signal)
    return () => this.#leave(key, place)
  }

  #leave(key: string, place: Place): void {
    const [next] = place.waiting
    if (next) return void next.enter()
    place.running--
    if (place.running === 0) this.#places.delete(key)
  }
}

/** Takes over the room of one that leaves. */
const wait = (place: Place, patienceMs: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    const end = (then: () => void) => () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', giveUp)
      place.waiting.delete(waiter)
      then()
    }
    const waiter = { enter: end(resolve) }
    const giveUp = end(() => reject(new Full()))
    const timer = setTimeout(giveUp, patienceMs)
    signal?.addEventListener('abort', giveUp)
    place.waiting.add(waiter)
  })
