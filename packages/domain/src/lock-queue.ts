import { currentCaller } from './caller.ts'
import { LapseError } from './errors.ts'

/** So many at once wait for the same row, with a connection each. */
const maxRunning = 3

/** So many more wait here, without a connection. */
const maxWaiting = 500

/**
 * When none of them has got further for so long, the row is given up on. Usually PostgreSQL says so earlier, by the lock that one of
 * them was refused: this must not take a machine that is busy for a row that is held.
 */
const stuckMs = 3_000

interface Line {
  running: number
  /** When one of them last got further, by the process's monotonic clock. */
  movedAt: number
  readonly waiting: Set<{ readonly enter: () => void; readonly refuse: () => void }>
  isStuck: boolean
  timer?: NodeJS.Timeout
}

export interface LockQueueOptions {
  /** Fewer at once: large writes, of which each would wait for several others. */
  readonly atOnce?: number | undefined
}

/**
 * Who in this process is at a row, by the key of what they lock. As long as they get further, all of them come to their turn;
 * when they do not, a few wait for the lock and the others are refused at once, so that one locked row does not use up the
 * connections.
 */
export class LockQueue {
  readonly #lines = new Map<string, Line>()

  /** Runs `act` in its turn among those that lock the same. @throws LapseError `busy` */
  async run<T>(
    key: string | null | undefined,
    act: () => Promise<T>,
    { atOnce = maxRunning }: LockQueueOptions = {},
  ): Promise<T> {
    if (key === undefined || key === null) return act()
    const leave = await this.#enter(key.toLowerCase(), atOnce)
    let heldUp = false
    try {
      return await act()
    } catch (error) {
      heldUp = isLockTimeout(error)
      throw error
    } finally {
      leave(heldUp)
    }
  }

  /** Waits for a turn, and answers how to leave: `heldUp` when the lock was not to be had in time. */
  async #enter(key: string, atOnce: number): Promise<(heldUp: boolean) => void> {
    const line = this.#lines.get(key) ?? { running: 0, movedAt: performance.now(), waiting: new Set(), isStuck: false }
    this.#lines.set(key, line)
    if (line.running < atOnce && !line.isStuck) {
      line.running++
      return (heldUp) => this.#leave(key, line, heldUp)
    }
    if (line.isStuck || line.waiting.size >= maxWaiting) throw busy()
    await this.#wait(line)
    return (heldUp) => this.#leave(key, line, heldUp)
  }

  #wait(line: Line): Promise<void> {
    const { signal } = currentCaller()
    return new Promise((resolve, reject) => {
      const done = (then: () => void) => () => {
        line.waiting.delete(waiter)
        signal?.removeEventListener('abort', waiter.refuse)
        then()
      }
      const waiter = { enter: done(resolve), refuse: done(() => reject(busy())) }
      line.waiting.add(waiter)
      signal?.addEventListener('abort', waiter.refuse)
      line.timer ??= setTimeout(() => this.#look(line), stuckMs)
    })
  }

  /** After what the sockets have brought meanwhile: a process that was busy itself has not waited for a row. */
  #look(line: Line): void {
    delete line.timer
    setImmediate(() => {
      const leftMs = line.movedAt + stuckMs - performance.now()
      if (leftMs <= 0) refuseAll(line)
      if (line.waiting.size > 0) line.timer ??= setTimeout(() => this.#look(line), leftMs)
    })
  }

  #leave(key: string, line: Line, heldUp: boolean): void {
    line.movedAt = performance.now()
    line.isStuck = false
    // Whoever came after it would only wait as long again.
    if (heldUp) refuseAll(line)
    const [next] = line.waiting
    if (next) next.enter()
    else line.running--
    if (line.running > 0) return
    clearTimeout(line.timer)
    this.#lines.delete(key)
  }
}

/** Those that come until one of them gets further are refused too. */
const refuseAll = (line: Line): void => {
  line.isStuck = true
  for (const waiter of line.waiting) waiter.refuse()
}

/** Of the driver, or of Prisma around it. */
const isLockTimeout = (error: unknown): boolean => {
  const { code, meta } = error as {
    code?: string
    meta?: { driverAdapterError?: { cause?: { originalCode?: string } } }
  }
  return code === '55P03' || meta?.driverAdapterError?.cause?.originalCode === '55P03'
}

const busy = (): LapseError =>
  new LapseError('busy', { detail: 'Others wait for it already. Ask again in a moment.', retryAfter: 1 })
