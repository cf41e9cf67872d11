import { isUuid } from './jobs.ts'
import { Lease } from './lease.ts'
import type { Queues } from './queues.ts'
import { readStored } from './stored.ts'

/** The newest event that PostgreSQL has told of. As long as it has that one, it has all before it. */
export interface Witness {
  readonly eventId: string
  readonly resourceId: string
  /** Epoch milliseconds. */
  readonly at: number
}

const key = ({ prefix }: Queues) => `${prefix}:witness`

/** `undefined` when Redis knows of none. Throws when Redis is away. */
export const readWitness = (queues: Queues): Promise<Witness | undefined> =>
  readStored(queues, key(queues), ({ eventId, resourceId, at }) =>
    typeof eventId === 'string' && /^\d{1,18}$/.test(eventId) && isUuid(resourceId) && isInstant(at)
      ? { eventId, resourceId, at }
      : undefined,
  )

/** As far as PostgreSQL and JavaScript both have instants. */
const isInstant = (at: unknown): at is number => typeof at === 'number' && Math.abs(at) <= 8.64e15

export const keepWitness = async (queues: Queues, witness: Witness): Promise<void> => {
  await queues.redis.set(key(queues), JSON.stringify(witness))
}

/** A process that dies while it acts is followed by another after this. */
const leaseMs = 60_000

/**
 * Does `act` unless another process is at it. The lease is extended for as long as `act` takes. A process
 * that has lost it all the same (it was paused, or Redis was flushed) does not release that of the next.
 */
export const onlyOne = async <T>(queues: Queues, act: () => Promise<T>): Promise<T | undefined> => {
  const report = (error: unknown) => queues.report(error, 'restore-lease')
  const lease = new Lease(queues.redis, `${key(queues)}-lease`, leaseMs)
  if (!(await lease.take())) return undefined
  const extending = setInterval(() => lease.take().catch(report), lease.ms / 3)
  try {
    return await act()
  } finally {
    clearInterval(extending)
    // Without Redis it runs out by itself.
    await lease.release().catch(report)
  }
}
