import type { Redis } from 'ioredis'
import type pg from 'pg'

/** What Redis has in use, in bytes. */
export const usedMemory = async (redis: Redis): Promise<number> =>
  Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1])

/** What the database takes on disk, with all its tables and indexes, in bytes. */
export const databaseSize = async (pool: pg.Pool): Promise<number> => {
  const { rows } = await pool.query('SELECT pg_database_size(current_database())::float8 AS bytes')
  return rows[0].bytes
}
