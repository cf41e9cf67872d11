import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { selfSigned, testSink, until } from '@lapse/testkit'
import { Webhook } from 'standardwebhooks'
import { afterAll, expect, it } from 'vitest'
import { stage } from './stage.ts'

const folder = mkdtempSync(join(tmpdir(), 'lapse-webhooks-'))
afterAll(() => rmSync(folder, { recursive: true }))
const trusted = join(folder, 'sink.pem')
writeFileSync(trusted, selfSigned.cert)

const { lapse, sql, startWorker } = await stage()
const sink = await testSink({ tls: true })

it('H1: over HTTPS, a webhook that fails finds access denied; given up it is seen; by hand it is accepted, under one id', async () => {
  const worker = await startWorker({ NODE_EXTRA_CA_CERTS: trusted })
  const { secret } = await lapse.webhookEndpoints.create({
    ...{ url: `https://localhost:${sink.port}/hook`, kinds: ['pass'], events: ['expired'] },
  })
  sink.answerAlways(503)
  const { id } = await lapse.issue('pass', { expiresIn: '1s' })
  const first = await sink.waitForRequest()
  expect(await lapse.check('pass', id)).toMatchObject({ allowed: false, reason: 'expired' })
  const [delivery] = await lapse.deliveries.list({ resourceId: id, channel: 'webhook' })
  const seen = () => lapse.deliveries.get(delivery?.id ?? '')
  const status = (wanted: string) =>
    until(async () => (await seen()).status === wanted, { timeout: 15_000, what: `a delivery that is ${wanted}` })

  await status('failed')
  // As if it had gone on for days: the next try, which the worker makes by itself, is the last.
  await sql('UPDATE delivery SET tries = 27 WHERE id = $1', [delivery?.id])
  await status('dead')
  expect(await lapse.deliveries.list({ status: 'dead' })).toMatchObject([
    { id: delivery?.id, lastError: 'It answered 503.' },
  ])
  sink.answerAlways(204)
  await lapse.deliveries.retry(delivery?.id ?? '')
  await status('sent')

  const { log } = await seen()
  expect(log.length).toBeGreaterThanOrEqual(3)
  expect(log.map(({ code }) => code)).toEqual([...Array(log.length - 1).fill(503), 204])
  expect(sink.requests).toHaveLength(log.length)
  for (const { headers, body } of sink.requests) {
    expect(headers['webhook-id']).toBe(delivery?.id)
    expect(new Webhook(secret).verify(body, headers as Record<string, string>)).toMatchObject({
      type: 'pass.expired',
      data: { resource: { id, status: 'expired' } },
    })
  }
  expect(first.path).toBe('/hook')
  await worker.stop()
})
