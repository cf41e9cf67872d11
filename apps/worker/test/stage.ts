import { fileURLToPath } from 'node:url'
import {
  startProcess,
  stopwatch,
  type TestDatabase,
  type TestInbox,
  testDatabase,
  testInbox,
  testRedis,
  until,
} from '@lapse/testkit'
import { createLapse, type Event } from 'lapse'
import pg from 'pg'
import { afterAll } from 'vitest'
import { kinds } from './kinds.config.ts'

const config = fileURLToPath(new URL('./kinds.config.ts', import.meta.url))

/** An application beside its workers: a database, Redis and an inbox of its own, and the library to talk to them. */
export const stage = async (redis: { url: string; prefix?: string } = testRedis(), timerShards = 1) => {
  const prefix = redis.prefix ?? 'lapse'
  const [database, inbox]: [TestDatabase, TestInbox] = await Promise.all([testDatabase(), testInbox()])
  const lapse = createLapse({
    ...{ databaseUrl: database.url, redisUrl: redis.url, prefix, kinds, secrets: [secret] },
    allowAddresses: loopback,
    allowAddressesFor: ['*'],
    timerShards,
  })
  const owner = new pg.Pool({ connectionString: database.ownerUrl, max: 2 })
  owner.on('error', () => {})
  const clock = stopwatch()
  await until(() => lapse.queues.redis.status === 'ready', { what: 'the connection to Redis' })
  afterAll(async () => {
    await lapse.close()
    await owner.end()
  })

  const env = {
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    LAPSE_PREFIX: prefix,
    LAPSE_TIMER_SHARDS: String(timerShards),
    SMTP_URL: inbox.url,
    LAPSE_CONFIG: config,
    LAPSE_RETRY_SECONDS: '1',
    LAPSE_SECRET: secret,
    LAPSE_ALLOW_ADDRESSES: loopback.join(','),
    LAPSE_ALLOW_ADDRESSES_FOR: '*',
  }
  return {
    lapse,
    inbox,
    env,
    database,
    /** A statement as the owner: to move dates, or to look where nobody else may. */
    sql: (text: string, values: unknown[] = []) => owner.query(text, values),
    /** Without a sweep, unless a test is about it: on a busy machine it would now and then come before a timer. */
    startWorker: (more: Record<string, string> = {}, clockOffsetMs = 0, until: 'ready' | 'alive' = 'ready') =>
      startProcess({ entry: 'worker', env: { ...env, LAPSE_SWEEP_SECONDS: '3600', ...more }, clockOffsetMs, until }),
    startApi: (more: Record<string, string> = {}, clockOffsetMs = 0) =>
      startProcess({ entry: 'api', env: { ...env, LAPSE_ROOT_TOKEN: rootToken, ...more }, clockOffsetMs }),
    /** The story of a resource, from its beginning. */
    story: async (resourceId: string): Promise<Event[]> =>
      (await lapse.events({ resourceId }, { limit: 200 })).reverse(),
    /** Waits for an event of a resource, without looking in a way that changes anything. */
    happened: (resourceId: string, type: string, timeout = 15_000): Promise<Event> =>
      until(async () => (await lapse.events({ resourceId, type }))[0], { timeout, what: `the event ${type}` }),
    /** How late it was, in milliseconds, without those in which not even this process, which only waits, had a core. */
    lateness: ({ at, latenessMs }: Event): number => {
      const late = latenessMs ?? Number.NaN
      return late - clock.lostBetween(new Date(at.getTime() - late), at)
    },
    /** The ids of the timers that stand in Redis for a resource. */
    timers: async (resourceId: string): Promise<string[]> =>
      (await Promise.all(lapse.queues.shards().map((shard) => shard.getJobs(['delayed', 'waiting', 'active']))))
        .flat()
        .map((job) => job.id ?? '')
        .filter((id) => id.startsWith(resourceId))
        .sort(),
    mailsTo: (address: string) => inbox.mails.filter((mail) => mail.to.includes(address)).map((mail) => mail.subject),
  }
}

export const rootToken = 'lps_root_for_the_tests_of_the_worker_only'

/** Where the sinks of the tests listen. */
const loopback = ['127.0.0.0/8', '::1']

const secret = 'a secret for the tests of the worker only'

/** A real second must pass where a real instant must pass. */
export const sleepUntil = (instant: Date, afterMs = 0): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, instant.getTime() + afterMs - Date.now())))
