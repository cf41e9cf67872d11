// The benchmarks, on services of their own that are as crash-safe as in production. What follows `--` goes to them.
import { build } from './build.mjs'
import { generate } from './generate.mjs'
import { install } from './install.mjs'
import { command, must, run } from './lifetime.mjs'
import { preparePeers } from './peers.mjs'
import { root } from './root.mjs'
import { cleanEnvironment, privateServices } from './services/private.mjs'

await command(async () => {
  process.chdir(root)
  await install()
  const args = process.argv.slice(2)
  const node = args.some((arg) => /\bpeers\b/.test(arg)) ? await preparePeers() : process.execPath
  const compiled = generate().then(() => build('packages/bench', 'apps/api', 'apps/worker'))
  const [{ postgres, redis }] = await Promise.all([privateServices({ durable: true }), compiled])
  const env = {
    ...cleanEnvironment(),
    DATABASE_URL: postgres.appUrl,
    MIGRATE_DATABASE_URL: postgres.ownerUrl,
    REDIS_URL: redis.url,
  }
  await must('migrate', process.execPath, ['scripts/migrate.mjs', 'deploy'], {
    env: { ...env, LAPSE_APP_ROLE: postgres.appRole },
  })
  return run(node, ['packages/bench/dist/main.js', ...args], { env })
})
