import { Cluster, type Redis } from 'ioredis'
import type { Connection } from './connection.ts'

export interface RedisReport {
  readonly version: string
  /** How it keeps its data over a restart. */
  readonly persistence: 'an append-only file' | 'snapshots' | 'nothing'
  /** Reasons not to start, each saying what to do. */
  readonly problems: string[]
  readonly warnings: string[]
  /** That it may evict timers, and what to do: everything goes on as without Redis, only that nobody would notice. */
  readonly eviction: string | undefined
}

/** Looks at Redis before anything relies on it, at each master of a cluster. Throws when it cannot be reached. */
export const inspectRedis = async (redis: Connection): Promise<RedisReport> => {
  if (!(redis instanceof Cluster)) return inspectServer(redis)
  const reports = await Promise.all(redis.nodes('master').map((master) => inspectServer(master, true)))
  const [first] = reports
  if (!first) throw new Error('no master of the cluster answers')
  const least = persistences.find((persistence) => reports.some((report) => report.persistence === persistence))
  return {
    eviction: reports.find(({ eviction }) => eviction)?.eviction,
    version: first.version,
    persistence: least ?? first.persistence,
    // What is true of all is said once.
    problems: [...new Set(reports.flatMap(({ problems }) => problems))],
    warnings: [...new Set(reports.flatMap(({ warnings }) => warnings))],
  }
}

/** The weakest first. */
const persistences = ['nothing', 'snapshots', 'an append-only file'] as const satisfies RedisReport['persistence'][]

const inspectServer = async (redis: Redis, asCluster = false): Promise<RedisReport> => {
  const problems: string[] = []
  const warnings: string[] = []
  const info = await redis.info()
  if (!asCluster && /^cluster_enabled:1/m.test(info))
    warnings.push(
      'Redis is part of a cluster, of which this reaches one node only. Write REDIS_URL as redis+cluster://host:port,host:port.',
    )
  const version = /^(?:valkey_version|redis_version):(\S+)/m.exec(info)?.[1] ?? '0'
  if (olderThan(version, 6, 2)) problems.push(`Redis ${version} is too old. Use Redis 6.2 or newer, or Valkey.`)
  const setting = async (name: string): Promise<string | undefined> => {
    // Managed servers may refuse CONFIG; INFO tells the eviction policy all the same.
    const answer = await redis.config('GET', name).catch((error: Error) => {
      if (error.name !== 'ReplyError') throw error
    })
    return Array.isArray(answer) ? answer[1] : undefined
  }
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1] ?? (await setting('maxmemory-policy'))
  const eviction =
    policy === undefined || policy === 'noeviction'
      ? undefined
      : `Redis may evict timers: its maxmemory-policy is ${policy}. Set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf); until then the sweep ends what has lost its timer.`
  const appends = /^aof_enabled:1/m.test(info)
  const saves = await setting('save')
  if (!appends && saves === '')
    warnings.push(
      'Redis keeps nothing on disk: after its restart timers come back only with the look-ahead. Set appendonly yes.',
    )
  const hz = Number(await setting('hz'))
  if (hz > 0 && hz < 100) warnings.push(`Redis wakes timers up to ${1000 / hz} ms late at hz ${hz}. Set hz 100.`)
  const listpack = Number((await setting('hash-max-listpack-value')) ?? (await setting('hash-max-ziplist-value')))
  if (listpack > 0 && listpack < 512)
    warnings.push(
      `Redis needs about a third more memory for each timer at hash-max-listpack-value ${listpack}. Set it to 512.`,
    )
  if (asCluster && (await setting('cluster-require-full-coverage')) === 'yes')
    warnings.push(
      'The whole cluster stops when one master is lost with its replicas. Set cluster-require-full-coverage no, and only its part does.',
    )
  const persistence = appends ? 'an append-only file' : (await setting('save')) === '' ? 'nothing' : 'snapshots'
  return { version, persistence, problems, warnings, eviction }
}

const olderThan = (version: string, major: number, minor: number): boolean => {
  const [a = 0, b = 0] = version.split('.').map(Number)
  return a < major || (a === major && b < minor)
}
