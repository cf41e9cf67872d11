// Everything that `npm start` and `npm run dev` bring up, and the lines that say where it is.
import { randomBytes, randomInt } from 'node:crypto'
import { createWriteStream, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { claim } from './claim.mjs'
import { generate } from './generate.mjs'
import { install } from './install.mjs'
import { atEnd, failure, keepUp, launch, must, tail } from './lifetime.mjs'
import { root } from './root.mjs'
import { until } from './services/network.mjs'
import { lastingPorts } from './services/ports.mjs'
import { requirePostgres, startPostgres } from './services/postgres.mjs'
import { developerRedis } from './services/redis.mjs'

const WARNING = 40

const portFor = lastingPorts('.data/ports.json', console.log)

/**
 * Brings the whole of Lapse up and prints where it is.
 * `prepare` runs when the client is generated; `program(app)` answers the arguments of node that run an app.
 * Messages of the apps from `level` (pino's numbers) on are shown; all go to .data/logs.
 */
export const startStack = async ({ prepare = async () => {}, program, level = WARNING }) => {
  process.chdir(root)
  mkdirSync('.data/logs', { recursive: true, mode: 0o700 })
  await claim('.data/start.sock')
  await install()
  const [postgres, redis] = await Promise.all([
    step('postgres', usePostgres()),
    step('redis', developerRedis(root)),
    generate().then(prepare),
  ])
  await migrate(postgres)
  const mail = await useMail()

  const host = process.env.HOST || '127.0.0.1'
  const api = await portFor('api', Number(process.env.PORT || 3000), host)
  const worker = await portFor('worker', Number(process.env.LAPSE_WORKER_PORT || 3001), host)
  const { MIGRATE_DATABASE_URL, LAPSE_APP_ROLE, ...inherited } = process.env
  const at = (port) => `http://${['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host}:${port}`
  const env = {
    ...inherited,
    DATABASE_URL: postgres.appUrl,
    REDIS_URL: redis.url,
    SMTP_URL: mail.smtpUrl,
    LAPSE_MAIL_FROM: process.env.LAPSE_MAIL_FROM || 'Lapse <lapse@localhost>',
    // Alerts go to the inbox, and never by somebody's own server to nobody.
    LAPSE_OPERATOR_EMAIL: process.env.LAPSE_OPERATOR_EMAIL || (process.env.SMTP_URL ? '' : 'operator@example.com'),
    LAPSE_SECRET: process.env.LAPSE_SECRET || lastingSecret(),
    LAPSE_PUBLIC_URL: process.env.LAPSE_PUBLIC_URL || at(api),
    LAPSE_ROOT_TOKEN: process.env.LAPSE_ROOT_TOKEN || newRootToken(),
    LAPSE_BOARD_USER: process.env.LAPSE_BOARD_USER || 'lapse',
    LAPSE_BOARD_PASSWORD: process.env.LAPSE_BOARD_PASSWORD || randomBytes(12).toString('base64url'),
    // What is tried out listens on this machine.
    LAPSE_ALLOW_ADDRESSES: process.env.LAPSE_ALLOW_ADDRESSES ?? '127.0.0.0/8,::1/128',
    HOST: host,
    PORT: String(api),
    LAPSE_WORKER_PORT: String(worker),
  }
  keepEnvironment(env)
  const [apiPid, workerPid] = await Promise.all([
    startApp('api', program('api'), { env, level, ready: `${at(api)}/readyz` }),
    startApp('worker', program('worker'), { env, level, ready: `${at(worker)}/readyz` }),
  ])
  const pids = { api: apiPid, worker: workerPid, redis: redis.pid }
  console.log(whereItIs({ api: at(api), worker: at(worker), inbox: mail.url, pids, env }))
}

const step = async (name, starting) => {
  const service = await starting
  console.log(`${name}: ${service.how}`)
  return service
}

const usePostgres = async () => {
  const { DATABASE_URL, MIGRATE_DATABASE_URL, LAPSE_APP_ROLE } = process.env
  if (!DATABASE_URL) return startPostgres('.data/postgres')
  await requirePostgres('DATABASE_URL', DATABASE_URL)
  return {
    appUrl: DATABASE_URL,
    ownerUrl: MIGRATE_DATABASE_URL || DATABASE_URL,
    appRole: LAPSE_APP_ROLE,
    how: 'DATABASE_URL',
  }
}

const migrate = async ({ ownerUrl, appRole = '' }) => {
  const env = { ...process.env, MIGRATE_DATABASE_URL: ownerUrl, LAPSE_APP_ROLE: appRole }
  console.log(
    `migrate: ${(await must('migrate', process.execPath, ['scripts/migrate.mjs', 'deploy'], { env })).trim()}`,
  )
}

const useMail = async () => {
  if (process.env.SMTP_URL) return { smtpUrl: process.env.SMTP_URL }
  const { startInbox } = await import('./services/inbox.mjs')
  const inbox = await startInbox({ smtpPort: await portFor('smtp', 1025), httpPort: await portFor('inbox', 8025) })
  atEnd(inbox.close)
  return inbox
}

const startApp = async (name, args, { env, level, ready }) => {
  const log = `.data/logs/${name}.log`
  const file = createWriteStream(log, { mode: 0o600 })
  const options = { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] }
  const { pid } = keepUp(name, () => {
    const app = launch(process.execPath, ['--import', './scripts/leash.mjs', ...args], options)
    for (const stream of [app.stdout, app.stderr]) {
      stream.pipe(file, { end: false })
      createInterface({ input: stream }).on('line', (line) => show(name, line, level))
    }
    return app
  })
  let reason = 'no answer'
  const isReady = async () => {
    try {
      const answer = await fetch(ready)
      if (!answer.ok) reason = await answer.text()
      return answer.ok
    } catch (error) {
      reason = `no answer: ${error.cause?.message ?? error.message}`
      return false
    }
  }
  if (!(await until(isReady, 60_000, 100))) throw failure(`${name} did not get ready: ${reason}\n${tail(log)}`)
  return pid
}

