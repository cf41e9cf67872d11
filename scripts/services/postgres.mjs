// A PostgreSQL of our own in a folder: loopback only, passwords generated, an owner role for migrations and an
// application role that is given no more than the migrations grant it.
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { atEnd, failure, launch, must, mustLive, restartable, tail } from '../lifetime.mjs'
import { freePort, until } from './network.mjs'
import { findPostgres, unprivileged } from './postgres-binaries.mjs'

const OWNER = 'lapse_owner'
const APP = 'lapse_app'
const DATABASE = 'lapse'

/** For data nobody will miss. */
const THROW_AWAY = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']

/**
 * Starts the server that lives in `home`, made on first use, or takes over one that a killed command left running.
 * Answers the addresses of the database `lapse` for the owner and for the application role, and its log. With `mayEnd` it
 * answers the `server` too, to be ended and started again; else its end is the end of the command.
 */
export const startPostgres = async (home, { durable = true, mayEnd = false } = {}) => {
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const passwords = ensurePasswords(home)
  const data = join(home, 'data')
  const user = unprivileged()
  user.own(home)
  const { initdb, postgres, how } = await findPostgres()
  if (!existsSync(data)) await initialize({ home, data, user, initdb, password: passwords.postgres })
  const superuser = (port) => `postgresql://postgres:${passwords.postgres}@127.0.0.1:${port}/postgres`
  const { port, server } =
    (await leftRunning(data, superuser)) ?? (await serve({ home, data, user, postgres, durable, mayEnd, superuser }))
  await ensureRoles(superuser(port), passwords)
  const url = (role) => `postgresql://${role}:${passwords[role]}@127.0.0.1:${port}/${DATABASE}`
  return { ownerUrl: url(OWNER), appUrl: url(APP), appRole: APP, how, log: join(home, 'server.log'), server }
}

/** The owner's address of the server in `home`, when it runs. */
export const runningPostgres = async (home) => {
  const file = join(home, 'passwords.json')
  if (!existsSync(file)) return undefined
  const passwords = JSON.parse(readFileSync(file, 'utf8'))
  const { port } = lockFile(join(home, 'data')) ?? {}
  const url = `postgresql://${OWNER}:${passwords[OWNER]}@127.0.0.1:${port}/${DATABASE}`
  return port && (await connects(url)) === true ? url : undefined
}

const ensurePasswords = (home) => {
  const file = join(home, 'passwords.json')
  if (!existsSync(file)) {
    if (existsSync(join(home, 'data')))
      throw failure(
        `${file} is gone, and with it the way into ${home}/data. Restore it, or delete ${home} to begin anew.`,
      )
    const passwords = Object.fromEntries(
      ['postgres', OWNER, APP].map((role) => [role, randomBytes(24).toString('hex')]),
    )
    writeFileSync(file, JSON.stringify(passwords), { mode: 0o600 })
  }
  return JSON.parse(readFileSync(file, 'utf8'))
}

/** Made aside and then renamed, so that an interrupted start leaves nothing half made. */
const initialize = async ({ home, data, user, initdb, password }) => {
  const fresh = `${data}.new`
  const passwordFile = join(home, 'initdb-password')
  rmSync(fresh, { recursive: true, force: true })
  mkdirSync(fresh, { mode: 0o700 })
  writeFileSync(passwordFile, password, { mode: 0o600 })
  for (const path of [fresh, passwordFile]) user.own(path)
  const options = ['-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '--encoding=UTF8', '--locale=C']
  const [program, args] = user.wrap(initdb, ['-D', fresh, ...options, '--no-sync', '--no-instructions'])
  await must('initdb', program, args, user.options)
  rmSync(passwordFile)
  renameSync(fresh, data)
}

/** What PostgreSQL writes about itself while it runs. */
const lockFile = (data) => {
  try {
    const [pid, , , port] = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n').map(Number)
    return { pid, port }
  } catch {
    return undefined
  }
}

const leftRunning = async (data, superuser) => {
  const lock = lockFile(data)
  if (!lock) return undefined
  if ((await connects(superuser(lock.port))) === true) {
    atEnd(async () => {
      process.kill(lock.pid, 'SIGINT')
      await until(() => !lockFile(data), 10_000)
    })
    return { port: lock.port }
  }
  // After a crash of the machine the number may belong to another program, and PostgreSQL would refuse to start.
  const program = `/proc/${lock.pid}/cmdline`
  if (existsSync(program) && !readFileSync(program, 'utf8').includes('postgres')) rmSync(join(data, 'postmaster.pid'))
  return undefined
}

const serve = async ({ home, data, user, postgres, durable, mayEnd, superuser }) => {
  const remembered = join(home, 'port')
  const port = await freePort(existsSync(remembered) ? Number(readFileSync(remembered, 'utf8')) : 0)
  writeFileSync(remembered, String(port))
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'timezone=UTC',
    'log_timezone=UTC',
    'max_connections=200',
    ...(durable ? [] : THROW_AWAY),
  ]
  const [program, args] = user.wrap(postgres, ['-D', data, '-p', String(port), ...settings.flatMap((s) => ['-c', s])])
  const log = join(home, 'server.log')
  const start = async () => {
    const server = launch(program, args, { log, stopSignal: 'SIGINT', ...user.options })
    const ready = async () => server.exitCode !== null || (await connects(superuser(port))) === true
    if (!(await until(ready, 60_000)) || server.exitCode !== null)
      throw failure(`PostgreSQL did not start:\n${tail(log)}`)
    return server
  }
  if (mayEnd) return { port, server: await restartable(start) }
  mustLive('PostgreSQL', await start(), log)
  return { port }
}

const connects = async (connectionString) => {
  const { default: pg } = await import('pg')
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 3_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.end()
    return true
  } catch (error) {
    return error
  }
}

/** Refuses with the reason when PostgreSQL cannot be used at `connectionString`. */
export const requirePostgres = async (name, connectionString) => {
  const answer = await connects(connectionString)
  if (answer !== true)
    throw failure(`${name} is set, but PostgreSQL cannot be used there: ${answer.message || answer.code}`)
}

const ensureRoles = async (connectionString, passwords) => {
  const { default: pg } = await import('pg')
  const client = new pg.Client({ connectionString })
  await client.connect()
  const exists = async (query, value) => (await client.query(query, [value])).rowCount > 0
  for (const role of [OWNER, APP]) {
    if (!(await exists('SELECT FROM pg_roles WHERE rolname = $1', role))) await client.query(`CREATE ROLE ${role}`)
    await client.query(`ALTER ROLE ${role} LOGIN PASSWORD '${passwords[role]}'`)
  }
  // The owner makes and drops databases of its own (shadow databases, one for each test file), connected or not.
  // And a test may have all statements of its own database logged.
  await client.query(`ALTER ROLE ${OWNER} CREATEDB; GRANT pg_signal_backend TO ${OWNER}`)
  await client.query(`GRANT SET ON PARAMETER log_statement TO ${OWNER}`)
  if (!(await exists('SELECT FROM pg_database WHERE datname = $1', DATABASE)))
    await client.query(`CREATE DATABASE ${DATABASE} OWNER ${OWNER}`)
  await client.end()
}
