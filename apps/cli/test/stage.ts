import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { testDatabase, testRedis, until } from '@lapse/testkit'
import { createLapse } from 'lapse'
import pg from 'pg'
import { afterAll, vi } from 'vitest'
import { runCommand } from '../src/program.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const secret = 'a secret for the tests of the command line'

export interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs `lapse` as it is installed, in a process of its own. */
export const runIn = (cwd: string, env: Record<string, string>, ...args: string[]): Promise<Ran> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [`${root}/apps/cli/bin/lapse.js`, ...args], {
      cwd,
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const seen = { out: '', err: '' }
    child.stdout.setEncoding('utf8').on('data', (text) => {
      seen.out += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      seen.err += text
    })
    child.once('error', reject).once('close', (code) => resolve({ code, ...seen }))
  })

let turn: Promise<unknown> = Promise.resolve()

/**
 * Runs `lapse` in this process, which takes a tenth of the time: one after the other, for what it reads and says is the
 * process's. That an installed `lapse` does the same is for `runIn`.
 */
const run = (env: Record<string, string>, ...args: string[]): Promise<Ran> => {
  const ran = turn.then(async () => {
    const seen = { out: '', err: '' }
    const { env: before } = process
    const hear =
      (to: 'out' | 'err', end = '') =>
      (text: unknown) => {
        seen[to] += (typeof text === 'string' ? text : inspect(text)) + end
        return true
      }
    const spies = [
      vi.spyOn(process.stdout, 'write').mockImplementation(hear('out')),
      vi.spyOn(process.stderr, 'write').mockImplementation(hear('err')),
      vi.spyOn(console, 'error').mockImplementation(hear('err', '\n')),
    ]
    process.env = { PATH: before.PATH, ...env }
    try {
      await runCommand(args)
      return { code: Number(process.exitCode ?? 0), ...seen }
    } finally {
      process.env = before
      process.exitCode = undefined
      for (const spy of spies) spy.mockRestore()
    }
  })
  turn = ran.catch(() => {})
  return ran
}

/** An application with a database and a part of Redis of its own, and the command line on the same. */
export const stage = async (redis: { url: string; prefix?: string } = testRedis()) => {
  const database = await testDatabase()
  const prefix = redis.prefix ?? 'lapse'
  const lapse = createLapse({ databaseUrl: database.url, redisUrl: redis.url, prefix, secrets: [secret] })
  const owner = new pg.Pool({ connectionString: database.ownerUrl, max: 2 })
  owner.on('error', () => {})
  afterAll(async () => {
    await lapse.close()
    await owner.end()
  })
  await until(() => lapse.queues.redis.status === 'ready', { what: 'the connection to Redis' })
  const env = {
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    LAPSE_PREFIX: prefix,
    LAPSE_SECRET: secret,
    LAPSE_CONFIG: fileURLToPath(new URL('./none.config.ts', import.meta.url)),
  }
  return {
    lapse,
    database,
    env,
    run: (...args: string[]) => run(env, ...args),
    runWith: (more: Record<string, string>, ...args: string[]) => run({ ...env, ...more }, ...args),
    /** A statement as the owner. */
    sql: async <Row extends object = Record<string, unknown>>(text: string, values: unknown[] = []) =>
      (await owner.query<Row>(text, values)).rows,
    /** Moves a resource's instants into the past. */
    age: (id: string, seconds: number) =>
      owner.query(
        `UPDATE resource SET issued_at = issued_at - s, expires_at = expires_at - s, ends_at = ends_at - s,
          ended_at = ended_at - s, due_at = due_at - s FROM (SELECT $2 * interval '1 second' AS s) AS shift WHERE id = $1`,
        [id, seconds],
      ),
    trial: (more: object = {}) =>
      lapse.issue('trial', { payload: { email: 'ada@example.com' }, expiresIn: '5d', ...more }),
  }
}
