import type { Queues } from './queues.ts'

/** The newest event that PostgreSQL has told of. As long as it has that one, it has all before it. */
export interface Witness {
  readonly eventId: string
  readonly resourceId: string
  /** Epoch milliseconds. */
  readonly at: number
}

const key = ({ prefix }: Queues) => `${prefix}:witness`

/** `undefined` when Redis knows of none. Throws when Redis is away. */
export const readWitness = async (queues: Queues): Promise<Witness | undefined> => {
  const text = await queues.redis.get(key(queues))
  return text === null ? undefined : (JSON.parse(text) as Witness)
}

export const keepWitness = async (queues: Queues, witness: Witness): Promise<void> => {
  await queues.redis.set(key(queues), JSON.stringify(witness))
}

/** Does `act` unless somebody else is at it; one that has died is waited for, for five minutes. */
export const onlyOne = async <T>(queues: Queues, act: () => Promise<T>): Promise<T | undefined> => {
  const lock = `${key(queues)}-heard`
  if ((await queues.redis.set(lock, '1', 'EX', 300, 'NX')) === null) return undefined
  try {
    return await act()
  } finally {
    await queues.redis.del(lock).catch(() => {})
  }
}
