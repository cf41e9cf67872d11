import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atEnd } from '../lifetime.mjs'
import { root } from '../root.mjs'
import { startPostgres } from './postgres.mjs'
import { startRedis } from './redis.mjs'
import { findRedisServer } from './redis-binary.mjs'

/** The unpacked server program is fetched once and shared by all commands. */
const cache = join(root, '.data/redis/server')

/** A folder that is gone when the command ends. */
export const temporaryFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), 'lapse-'))
  // PostgreSQL may have to run as another user, who must be able to pass through.
  chmodSync(folder, 0o711)
  atEnd(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** PostgreSQL and Redis for one command alone, gone with their data when it ends. `durable` keeps them crash-safe. */
export const privateServices = async ({ durable }) => {
  const folder = temporaryFolder()
  const [postgres, [server, redis]] = await Promise.all([
    startPostgres(join(folder, 'postgres'), { durable }),
    findRedisServer(cache).then(async (server) => [
      server,
      await startRedis(join(folder, 'redis'), server, { durable }),
    ]),
  ])
  return { folder, postgres, redis, server }
}

/** The environment without anything that could lead to services or settings that are not the command's own. */
export const cleanEnvironment = () =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(PG[A-Z]+|LAPSE_\w+|(MIGRATE_)?DATABASE_URL|REDIS_URL|SMTP_URL|HOST|PORT)$/.test(name),
    ),
  )
