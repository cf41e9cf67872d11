import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { producerConnection } from './connection.ts'
import { type QueueName, queueNames } from './jobs.ts'

export interface QueueOptions {
  redisUrl: string
  /** What every key begins with; `lapse` unless said otherwise. In braces it is a Redis Cluster hash tag. */
  prefix?: string
}

/** The producers' side of all queues, over one connection. */
export interface Queues extends Record<QueueName, Queue> {
  readonly all: readonly Queue[]
  readonly redis: Redis
  /** Resolves when Redis is there for the first time, or has had its time to be: for those who begin at once. */
  readonly begun: Promise<void>
  readonly prefix: string
  close(): Promise<void>
}

export const defaultPrefix = 'lapse'

export const openQueues = ({ redisUrl, prefix = defaultPrefix }: QueueOptions): Queues => {
  const redis = producerConnection(redisUrl)
  const begun = new Promise<void>((resolve) => {
    redis.once('ready', resolve)
    setTimeout(resolve, 1_500).unref()
  })
  const open = (name: QueueName): Queue => {
    const queue = new Queue(name, {
      connection: redis,
      prefix,
      // Both, or a queue that is made while Redis is away stays broken for good.
      skipWaitingForReady: true,
      skipVersionCheck: true,
    })
    queue.on('error', () => {})
    return queue
  }
  const queues = Object.fromEntries(queueNames.map((name) => [name, open(name)])) as Record<QueueName, Queue>
  return {
    ...queues,
    all: Object.values(queues),
    redis,
    begun,
    prefix,
    close: async () => {
      redis.disconnect()
      await Promise.all(Object.values(queues).map((queue) => queue.close().catch(() => {})))
    },
  }
}
