import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis'
import { readRedisUrl } from './address.ts'

/** A server, one that sentinels have named, or a cluster: the same commands. */
export type Connection = Redis | Cluster

/**
 * For those who enqueue: every command fails within two seconds when Redis is away, instead of waiting for it. What was
 * sent and not answered may still have been done; deterministic job ids make that harmless.
 */
export const producerConnection = (url: string): Connection =>
  connect(
    url,
    {
      connectionName: 'lapse-producer',
      enableOfflineQueue: false,
      maxRetriesPerRequest: 1,
      commandTimeout: 2_000,
      connectTimeout: 2_000,
      // A connection on which nothing comes back is given up, or a half-open one would stay for a quarter of an hour.
      socketTimeout: 3_000,
      // Without one of its own, the back-off goes up to 20 s, and so does the first wake-up after an outage.
      retryStrategy: () => 200,
    },
    // A master that is gone is looked for a second long.
    { enableOfflineQueue: false, maxRedirections: 10, clusterRetryStrategy: () => 200 },
  )

/** For workers: waits for Redis as long as it takes, and is back half a second after it. */
export const workerConnection = (url: string): Connection =>
  connect(
    url,
    {
      connectionName: 'lapse-worker',
      maxRetriesPerRequest: null,
      connectTimeout: 5_000,
      keepAlive: 5_000,
      // Longer than BullMQ ever lets a command block.
      socketTimeout: 15_000,
      retryStrategy: () => 500,
    },
    { maxRedirections: Number.POSITIVE_INFINITY, clusterRetryStrategy: () => 500 },
  )

/** What the types of the replies depend on stays as it is. */
type Options = Omit<RedisOptions, 'replyMapping'>

const connect = (url: string, options: Options, ofCluster: ClusterOptions): Connection => {
  const address = readRedisUrl(url)
  const own = { ...options, reconnectOnError: readOnlyReconnect() }
  if (address.at === 'server') return quiet(new Redis(address.url, own))
  const { username, password, tls } = address
  const login = { ...(username !== undefined && { username }), ...(password !== undefined && { password }) }
  if (address.at === 'cluster') {
    const { enableOfflineQueue: _, retryStrategy: __, ...ofNode } = own
    const redisOptions = { ...ofNode, ...login, ...(tls && { tls: {} }) }
    // By its name a server is known to TLS; looked up, it would be a number.
    const byName: ClusterOptions = tls ? { dnsLookup: (name, done) => done(null, name) } : {}
    return quiet(new Cluster([...address.nodes], { ...ofCluster, ...byName, redisOptions }))
  }
  const { sentinels, name, db, sentinel } = address
  return quiet(
    new Redis({
      ...{ ...own, ...login, sentinels: [...sentinels], name, db },
      ...(sentinel.username !== undefined && { sentinelUsername: sentinel.username }),
      ...(sentinel.password !== undefined && { sentinelPassword: sentinel.password }),
      ...(tls && { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true }),
      // One sentinel that hangs must not keep us from asking the next.
      sentinelCommandTimeout: 1_000,
      ...(options.retryStrategy && { sentinelRetryStrategy: options.retryStrategy }),
    }),
  )
}

/** A server that stays a replica would otherwise be connected to again at every write. */
const readOnlyReconnectMs = 2_000

/** The server has become a replica: the address leads to the new primary by now. */
const readOnlyReconnect = () => {
  let reconnectedAt = Number.NEGATIVE_INFINITY
  return (error: Error): boolean => {
    const now = performance.now()
    if (!error.message.includes('READONLY') || now - reconnectedAt < readOnlyReconnectMs) return false
    reconnectedAt = now
    return true
  }
}

/** Connection errors are told by the commands that fail; without a listener they would end the process. */
const quiet = <C extends Connection>(redis: C): C => redis.on('error', () => {}) as C
