export interface ShareLimits {
  /** Places of all shares together. */
  readonly total: number
  /** Of `total`: kept for shares that have fewer than `sure` places. */
  readonly reserved: number
  /** Places of one share. */
  readonly perShare: number
  /** Places that a share gets from the reserve too. */
  readonly sure: number
  /** How many of one share may wait; the next one is refused. */
  readonly waiting: number
}

export class QueueFullError extends Error {
  override readonly name = 'QueueFullError'
}

interface Waiting {
  readonly enter: () => void
}

/**
 * A semaphore whose places are shared: a share that takes all it may have leaves the reserve to the others, and those who
 * wait get free places share by share. `enter` resolves to the function that gives the place back.
 *
 * @throws QueueFullError, or the signal's reason
 */
export const sharedPlaces = ({ total, reserved, perShare, sure, waiting: maxWaiting }: ShareLimits) => {
  const taken = new Map<string, number>()
  const waiting = new Map<string, Set<Waiting>>()
  let used = 0

  const mayEnter = (share: string): boolean => {
    const own = taken.get(share) ?? 0
    return own < perShare && used < (own < sure ? total : total - reserved)
  }
  const take = (share: string): (() => void) => {
    used++
    taken.set(share, (taken.get(share) ?? 0) + 1)
    let left = false
    return () => {
      if (left) return
      left = true
      used--
      const own = (taken.get(share) ?? 1) - 1
      if (own > 0) taken.set(share, own)
      else taken.delete(share)
      admit()
    }
  }
  const admit = (): void => {
    // A share that is put back stands last and is seen again: one place each in turn.
    for (const [share, queue] of waiting) {
      const [next] = queue
      if (!next || !mayEnter(share)) continue
      queue.delete(next)
      waiting.delete(share)
      if (queue.size > 0) waiting.set(share, queue)
      next.enter()
    }
  }

  return async (share: string, signal: AbortSignal): Promise<() => void> => {
    signal.throwIfAborted()
    if (mayEnter(share)) return take(share)
    const queue = waiting.get(share) ?? new Set()
    if (queue.size >= maxWaiting) throw new QueueFullError(`${maxWaiting} wait already`)
    waiting.set(share, queue)
    return new Promise((resolve, reject) => {
      const leave = () => {
        queue.delete(mine)
        if (queue.size === 0 && waiting.get(share) === queue) waiting.delete(share)
        reject(signal.reason)
      }
      const mine: Waiting = {
        enter: () => {
          signal.removeEventListener('abort', leave)
          resolve(take(share))
        },
      }
      queue.add(mine)
      signal.addEventListener('abort', leave, { once: true })
    })
  }
}
