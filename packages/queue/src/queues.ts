import type { Queue } from 'bullmq'
import { isCluster } from './address.ts'
import { type Connection, producerConnection } from './connection.ts'
import { Divisions } from './divisions.ts'
import { RedisHealth } from './health.ts'
import { type QueueName, queueNames } from './jobs.ts'
import { ReadableQueue } from './readable-job.ts'
import type { QueueReport } from './report.ts'
import { isShardCount, mostShards, type Place, placeOf, timerPlaces } from './shards.ts'

export interface QueueOptions {
  /** One server, a cluster, or sentinels; see `readRedisUrl`. */
  redisUrl: string
  /** What every key begins with; `lapse` unless said otherwise. */
  prefix?: string
}

/** The producers' side of all queues, over one connection. Of the timers' shards `timers` is the first. */
export interface Queues extends Record<QueueName, Queue> {
  /** With all shards of the timers. */
  readonly all: readonly Queue[]
  /** Those of the timers, when they are divided into so many. */
  shards(count?: number): readonly Queue[]
  readonly divisions: Divisions
  readonly redis: Connection
  /** Whether Redis accepts writes. */
  readonly health: RedisHealth
  /** Resolves when Redis is there for the first time, or has had its time to be: for those who begin at once. */
  readonly begun: Promise<void>
  readonly prefix: string
  readonly report: QueueReport
  close(): Promise<void>
}

export const defaultPrefix = 'lapse'

/** `shards`: how many the timers are divided into. Default: 1. `report`: where errors are counted that are survived. */
export const openQueues = ({
  redisUrl,
  prefix = defaultPrefix,
  shards: own = 1,
  report = () => {},
}: QueueOptions & { shards?: number; report?: QueueReport }): Queues => {
  if (!isShardCount(own)) throw new RangeError(`The timers can be divided into 1 to ${mostShards} shards, not ${own}.`)
  const onCluster = isCluster(redisUrl)
  const redis = producerConnection(redisUrl)
  const begun = new Promise<void>((resolve) => {
    redis.once('ready', resolve)
    setTimeout(resolve, 1_500).unref()
  })
  const open = (place: Place): Queue => {
    const queue = new ReadableQueue(place.name, {
      connection: redis,
      prefix: place.prefix,
      // Both, or a queue that is made while Redis is away stays broken for good.
      skipWaitingForReady: true,
      skipVersionCheck: true,
    })
    // Those of its connection: every command that fails because of one tells of it.
    queue.on('error', () => {})
    return queue
  }
  const opened = new Map<number, Queue[]>()
  const shards = (count = own): Queue[] => {
    const queues = opened.get(count) ?? timerPlaces(count, prefix, onCluster).map(open)
    opened.set(count, queues)
    return queues
  }
  const others = queueNames.filter((name) => name !== 'timers').map((name) => open(placeOf(name, prefix, onCluster)))
  const all = [...shards(), ...others]
  const named = Object.fromEntries(others.map((queue) => [queue.name, queue]))
  return {
    ...(named as Record<Exclude<QueueName, 'timers'>, Queue>),
    timers: shards()[0] as Queue,
    all,
    shards,
    divisions: new Divisions(redis, prefix, own, report),
    redis,
    health: new RedisHealth(redis, prefix),
    begun,
    prefix,
    report,
    close: async () => {
      redis.disconnect()
      const every = [...others, ...[...opened.values()].flat()]
      await Promise.all(every.map((queue) => queue.close().catch((error) => report(error, 'close'))))
    },
  }
}
