import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { Stage } from '../stage.ts'
import { type FaultKind, sleep } from './fault.ts'

/** Redis answers, is read, and takes nothing: `refuse` brings that about, `accept` makes it good again. */
const refusing = (
  code: string,
  how: string,
  refuse: (redis: Redis, stage: Stage) => Promise<unknown>,
  accept: (redis: Redis, stage: Stage) => Promise<unknown>,
): FaultKind => ({
  name: `Redis refuses writes: ${code}, ${how}`,
  run: async (stage, _, pauseMs) => {
    const redis = new Redis(stage.services.redis.url)
    redis.on('error', () => {})
    try {
      await refuse(redis, stage)
      const answer = await redis.set('chaos:probe', '1').catch((error: Error) => error.message)
      await sleep(pauseMs)
      return answer === 'OK' ? 'it took a write all the same' : String(answer).slice(0, 60)
    } finally {
      await accept(redis, stage)
      redis.disconnect()
    }
  },
})

/** As after a failover, when its clients have not noticed. */
export const redisReadOnly = refusing(
  'READONLY',
  'a replica',
  (redis) => redis.replicaof('127.0.0.1', 1),
  (redis) => redis.call('REPLICAOF', 'NO', 'ONE'),
)

export const redisWithoutReplicas = refusing(
  'NOREPLICAS',
  'none where one must be',
  (redis) => redis.config('SET', 'min-replicas-to-write', '1'),
  (redis) => redis.config('SET', 'min-replicas-to-write', '0'),
)

export const redisFull = refusing(
  'OOM',
  'no memory left',
  (redis) => redis.config('SET', 'maxmemory', '1mb'),
  (redis) => redis.config('SET', 'maxmemory', '0'),
)

const snapshotIn = ({ services }: Stage): string => join(services.redis.home, 'dump.rdb')

const saved = async (redis: Redis, status: 'ok' | 'err'): Promise<void> => {
  // One under way is as good: its status is what is waited for.
  await redis.bgsave().catch((error: Error) => error.message)
  for (let i = 0; i < 100; i++) {
    const info = await redis.info('persistence')
    if (info.includes(`rdb_last_bgsave_status:${status}`) && info.includes('rdb_bgsave_in_progress:0')) return
    await sleep(50)
  }
}

/** A snapshot that cannot be put in its place: a folder has its name. */
export const redisUnsaved = refusing(
  'MISCONF',
  'a snapshot that failed',
  async (redis, stage) => {
    mkdirSync(snapshotIn(stage), { recursive: true })
    await redis.config('SET', 'save', '3600 1000000')
    await saved(redis, 'err')
  },
  async (redis, stage) => {
    rmdirSync(snapshotIn(stage))
    await saved(redis, 'ok')
    await redis.config('SET', 'save', '')
  },
)
