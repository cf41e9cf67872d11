import { randomBytes } from 'node:crypto'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { createLapse, type Lapse } from 'lapse'
import pg from 'pg'
import { kinds } from './lapse.config.ts'

export type BenchLapse = Lapse<(typeof kinds)[number]>

/** A database and a Redis prefix that nobody has used before: what one measurement stands on. */
export interface Ground {
  readonly databaseUrl: string
  readonly redisUrl: string
  readonly prefix: string
  /** The yardsticks' connections, as many as `lapse` has. */
  readonly pool: pg.Pool
  /** The owner's, for what only the owner may do. */
  readonly owner: pg.Pool
  readonly redis: Redis
  readonly lapse: BenchLapse
  /** The yardsticks' queue. */
  readonly queue: Queue
}

const connections = 10

const address = (name: string): URL => {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set. Run the benchmarks with: npm run bench`)
  return new URL(value)
}

/** Gives `measure` a fresh ground and takes it away afterwards. */
export const onFreshGround = async <T>(measure: (ground: Ground) => Promise<T>): Promise<T> => {
  const app = address('DATABASE_URL')
  const owner = address('MIGRATE_DATABASE_URL')
  const redisUrl = address('REDIS_URL').href
  const template = app.pathname.slice(1)
  const name = `bench_${randomBytes(6).toString('hex')}`
  await administer(owner, `CREATE DATABASE ${name} TEMPLATE "${template}"`)
  app.pathname = owner.pathname = `/${name}`
  const open = (url: URL, max: number) => {
    const pool = new pg.Pool({ connectionString: url.href, max, options: '-c timezone=UTC' })
    return pool.on('error', () => {})
  }
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null })
  const ground: Ground = {
    databaseUrl: app.href,
    redisUrl,
    prefix: name,
    pool: open(app, connections),
    owner: open(owner, 1),
    redis,
    lapse: createLapse({ databaseUrl: app.href, redisUrl, prefix: name, kinds, connections }),
    queue: new Queue('yardstick', { connection: redis, prefix: name }),
  }
  try {
    return await measure(ground)
  } finally {
    await ground.lapse.close()
    await ground.queue.close()
    await forget(redis, name)
    redis.disconnect()
    await Promise.all([ground.pool.end(), ground.owner.end()])
    owner.pathname = `/${template}`
    await administer(owner, `DROP DATABASE ${name} WITH (FORCE)`)
  }
}

/** Lets the application bring tables of its own, as others want it. */
export const allowTables = async ({ databaseUrl, owner }: Ground): Promise<void> => {
  const { pathname, username } = new URL(databaseUrl)
  await owner.query(`GRANT CREATE ON DATABASE "${pathname.slice(1)}" TO "${username}"`)
  await owner.query(`GRANT CREATE ON SCHEMA public TO "${username}"`)
}

/** From another database: nobody may be connected to the one that is copied. */
const administer = async (owner: URL, statement: string): Promise<void> => {
  const url = new URL(owner)
  url.pathname = '/postgres'
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

const forget = async (redis: Redis, prefix: string): Promise<void> => {
  for await (const keys of redis.scanStream({ match: `${prefix}:*`, count: 5_000 }))
    if (keys.length > 0) await redis.unlink(...keys)
}
