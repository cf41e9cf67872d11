/** Enters when it is its turn; leaves when `until` resolves or rejects. */
export type Semaphore = (priority: number, until: Promise<unknown>, signal?: AbortSignal) => Promise<void>

interface Waiting {
  readonly priority: number
  readonly enter: () => void
}

/**
 * So many at once. Of those who wait, the lowest priority number enters first, and within one who came first.
 *
 * @throws the signal's reason: who waits leaves the queue when it aborts
 */
export const semaphore = (places: number): { acquire: Semaphore } => {
  let free = places
  const waiting: Waiting[] = []

  const leave = (): void => {
    const next = waiting.shift()
    if (next) next.enter()
    else free++
  }
  const enqueue = (one: Waiting): void => {
    const later = waiting.findIndex(({ priority }) => priority > one.priority)
    waiting.splice(later < 0 ? waiting.length : later, 0, one)
  }

  return {
    acquire: async (priority, until, signal) => {
      signal?.throwIfAborted()
      if (free > 0) free--
      else
        await new Promise<void>((resolve, reject) => {
          const one = {
            priority,
            enter: () => {
              signal?.removeEventListener('abort', abort)
              resolve()
            },
          }
          const abort = () => {
            waiting.splice(waiting.indexOf(one), 1)
            reject(signal?.reason)
          }
          enqueue(one)
          signal?.addEventListener('abort', abort, { once: true })
        })
      void until.then(leave, leave)
    },
  }
}
