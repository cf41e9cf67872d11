import {
  acceptWrites,
  privateRedis,
  type Refusal,
  refusals,
  refuseWrites,
  type TestProcess,
  testSink,
  until,
} from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { rootToken, stage } from './stage.ts'

const text = async ({ url }: TestProcess, path: string): Promise<string> => (await fetch(`${url}${path}`)).text()

const metric = async (process: TestProcess, name: string): Promise<number> => {
  const lines = (await text(process, '/metrics')).split('\n').filter((line) => line.startsWith(name))
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

/** Nobody sweeps or watches in this test but for Redis: by the clock it would be an hour. */
const hourly = { LAPSE_SWEEP_SECONDS: '3600', LAPSE_ALERT_SWEEP_SECONDS: '3700', LAPSE_WATCH_SECONDS: '3600' }

const open = async () => {
  const redis = await privateRedis()
  const app = await stage(redis)
  const [worker, api] = await Promise.all([app.startWorker(hourly), app.startApi(hourly)])
  const call = async (path: string, body?: object) => {
    const answer = await fetch(new URL(path, api.url), {
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
      headers: { authorization: `Bearer ${rootToken}`, ...(body && { 'content-type': 'application/json' }) },
    })
    return { status: answer.status, body: (await answer.json()) as Record<string, string> }
  }
  const issue = (expiresIn: number) =>
    call('/v1/resources', { kind: 'pass', expires_in: expiresIn, payload: { email: 'guest@example.com' } })
  /** All that a Redis which refuses like this says, wherever it is looked for. */
  const saysSo = async (refusal: Refusal) => {
    const words = expect.stringContaining(`${refusal} `)
    await until(async () => (await text(worker, '/readyz')).includes(refusal), { what: 'the worker saying so' })
    expect(await text(worker, '/readyz')).toMatch(/^ready, without Redis\. Redis refuses writes: /)
    await until(async () => (await call('/readyz')).body.redis === 'refusing', { what: 'the API saying so' })
    expect(await call('/readyz')).toMatchObject({ status: 200, body: { redis_detail: words } })
    const alert = await until(async () => (await app.lapse.alerts.list()).find(({ raised }) => raised), {
      what: 'the alert',
    })
    expect(alert).toMatchObject({ name: 'redis-unavailable', detail: words })
    expect(await app.lapse.diagnose()).toContainEqual({ about: 'redis', verdict: 'wrong', text: words })
    await until(async () => (await metric(worker, 'lapse_redis_accepts_writes')) === 0, { what: 'the metric' })
  }
  const issuesPending = async () => {
    const began = performance.now()
    const issued = await issue(3)
    expect([issued.status, issued.body.timer]).toEqual([201, 'pending'])
    // Bounded; under one second is what it takes on a machine that does nothing else.
    expect(performance.now() - began).toBeLessThan(10_000)
    return issued.body.id ?? ''
  }
  return { redis, app, worker, api, call, issue, saysSo, issuesPending }
}

describe('L1 Redis answers and refuses writes', () => {
  it.each(refusals)('%s: everything ends all the same, all say so at once, and nothing runs hot', async (refusal) => {
    const { redis, app, worker, api, call, issue, saysSo, issuesPending } = await open()
    const armed = (await issue(4)).body
    expect(armed.timer).toBe('armed')
    await refuseWrites(redis.url, refusal)
    const pending = await issuesPending()
    await saysSo(refusal)
    const errors = await metric(worker, 'lapse_errors_total')
    const began = performance.now()
    const ends = await Promise.all([armed.id ?? '', pending].map((id) => app.happened(id, 'expired')))
    for (const { trigger } of ends) expect(['sweep', 'job']).toContain(trigger)
    const last = await app.happened(await issuesPending(), 'expired')
    expect(last.trigger).toBe('sweep')
    const perSecond = ((await metric(worker, 'lapse_errors_total')) - errors) / ((performance.now() - began) / 1_000)
    // Six runners and their connections ask every two seconds.
    expect(perSecond).toBeLessThan(30)
    expect(
      worker
        .output()
        .split('\n')
        .filter((line) => line.includes('"Redis refuses writes')),
    ).toHaveLength(1)

    await acceptWrites(redis.url, refusal)
    await until(async () => (await call('/readyz')).body.redis === 'well', { what: 'the API seeing that' })
    await until(async () => (await text(worker, '/readyz')) === 'ready\n', { what: 'the worker seeing that' })
    const late = await until(async () => {
      const { body } = await issue(3)
      return body.timer === 'armed' && body
    })
    expect((await app.happened(late.id ?? '', 'expired', 20_000)).trigger).toBe('job')
    await Promise.all([worker.stop(), api.stop()])
  })

  it('side effects go out meanwhile, that of the alert too', async () => {
    const redis = await privateRedis()
    const app = await stage(redis)
    const sink = await testSink()
    await app.lapse.webhookEndpoints.create({ url: sink.url, events: ['expired'] })
    const worker = await app.startWorker({ ...hourly, LAPSE_OPERATOR_EMAIL: 'ops@example.com' })
    await refuseWrites(redis.url, 'READONLY')
    await app.lapse.issue('pass', { expiresIn: '2s', payload: { email: 'guest@example.com' } })
    await app.inbox.waitForMail((mail) => mail.to.includes('guest@example.com'))
    await app.inbox.waitForMail((mail) => mail.subject === 'Lapse: Redis accepts no writes')
    await sink.waitForRequest()
    await worker.stop()
  })

  it('one that hangs on half-open connections is away: ends come by the sweep, and the alert after seconds', async () => {
    const { redis, app, worker, api, issue, issuesPending } = await open()
    const { id = '' } = (await issue(5)).body
    redis.pause()
    const pending = await issuesPending()
    for (const one of [id, pending]) expect((await app.happened(one, 'expired')).trigger).toBe('sweep')
    await until(
      async () => (await app.lapse.alerts.list()).find(({ raised }) => raised)?.name === 'redis-unavailable',
      {
        timeout: 20_000,
        what: 'the alert',
      },
    )
    expect(await text(worker, '/readyz')).toMatch(/^ready, without Redis\. Redis cannot be reached: /)
    redis.resume()
    await Promise.all([worker.stop(), api.stop()])
  })
})
