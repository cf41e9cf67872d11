import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { until } from '@lapse/testkit'
import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { rootToken, stage } from './stage.ts'

const command = fileURLToPath(new URL('../../cli/bin/lapse.js', import.meta.url))

type Stage = Awaited<ReturnType<typeof stage>>

/** Runs `lapse <args>` and answers what it prints. */
const lapse = (app: Stage, ...args: string[]): Promise<string> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [command, ...args], { env: { PATH: process.env.PATH, ...app.env } })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data))
    child.on('close', () => resolve(output))
  })

/** Copies the database as it is now; the function puts the copy in its place, whoever works with it. */
const backUp = async ({ database, lapse }: Stage): Promise<() => Promise<void>> => {
  const name = new URL(database.ownerUrl).pathname.slice(1)
  const server = new pg.Client({
    connectionString: Object.assign(new URL(database.ownerUrl), { pathname: 'postgres' }).href,
  })
  await server.connect()
  onTestFinished(() => server.end())
  const cut = () => server.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name])
  await cut()
  await server.query(`CREATE DATABASE ${name}_backup TEMPLATE ${name}`)
  const back = () => until(() => lapse.clockSkew().then(() => true), { what: 'the database to be back' })
  await back()
  return async () => {
    await server.query(`DROP DATABASE ${name} WITH (FORCE)`)
    await server.query(`ALTER DATABASE ${name}_backup RENAME TO ${name}`)
    await back()
  }
}

it('PostgreSQL restored from a backup, with a Redis that knows the future: nothing is revived silently, and everything due ends', async () => {
  const app = await stage()
  const pass = (expiresIn: `${number}${'s' | 'h'}`) => app.lapse.issue('pass', { expiresIn })
  const due = await pass('2s')
  const [untouched, revoked, renewed, renewedTwice] = [
    await pass('1h'),
    await pass('2h'),
    await pass('3h'),
    await pass('4h'),
  ]
  const restore = await backUp(app)

  // The time that will be lost, up to a sweep that sees the last of it.
  const worker = await app.startWorker({ LAPSE_SWEEP_SECONDS: '1' })
  await app.lapse.revoke('pass', revoked.id)
  await app.lapse.renew('pass', renewed.id, { expiresIn: '30h' })
  await app.lapse.renew('pass', renewedTwice.id, { expiresIn: '40h' })
  await app.happened(due.id, 'expired')
  const gone = await pass('5h')
  const seen = async () => (await app.lapse.queues.redis.get(`${app.env.LAPSE_PREFIX}:witness`))?.includes(gone.id)
  await until(seen, { what: 'Redis to be told of the last event' })
  await worker.stop()
  await restore()

  // Nobody has noticed yet: a timer of the time that is lost has this one's name, and another instant.
  const again = await app.lapse.renew('pass', renewedTwice.id, { expiresIn: '1h' })
  const firesAt = async () => {
    const job = await app.lapse.queues.timers.getJob(`${again.id}-expire-v2`)
    return job && job.timestamp + job.delay
  }
  expect(again.version).toBe(2)
  expect(await firesAt()).toBeGreaterThan(again.expiresAt.getTime() + 3_600_000)
  const finding = (await app.lapse.diagnose()).find(({ about }) => about === 'restored')
  expect(finding?.verdict).toBe('wrong')
  expect(finding?.text).toMatch(
    /PostgreSQL is behind Redis.* have: 3\. .* live again: 1; .* renewed: 1; .* gone: 1\. "lapse restored"/,
  )

  const api = await app.startApi({ LAPSE_WATCH_SECONDS: '1' })
  const ask = async (path: string) =>
    (await fetch(api.url + path, { headers: { authorization: `Bearer ${rootToken}` } })).json() as Promise<{
      items: Record<string, unknown>[]
    }>
  expect(await app.lapse.check('pass', revoked.id)).toMatchObject({ allowed: true })
  const next = await app.startWorker()
  await app.happened(revoked.id, 'rewound')
  await until(() => /PostgreSQL is behind Redis.*lapse restored/.test(next.output()), { what: 'the worker to say so' })
  const rewound = (await ask('/v1/events?type=rewound')).items
  expect(Object.fromEntries(rewound.map(({ resource_id, data }) => [resource_id, data]))).toEqual({
    [revoked.id]: { was: 'ended' },
    [renewed.id]: { was: 'renewed' },
  })
  const isRaised = async () => (await ask('/v1/alerts')).items.find(({ name }) => name === 'restored')?.raised
  await until(isRaised, { what: 'the alert' })

  // What stands in Redis is what PostgreSQL says, and nothing else.
  for (const [{ id }, version] of [
    [untouched, 1],
    [revoked, 1],
    [renewed, 1],
  ] as const)
    await until(async () => (await app.timers(id)).join() === `${id}-expire-v${version}`, { what: 'its timer' })
  expect(await app.timers(gone.id)).toEqual([])
  expect((await app.happened(due.id, 'expired')).trigger).toBe('sweep')
  await until(async () => (await firesAt()) === again.expiresAt.getTime(), { what: 'its timer to stand at its end' })

  expect(await lapse(app, 'restored', '--revoke', '--done')).toContain('1 revoked.')
  expect(await app.lapse.check('pass', revoked.id)).toMatchObject({ allowed: false })
  expect(await app.lapse.check('pass', renewed.id)).toMatchObject({ allowed: true })
  expect(await app.lapse.restored.read()).toBeUndefined()
  await Promise.all([next.stop(), api.stop()])
}, 120_000)
