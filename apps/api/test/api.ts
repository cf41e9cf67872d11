import { connect, createServer, type Socket } from 'node:net'
import { type TestDatabase, testDatabase, testRedis, until } from '@lapse/testkit'
import { createLapse } from 'lapse'
import pg from 'pg'
import { afterAll } from 'vitest'
import { startApi } from '../src/api.ts'
import { readEnv } from '../src/env.ts'
import { createLog } from '../src/log.ts'
import { kinds } from './kinds.config.ts'

export const token = 'lps_root_for_the_tests_of_the_api_only'
export const secret = 'a secret of the tests that is long enough'
export const board = { user: 'lapse', password: 'a-password-for-the-board' }

// biome-ignore lint/suspicious/noExplicitAny: what JSON holds is what the tests are about.
export type Body = any

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Body
  readonly text: string
}

/** Asks an API, with the token unless `headers` say otherwise. A text goes out as it is. */
export const caller =
  (url: string) =>
  async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> => {
    const response = await fetch(`${url}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = text !== '' && response.headers.get('content-type')?.includes('json')
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : undefined, text }
  }

export interface TestApiOptions {
  redis?: { url: string; prefix?: string }
  /** Its way to PostgreSQL, when it is not the direct one. */
  databaseUrl?: (direct: string) => Promise<string>
  env?: Record<string, string>
  /** What it logs. */
  log?: (line: string) => void
}

/** An API in this process, on a database and a part of Redis of its own; closed after the test file. */
export const testApi = async ({ redis = testRedis(), databaseUrl, env = {}, log }: TestApiOptions = {}) => {
  const database: TestDatabase = await testDatabase()
  const variables = {
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    LAPSE_PREFIX: redis.prefix ?? 'lapse',
    LAPSE_ROOT_TOKEN: token,
    LAPSE_SECRET: secret,
    LAPSE_BOARD_PASSWORD: board.password,
    PORT: '0',
    ...env,
  }
  const api = await startApi(
    readEnv({ ...variables, ...(databaseUrl && { DATABASE_URL: await databaseUrl(database.url) }) }),
    { kinds },
    createLog({ level: log ? 'trace' : 'silent' }, log && { write: log }),
  )
  // Beside the API: its own application, with the library.
  const lapse = createLapse({
    databaseUrl: database.url,
    redisUrl: redis.url,
    prefix: variables.LAPSE_PREFIX,
    kinds,
    secrets: [secret],
  })
  const owner = new pg.Pool({ connectionString: database.ownerUrl, max: 2 })
  owner.on('error', () => {})
  afterAll(async () => {
    await api.close()
    await lapse.close()
    await owner.end()
  })
  const sql = async (text: string, values: unknown[] = []) => (await owner.query(text, values)).rows as Body[]
  return {
    url: api.url,
    call: caller(api.url),
    lapse,
    ownerUrl: database.ownerUrl,
    /** For an API, or a worker, in a process of its own on the same services. */
    variables,
    /** As the owner: to look where nobody else may. */
    sql,
    /** Moves all of a resource's instants into the past. */
    age: (id: string, seconds: number) =>
      sql(
        `UPDATE resource SET issued_at = issued_at - $2 * interval '1 second', due_at = due_at - $2 * interval '1 second',
          expires_at = expires_at - $2 * interval '1 second', ends_at = ends_at - $2 * interval '1 second' WHERE id = $1`,
        [id, seconds],
      ),
    /** Everything that is stored, to tell that nothing was written. */
    everything: () =>
      sql(`SELECT (SELECT jsonb_agg(r ORDER BY id) FROM resource r) AS resources,
        (SELECT jsonb_agg(e ORDER BY id) FROM event e) AS events,
        (SELECT jsonb_agg(d ORDER BY id) FROM delivery d) AS deliveries,
        (SELECT count(*) FROM idempotency_key) AS answers`),
    /** The directory and its audit, to tell that nothing was written. */
    directory: () =>
      sql(`SELECT (SELECT jsonb_agg(o ORDER BY id) FROM directory_organization o) AS organizations,
        (SELECT jsonb_agg(u ORDER BY id) FROM directory_user u) AS users,
        (SELECT jsonb_agg(m ORDER BY id) FROM directory_membership m) AS memberships,
        (SELECT count(*) FROM event) AS events, (SELECT count(*) FROM idempotency_key) AS answers`),
    /** The timers that stand in Redis for a resource. */
    timers: async (id: string) => {
      await until(() => lapse.queues.redis.status === 'ready')
      return (await lapse.queues.timers.getJobs(['delayed', 'waiting'])).filter((job) => job.id?.startsWith(id))
    },
  }
}

/** A way to PostgreSQL that can be cut, or stop carrying anything while its connections stay open. */
export const breakableWay = () => {
  const sockets = new Set<Socket>()
  let state: 'open' | 'frozen' | 'cut' = 'open'
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname)
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one)
      one.on('data', (data) => state === 'open' && other.write(data))
      one.on('error', () => {})
      one.on('close', () => other.destroy())
    }
    if (state === 'cut') near.destroy()
  })
  let target: URL
  afterAll(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    to: async (url: string): Promise<string> => {
      target = new URL(url)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const address = server.address()
      const port = typeof address === 'object' && address ? address.port : 0
      return Object.assign(new URL(url), { hostname: '127.0.0.1', port: String(port) }).href
    },
    open: () => {
      state = 'open'
    },
    freeze: () => {
      state = 'frozen'
    },
    cut: () => {
      state = 'cut'
      for (const socket of sockets) socket.destroy()
    },
  }
}
