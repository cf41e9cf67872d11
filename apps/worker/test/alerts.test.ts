import { privateRedis, type TestProcess, testSink, until } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { rootToken, stage } from './stage.ts'

const operator = 'ops@example.com'
const watching = { LAPSE_WATCH_SECONDS: '1', LAPSE_OPERATOR_EMAIL: operator }
const metricOf = async ({ url }: TestProcess, name: string): Promise<number> => {
  const text = await (await fetch(`${url}/metrics`)).text()
  const line = text.split('\n').find((one) => one.startsWith(`${name} `))
  return Number(line?.split(' ')[1])
}

describe('alerts', () => {
  it('deliveries that have given up tell the operator by mail and by webhook, and by the metrics', async () => {
    const app = await stage()
    const sink = await testSink()
    const worker = await app.startWorker(watching)
    const { endpoint } = await app.lapse.webhookEndpoints.create({ url: sink.url, events: ['alert'] })
    app.inbox.failNext(1, 550)
    await app.lapse.issue('pass', { expiresIn: '1s', payload: { email: 'gone@example.com' } })
    const mail = await app.inbox.waitForMail((one) => one.to.includes(operator), 15_000)
    expect(mail.subject).toBe('Lapse: deliveries have given up')
    for (const part of [mail.text, mail.html]) {
      expect(part).toContain('1 delivery has given up within the last hour.')
      expect(part).toContain('lapse deliveries retry-dead')
    }
    const { body } = await sink.waitForRequest()
    expect(JSON.parse(body)).toMatchObject({
      ...{ type: 'lapse.alert.raised', data: { name: 'dead-deliveries', value: 1, raised_at: expect.any(String) } },
    })
    expect(await metricOf(worker, 'lapse_alert{name="dead-deliveries"}')).toBe(1)

    // As if the operator had mended it, and five calm minutes had gone by.
    await app.lapse.deliveries.retryDead()
    await app.inbox.waitForMail((one) => one.to.includes('gone@example.com'))
    await app.sql(`UPDATE alert SET seen_at = seen_at - interval '10 minutes'`)
    await app.inbox.waitForMail((one) => one.subject === 'Lapse: no delivery has given up lately')
    await until(() => sink.requests.length === 2, { what: 'the second webhook' })
    expect(await metricOf(worker, 'lapse_alert{name="dead-deliveries"}')).toBe(0)
    expect(await app.lapse.deliveries.list({ target: endpoint.id })).toHaveLength(2)
    expect(app.mailsTo(operator)).toHaveLength(2)
    await worker.stop()
  })

  it('timers that Redis has lost tell the operator, although everything has ended', async () => {
    const redis = await privateRedis()
    const app = await stage(redis)
    const worker = await app.startWorker({
      ...watching,
      LAPSE_SWEEP_SECONDS: '3600',
      LAPSE_ALERT_SWEEP_SECONDS: '3700',
    })
    const all = await app.lapse.issueAll(Array.from({ length: 12 }, () => ({ kind: 'pass' as const, expiresIn: '1h' })))
    const ids = all.map(({ id }) => id)
    // The time has come for them, and no timer with it.
    await app.sql(
      `UPDATE resource SET issued_at = issued_at - s, expires_at = expires_at - s, ends_at = ends_at - s, due_at = due_at - s
       FROM (SELECT interval '61 minutes' AS s) AS shift WHERE id = ANY ($1)`,
      [ids],
    )
    await redis.flush()
    const mail = await app.inbox.waitForMail((one) => one.to.includes(operator), 20_000)
    expect([mail.subject, mail.text]).toEqual([
      'Lapse: timers do not fire',
      expect.stringContaining('has taken 12 steps whose timers should have fired; the limit is 10.'),
    ])
    for (const id of ids) expect((await app.lapse.get(id)).status).toBe('expired')
    await worker.stop()
  })

  it('a worker that has stopped is told of by the API, until one sweeps again', async () => {
    const app = await stage()
    const api = await app.startApi(watching)
    const worker = await app.startWorker(watching)
    expect(await metricOf(api, 'lapse_last_sweep_seconds')).toBeLessThan(60)
    expect(await metricOf(api, 'lapse_alert{name="not-swept"}')).toBe(0)
    await worker.stop()
    await app.sql(`UPDATE pulse SET at = at - interval '1 hour'`)
    await until(async () => (await metricOf(api, 'lapse_alert{name="not-swept"}')) === 1, { what: 'the metric' })
    expect(await metricOf(api, 'lapse_last_sweep_seconds')).toBeGreaterThan(3_600)
    const listed = await fetch(`${api.url}/v1/alerts`, { headers: { authorization: `Bearer ${rootToken}` } })
    const { items } = (await listed.json()) as { items: { name: string; raised: boolean }[] }
    expect(items.filter(({ raised }) => raised).map(({ name }) => name)).toEqual(['not-swept'])

    const next = await app.startWorker(watching)
    // It carries out what the API has written down.
    await app.inbox.waitForMail((one) => one.subject === 'Lapse: nobody sweeps')
    expect(await metricOf(api, 'lapse_last_sweep_seconds')).toBeLessThan(60)
    await app.sql(`UPDATE alert SET seen_at = seen_at - interval '10 minutes'`)
    await app.inbox.waitForMail((one) => one.subject === 'Lapse: it is swept again')
    await Promise.all([next.stop(), api.stop()])
  })
})
