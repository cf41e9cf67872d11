import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { makeDue, testSink, until } from '@lapse/testkit'
import type { HttpCallInput } from 'lapse'
import { expect, it } from 'vitest'
import { everyKey, everyRow } from './everything.ts'
import { rootToken, sleepUntil, stage } from './stage.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

const app = await stage()
const { database, env, happened, lapse, sql, startApi, startWorker } = app
const sink = await testSink()

const schedule = async (name: string, more: Partial<HttpCallInput> = {}) => {
  const input = { url: `${sink.url}${name}`, expiresInMs: 1_000, ...more }
  return (await lapse.httpCalls.schedule(input)).httpCall
}
const arrived = (name: string) => sink.requests.filter(({ path }) => path === `/${name}`)
const arrives = (name: string, n = 1) =>
  until(() => arrived(name).length >= n && arrived(name), { timeout: 15_000, what: `call ${n} of ${name}` })
const becomes = (id: string, state: string) =>
  until(
    async () => {
      const call = await lapse.httpCalls.get(id)
      return call.state === state && call
    },
    { timeout: 15_000, what: `a call that is ${state}` },
  )
/** Lets its next try come now. */
const hurry = async (id: string, attempts: number) => {
  const { delivery } = await until(
    async () => {
      const call = await lapse.httpCalls.get(id)
      return call.log[attempts - 1]?.status === 'failed' && call
    },
    { what: `failure ${attempts}` },
  )
  // The worker finds it by itself: it asks PostgreSQL every few seconds what waits.
  await makeDue(sql, delivery?.id)
}

it('is made between +0 and +1 s of its instant, once, as it was asked for', async () => {
  const worker = await startWorker()
  const { id, endsAt } = await schedule('exact', {
    ...{ method: 'PUT', headers: { 'X-Key': 'yours' }, body: { remind: 42 }, expiresInMs: 2_000 },
  })
  const [request] = await arrives('exact')
  const late = (request?.at.getTime() ?? 0) - endsAt.getTime()
  expect(late).toBeGreaterThanOrEqual(0)
  expect(late).toBeLessThan(1_000)
  expect((await happened(id, 'expired')).trigger).toBe('job')
  const { delivery, log } = await becomes(id, 'made')
  expect(request).toMatchObject({
    ...{ method: 'PUT', body: '{"remind":42}' },
    headers: {
      ...{ 'x-key': 'yours', 'content-type': 'application/json' },
      ...{ 'idempotency-key': delivery?.id, 'lapse-attempt': '1' },
    },
  })
  expect(log).toMatchObject([{ number: 1, status: 'sent', code: 204, durationMs: expect.any(Number) }])
  expect(arrived('exact')).toHaveLength(1)
  await worker.stop()
})

it('A2: with workers down across its instant it is made once after the start; cancelled or rescheduled, it is not', async () => {
  const [down, cancelled, later] = [await schedule('down'), await schedule('cancelled'), await schedule('later')]
  await lapse.httpCalls.cancel(cancelled.id)
  const { httpCall: moved } = await lapse.httpCalls.reschedule(later.id, { expiresInMs: 7_000 })
  await sleepUntil(down.endsAt, 20)
  expect((await lapse.httpCalls.get(down.id)).state).toBe('due')
  const worker = await startWorker()
  await becomes(down.id, 'made')
  expect(arrived('down')).toHaveLength(1)
  const [request] = await arrives('later')
  expect(request?.at.getTime()).toBeGreaterThanOrEqual(moved.endsAt.getTime())
  await becomes(later.id, 'made')
  expect([arrived('down').length, arrived('later').length, arrived('cancelled').length]).toEqual([1, 1, 0])
  await worker.stop()
})

it('D2: an application killed between the commit and the queue: it is made all the same, once', async () => {
  const { id } = await schedule('orphan', { expiresInMs: 3_600_000 })
  const script = `
    import { createLapse } from 'lapse'
    const { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, LAPSE_PREFIX: prefix, LAPSE_SECRET: secret } = process.env
    const lapse = createLapse({ databaseUrl, redisUrl, prefix, secrets: [secret] })
    lapse.queues.call.addBulk = () => process.kill(process.pid, 'SIGKILL')
    await lapse.httpCalls.makeNow('${id}')`
  const died = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: root,
    env: { PATH: process.env.PATH, ...env },
  })
  expect(died.signal).toBe('SIGKILL')
  expect((await lapse.httpCalls.get(id)).state).toBe('due')
  const worker = await startWorker({ LAPSE_SWEEP_SECONDS: '1' })
  await becomes(id, 'made')
  expect(arrived('orphan')).toHaveLength(1)
  await worker.stop()
})

