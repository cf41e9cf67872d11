import { cpus, totalmem } from 'node:os'
import { Redis } from 'ioredis'
import pg from 'pg'

/** What a figure is worth nothing without. */
export const machineFacts = async () => {
  const database = new pg.Client({
    connectionString: process.env.MIGRATE_DATABASE_URL?.replace(/\/[^/]*$/, '/postgres'),
  })
  await database.connect()
  const { rows } = await database.query<{ server_version: string }>('SHOW server_version')
  await database.end()
  const redis = new Redis(process.env.REDIS_URL ?? '', { maxRetriesPerRequest: 1 })
  const info = await redis.info('server')
  redis.disconnect()
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    postgres: rows[0]?.server_version ?? 'unknown',
    redis: (/^valkey_version:(\S+)/m.exec(info) ?? /^redis_version:(\S+)/m.exec(info))?.[1] ?? 'unknown',
  }
}

export type MachineFacts = Awaited<ReturnType<typeof machineFacts>>
