import { Redis } from 'ioredis'

/**
 * For those who enqueue: every command fails within two seconds when Redis is away, instead of waiting for it. What was
 * sent and not answered may still have been done; deterministic job ids make that harmless.
 */
export const producerConnection = (url: string): Redis =>
  quiet(
    new Redis(url, {
      connectionName: 'lapse-producer',
      enableOfflineQueue: false,
      maxRetriesPerRequest: 1,
      commandTimeout: 2_000,
      connectTimeout: 2_000,
      // A connection on which nothing comes back is given up, or a half-open one would stay for a quarter of an hour.
      socketTimeout: 3_000,
      reconnectOnError: isReadOnly,
      // Without one of its own, the back-off goes up to 20 s, and so does the first wake-up after an outage.
      retryStrategy: () => 200,
    }),
  )

/** For workers: waits for Redis as long as it takes, and is back half a second after it. */
export const workerConnection = (url: string): Redis =>
  quiet(
    new Redis(url, {
      connectionName: 'lapse-worker',
      maxRetriesPerRequest: null,
      connectTimeout: 5_000,
      keepAlive: 5_000,
      // Longer than BullMQ ever lets a command block.
      socketTimeout: 15_000,
      reconnectOnError: isReadOnly,
      retryStrategy: () => 500,
    }),
  )

/** The server has become a replica: the address leads to the new primary by now. */
const isReadOnly = (error: Error): boolean => error.message.includes('READONLY')

/** Connection errors are told by the commands that fail; without a listener they would end the process. */
const quiet = (redis: Redis): Redis => redis.on('error', () => {})
