// Lapse under faults, on services of its own that are killed with everything else. What follows `--` goes to it.
import { join } from 'node:path'
import { build } from './build.mjs'
import { generate } from './generate.mjs'
import { install } from './install.mjs'
import { command, launch, must } from './lifetime.mjs'
import { root } from './root.mjs'
import { freePort } from './services/network.mjs'
import { startPostgres } from './services/postgres.mjs'
import { cleanEnvironment, temporaryFolder } from './services/private.mjs'
import { startRedis } from './services/redis.mjs'
import { findRedisServer } from './services/redis-binary.mjs'

await command(async () => {
  process.chdir(root)
  await install()
  const compiled = generate().then(() => build('packages/chaos', 'apps/api', 'apps/worker'))
  const folder = temporaryFolder()
  const options = { durable: true, mayEnd: true }
  const redisHome = join(folder, 'redis')
  const [postgres, redis] = await Promise.all([
    startPostgres(join(folder, 'postgres'), options),
    findRedisServer(join(root, '.data/redis/server')).then((server) => startRedis(redisHome, server, options)),
    compiled,
  ])
  await must('migrate', process.execPath, ['scripts/migrate.mjs', 'deploy'], {
    env: { ...cleanEnvironment(), MIGRATE_DATABASE_URL: postgres.ownerUrl, LAPSE_APP_ROLE: postgres.appRole },
  })
  const { chaos } = await import('../packages/chaos/dist/index.js')
  const services = { folder, postgres, redis: { ...redis, home: redisHome }, launch, freePort }
  return chaos(services, process.argv.slice(2), join(root, '.data/chaos'))
})