it('that fails three times and then succeeds has one Idempotency-Key; what it carries is erased then', async () => {
  const worker = await startWorker()
  sink.answerNext(500, 503, { status: 429, body: 'slow down' })
  const { id } = await schedule('failing', { body: 'again' })
  for (const n of [1, 2, 3]) {
    await arrives('failing', n)
    await hurry(id, n)
  }
  const { delivery, log } = await becomes(id, 'made')
  expect(log.map(({ status, code }) => [status, code])).toEqual([
    ...[
      ['failed', 500],
      ['failed', 503],
      ['failed', 429],
    ],
    ['sent', 204],
  ])
  expect(log[2]).toMatchObject({ answer: 'slow down', nextAt: expect.any(Date) })
  const requests = arrived('failing')
  expect(requests.map(({ headers }) => headers['lapse-attempt'])).toEqual(['1', '2', '3', '4'])
  expect(new Set(requests.map(({ headers }) => headers['idempotency-key']))).toEqual(new Set([delivery?.id]))
  expect((await sql('SELECT enclosed FROM resource WHERE id = $1', [id])).rows).toEqual([{ enclosed: null }])
  await worker.stop()
})

it('that has no attempt left is dead, keeps what it carries, and is made when it is retried by hand', async () => {
  const worker = await startWorker()
  sink.answerNext(500, 404)
  const [used, refused] = [
    await schedule('used-up', { attempts: 1 }),
    await schedule('refused', { expiresInMs: 2_000 }),
  ]
  const dead = [await becomes(used.id, 'dead'), await becomes(refused.id, 'dead')]
  expect(dead.map(({ delivery }) => delivery?.attempts)).toEqual([1, 1])
  for (const { delivery } of dead) await lapse.deliveries.retry(delivery?.id ?? '')
  await becomes(used.id, 'made')
  await becomes(refused.id, 'made')
  expect([arrived('used-up').length, arrived('refused').length]).toEqual([2, 2])
  await worker.stop()
})

it('under way when its worker is killed, it is made again under the same key when the lease is over', async () => {
  const first = await startWorker()
  sink.answerNext(() => {})
  const { id } = await schedule('killed')
  await arrives('killed')
  await first.kill()
  await makeDue(sql, (await lapse.httpCalls.get(id)).delivery?.id)
  const second = await startWorker({ LAPSE_SWEEP_SECONDS: '1' })
  const { log } = await becomes(id, 'made')
  expect(log.map(({ status }) => status)).toEqual(['unknown', 'sent'])
  const keys = arrived('killed').map(({ headers }) => headers['idempotency-key'])
  expect([keys.length, new Set(keys).size]).toEqual([2, 1])
  await second.stop()
})

it('I6: what it carries stands in the call and nowhere else: the database, its log, Redis, our logs, answers', async () => {
  const postgresLog = await database.logAll()
  const api = await startApi({ LAPSE_LOG_LEVEL: 'trace' })
  const worker = await startWorker({ LAPSE_LOG_LEVEL: 'trace' })
  const ask = async (path: string, body?: object) => {
    const answer = await fetch(`${api.url}${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${rootToken}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    })
    return answer.text()
  }
  // One that is told its own secrets back, one that is refused, and one to come.
  sink.answerAlways((response, { headers, body, path }) => {
    response.writeHead(path.startsWith('/canary-echo') ? 500 : 404)
    response.end(`${headers['x-key']} ${body} ${path}`)
  })
  for (const [name, expires_in] of [
    ['canary-echo', 1],
    ['canary-refused', 1],
    ['canary-to-come', 3_600],
  ] as const) {
    const url = `${sink.url}${name}?key=canary1secret`
    await ask('/v1/http-calls', {
      url,
      headers: { 'X-Key': 'canary2secret' },
      body: { it: 'canary3secret' },
      expires_in,
    })
  }
  const failed = async (status: string) =>
    (await lapse.deliveries.list({ channel: 'call', status: status as 'dead' }))[0]
  const [echo, refused] = await until(
    async () => {
      const both = [await failed('failed'), await failed('dead')]
      return both.every(Boolean) && both
    },
    { timeout: 15_000, what: 'both to have failed' },
  )
  expect(sink.requests.filter(({ body }) => body.includes('canary3secret'))).toHaveLength(2)
  const paths = ['/v1/http-calls', '/v1/resources', '/v1/events', '/v1/deliveries'].map((path) => `${path}?limit=200`)
  const places: Record<string, string> = {
    database: await everyRow(app),
    "PostgreSQL's log": postgresLog(),
    redis: await everyKey(app),
    'the log of the API': api.output(),
    'the log of the worker': worker.output(),
    answers: (
      await Promise.all(
        [
          ...paths,
          ...[echo, refused].flatMap((one) => [`/v1/deliveries/${one?.id}`, `/v1/http-calls/${one?.resourceId}`]),
        ].map((path) => ask(path)),
      )
    ).join('\n'),
  }
  for (const [place, text] of Object.entries(places)) {
    expect([place, text.length > 100]).toEqual([place, true])
    for (const secret of ['canary1secret', 'canary2secret', 'canary3secret'])
      for (const form of [secret, Buffer.from(secret).toString('hex')])
        expect([place, secret, text.includes(form)]).toEqual([place, secret, false])
  }
  // The search finds what is there.
  expect(places.database).toContain(`${sink.url}canary-to-come`)
  await worker.stop()
  await api.stop()
})
