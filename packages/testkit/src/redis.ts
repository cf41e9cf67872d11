import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterFile } from './after-file.ts'
import { type Child, spawnChild } from './child.ts'
import { setting } from './environment.ts'
import { freePort } from './free-port.ts'
import { selfSigned } from './self-signed.ts'

/** The test run's shared Redis, and a key prefix that no other test file has. */
export const testRedis = (): { url: string; prefix: string } => ({
  url: setting('LAPSE_TEST_REDIS_URL'),
  prefix: `test-${randomUUID()}`,
})

export interface PrivateRedis {
  readonly url: string
  /** Stops it in order, as an operator would. */
  stop(): Promise<void>
  /** Kills it hard. */
  kill(): Promise<void>
  /** Starts it again on the same port; with `appendonly`, with its data. */
  start(): Promise<void>
  /** Freezes the process: connections stay open and nothing answers. */
  pause(): void
  resume(): void
  /** Loses all data at once. */
  flush(): Promise<void>
}

/**
 * A Redis server of the test's own, to stop, kill, freeze and flush; gone after the test file.
 * @param options.appendonly keeps its data over stops and kills; off by default.
 * @param options.settings more of redis.conf, such as `{ 'maxmemory-policy': 'allkeys-lru' }`.
 */
export const privateRedis = async ({
  appendonly = false,
  settings = {},
}: {
  appendonly?: boolean
  settings?: Record<string, string>
} = {}): Promise<PrivateRedis> => {
  const folder = mkdtempSync(join(tmpdir(), 'lapse-redis-'))
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}`
  const configuration = {
    port: String(port),
    bind: '127.0.0.1',
    dir: folder,
    save: '',
    appendonly: appendonly ? 'yes' : 'no',
    'maxmemory-policy': 'noeviction',
    hz: '100',
    'hash-max-listpack-value': '512',
    ...settings,
  }
  const args = Object.entries(configuration).flatMap(([name, value]) => [`--${name}`, value])
  let server: Child | undefined

  const start = async () => {
    server = await spawnRedis(args, url)
  }
  const end = async (signal: NodeJS.Signals) => {
    const ending = server
    server = undefined
    await ending?.end(signal)
  }
  afterFile(async () => {
    await end('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  await start()
  return {
    url,
    start,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    pause: () => server?.signal('SIGSTOP'),
    resume: () => server?.signal('SIGCONT'),
    flush: async () => void (await askRedis(url, (client) => client.flushall())),
  }
}

/** Starts the server program and waits until it answers. */
export const spawnRedis = async (args: readonly string[], url: string): Promise<Child> => {
  const libraries = setting('LAPSE_REDIS_LIB')
  const env = libraries ? { ...process.env, LD_LIBRARY_PATH: libraries } : process.env
  const server = spawnChild(setting('LAPSE_REDIS_SERVER'), args, { env, name: 'redis' })
  await server.ready(() => askRedis(url, (client) => client.ping()))
  return server
}

export interface TlsFiles {
  /** More of redis.conf: TLS at this port, beside what is spoken in the clear. */
  readonly settings: Readonly<Record<string, string>>
  readonly port: number
  /** For NODE_EXTRA_CA_CERTS: whoever is given it trusts these servers, by the name `localhost`. */
  readonly authority: string
}

/** What a server needs to speak TLS; the files are gone after the test file. */
export const tlsFiles = async (): Promise<TlsFiles> => {
  const folder = mkdtempSync(join(tmpdir(), 'lapse-tls-'))
  afterFile(() => rmSync(folder, { recursive: true, force: true }))
  const file = (name: string, content: string) => {
    const path = join(folder, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }
  const authority = file('cert.pem', selfSigned.cert)
  const port = await freePort()
  return {
    port,
    authority,
    settings: {
      'tls-port': String(port),
      'tls-cert-file': authority,
      'tls-key-file': file('key.pem', selfSigned.key),
      'tls-ca-cert-file': authority,
      'tls-auth-clients': 'no',
    },
  }
}

/** Over a connection of its own, which is gone afterwards. */
export const askRedis = async <T>(url: string, question: (client: Redis) => Promise<T>): Promise<T> => {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 })
  client.on('error', () => {})
  try {
    await client.connect()
    return await question(client)
  } finally {
    client.disconnect()
  }
}
