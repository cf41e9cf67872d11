import type { Queues } from './queues.ts'

/**
 * Reads JSON that this package keeps in Redis. What cannot be read counts as absent, for then its owner writes it anew:
 * it must not stop every process until a person has deleted it. Throws when Redis is away.
 */
export const readStored = async <T>(
  { redis, report }: Pick<Queues, 'redis' | 'report'>,
  key: string,
  read: (value: Partial<Record<string, unknown>>) => T | undefined,
): Promise<T | undefined> => {
  const text = await redis.get(key).catch((error: Error) => {
    if (!isWrongType(error)) throw error
    return ''
  })
  if (text === null) return undefined
  const value = jsonOf(text)
  const found = isObject(value) ? read(value) : undefined
  if (found === undefined) report(new Error(`${key} in Redis cannot be read, and is written anew.`), 'stored-value')
  return found
}

/** `undefined` for what is no JSON. */
export const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The key holds another type of Redis: the server answers, but not to this command. */
export const isWrongType = (error: unknown): boolean => error instanceof Error && error.message.startsWith('WRONGTYPE')

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
