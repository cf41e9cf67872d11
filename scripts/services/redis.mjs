// A Redis of our own in a folder, with the settings Lapse recommends, and the ways to one for `npm start`.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { atEnd, failure, keepUp, launch, mustLive, restartable, run, tail } from '../lifetime.mjs'
import { onPath } from './debian.mjs'
import { accepts, freePort, until } from './network.mjs'
import { findRedisServer } from './redis-binary.mjs'

/** `hz` decides how late a timer fires, the listpack value halves a timer's memory; losing a key loses a timer. */
const SETTINGS = ['--hz', '100', '--hash-max-listpack-value', '512', '--maxmemory-policy', 'noeviction', '--save', '']

/**
 * Starts a private server whose data lives in `home`, or takes over one that a killed command left running there.
 * `server` is what `findRedisServer` answers. With `mayEnd` the answer has a `server` to be ended and started again.
 */
export const startRedis = async (home, server, { durable = true, mayEnd = false } = {}) => {
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const served = (await leftRunning(home)) ?? (await serve(home, server, { durable, mayEnd }))
  return {
    url: `redis://127.0.0.1:${served.port}`,
    how: server.how,
    pid: await pidOf(served.port),
    server: served.server,
  }
}

/** The Redis of `npm start`: REDIS_URL, one left running, Docker's, or a private server, whichever there is first. */
export const developerRedis = async (root) => {
  const home = join(root, '.data', 'redis')
  if (process.env.REDIS_URL) return { url: await requireRedis(process.env.REDIS_URL), how: 'REDIS_URL' }
  const { port } = (await leftRunning(join(home, 'data'))) ?? {}
  if (port) return { url: `redis://127.0.0.1:${port}`, how: 'still running in .data/redis', pid: await pidOf(port) }
  return (await fromDocker(root)) ?? startRedis(join(home, 'data'), await findRedisServer(join(home, 'server')))
}

const requireRedis = async (url) => {
  // Of a cluster or of sentinels the first that answers will do.
  const [, mode, hosts = ''] = /^rediss?(?:\+(cluster|sentinel))?:\/\/(?:.*@)?([^/?#]*)/.exec(url) ?? []
  for (const host of mode ? hosts.split(',') : [hosts]) {
    const { hostname, port } = URL.canParse(`redis://${host}`) ? new URL(`redis://${host}`) : {}
    const usual = mode === 'sentinel' ? 26_379 : 6379
    if (hostname && (await accepts(Number(port || usual), hostname.replace(/^\[|\]$/g, ''), 3_000))) return url
  }
  throw failure('REDIS_URL is set, but nothing answers there (expected: redis://host:6379)')
}

const serve = async (home, { program, libraries }, { durable, mayEnd }) => {
  const remembered = join(home, 'port')
  const port = await freePort(existsSync(remembered) ? Number(readFileSync(remembered, 'utf8')) : 0)
  writeFileSync(remembered, String(port))
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', home]
  const persistence = durable ? ['--appendonly', 'yes', '--appendfsync', 'everysec'] : ['--appendonly', 'no']
  const env = libraries ? { ...process.env, LD_LIBRARY_PATH: libraries } : process.env
  const log = join(home, 'server.log')
  const args = [...place, ...persistence, ...SETTINGS]
  const start = () => launch(program, args, { log, env })
  const ready = (server) => async () => server.exitCode !== null || (await ask(port, 'PING'))?.startsWith('+PONG')
  const begun = async (server) => {
    if (!(await until(ready(server), 60_000)) || server.exitCode !== null)
      throw failure(`Redis did not start:\n${tail(log)}`)
    return server
  }
  // A file that may not grow is to be an error that the server is told of, and not the signal that ends it.
  const lasting = () => launch('/bin/sh', ['-c', 'trap "" XFSZ; exec "$0" "$@"', program, ...args], { log, env })
  if (mayEnd) return { port, server: await restartable(async () => begun(lasting())) }
  // Lapse goes on without it, and `npm start` shows that; a test run has no use for a Redis that comes and goes.
  const server = await begun(durable ? keepUp('Redis', start, log) : start())
  if (!durable) mustLive('Redis', server, log)
  return { port }
}

const leftRunning = async (home) => {
  const remembered = join(home, 'port')
  if (!existsSync(remembered)) return undefined
  const port = Number(readFileSync(remembered, 'utf8'))
  // Whoever has that port now is ours only if it works in our folder.
  if (!(await ask(port, 'CONFIG GET dir'))?.includes(realpathSync(home))) return undefined
  atEnd(async () => {
    await ask(port, 'SHUTDOWN')
    await until(async () => !(await accepts(port)), 10_000)
  })
  return { port }
}

const pidOf = async (port) => /process_id:(\d+)/.exec(await ask(port, 'INFO server'))?.[1]

/** One inline command on a bare socket; the reply as it came, or undefined when none did. */
const ask = (port, command) =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' })
    const answer = (reply) => {
      socket.destroy()
      resolve(reply)
    }
    socket
      .setTimeout(1_000, () => answer())
      .on('error', () => answer())
      .on('close', () => answer())
      .on('connect', () => socket.write(`${command}\r\n`))
      .on('data', (data) => answer(data.toString()))
  })

const fromDocker = async (root) => {
  if (!onPath('docker')) return undefined
  if (spawnSync('docker', ['info'], { stdio: 'ignore', timeout: 3_000 }).status !== 0) return undefined
  // A project of its own, beside a `docker compose up` of everything; an empty port lets Docker choose one. Compose
  // reads the whole file, so what the other services require must have some value.
  const compose = ['compose', '--project-name', 'lapse-npm-start']
  const required = [
    'POSTGRES_PASSWORD',
    'LAPSE_APP_PASSWORD',
    'LAPSE_ROOT_TOKEN',
    'LAPSE_BOARD_PASSWORD',
    'LAPSE_SECRET',
  ]
  const env = { ...process.env, ...Object.fromEntries(required.map((name) => [name, 'unused'])), REDIS_PORT: '' }
  const options = { cwd: root, env }
  if ((await run('docker', [...compose, 'up', '--detach', '--wait', 'redis'], options)) !== 0) return undefined
  atEnd(() => spawnSync('docker', [...compose, 'stop', 'redis'], { ...options, stdio: 'ignore' }))
  const { stdout } = spawnSync('docker', [...compose, 'port', 'redis', '6379'], { ...options, encoding: 'utf8' })
  const port = /:(\d+)\s*$/.exec(stdout ?? '')?.[1]
  return port && { url: `redis://127.0.0.1:${port}`, how: 'docker compose' }
}