/** What is not the log's JSON (a crash, a warning of Node's) is always shown. */
const show = (name, line, level) => {
  let entry
  try {
    entry = JSON.parse(line)
  } catch {
    return console.error(`${name}: ${line}`)
  }
  if (!(entry.level >= level)) return
  const word = entry.level >= 50 ? 'error: ' : entry.level >= WARNING ? 'warning: ' : ''
  console.error(`${name}: ${word}${[...new Set([entry.msg, entry.err?.message].filter(Boolean))].join(': ')}`)
}

/** For the command line, as long as we run: the services, and what the processes have to agree on. */
const keepEnvironment = (env) => {
  const file = '.data/env'
  const names = [
    'DATABASE_URL',
    'REDIS_URL',
    'LAPSE_SECRET',
    'LAPSE_PREFIX',
    'LAPSE_CONFIG',
    'LAPSE_HORIZON_HOURS',
    'LAPSE_TIMER_SHARDS',
    'LAPSE_ALLOW_ADDRESSES',
    'LAPSE_ALLOW_ADDRESSES_FOR',
  ]
  const lines = names.filter((name) => env[name]).map((name) => `${name}="${env[name]}"\n`)
  rmSync(file, { force: true })
  writeFileSync(file, lines.join(''), { mode: 0o600 })
  atEnd(() => rmSync(file, { force: true }))
}

/** What is sealed with it outlives the command. */
const lastingSecret = () => {
  const file = '.data/secret'
  if (!existsSync(file)) writeFileSync(file, randomBytes(32).toString('base64url'), { mode: 0o600 })
  return readFileSync(file, 'utf8').trim()
}

const newRootToken = () => {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
  return `lps_root_${Array.from({ length: 43 }, () => digits[randomInt(digits.length)]).join('')}`
}

const whereItIs = ({ api, worker, inbox, pids, env }) => {
  const trial = {
    kind: 'trial',
    subject: 'you@example.com',
    payload: { email: 'you@example.com' },
    expires_in: 20,
    grace: 10,
  }
  const headers = `-H 'authorization: Bearer ${env.LAPSE_ROOT_TOKEN}' -H 'content-type: application/json'`
  return `
api ${api}  process ${pids.api}
docs ${api}/docs
board ${api}/queues  user ${env.LAPSE_BOARD_USER}  password ${env.LAPSE_BOARD_PASSWORD}
${inbox ? `inbox ${inbox}\nsmtp ${env.SMTP_URL}\n` : ''}worker ${worker}  process ${pids.worker}
postgres ${env.DATABASE_URL}
redis ${env.REDIS_URL}${pids.redis ? `  process ${pids.redis}` : ''}
logs .data/logs
root-token ${env.LAPSE_ROOT_TOKEN}

A trial that ends in 20 seconds:
curl -X POST ${api}/v1/resources ${headers} -d '${JSON.stringify(trial)}'

Ctrl-C stops everything; the data stays in .data.`
}
