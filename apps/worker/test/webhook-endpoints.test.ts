import { testSink, until } from '@lapse/testkit'
import { Webhook } from 'standardwebhooks'
import { expect, it } from 'vitest'
import { stage } from './stage.ts'

const { inbox, lapse, startWorker } = await stage()
const sink = await testSink()
const { webhookEndpoints: endpoints } = lapse

const settled = (id: string) =>
  until(async () => ((await lapse.deliveries.get(id)).settledAt ? lapse.deliveries.get(id) : undefined), {
    what: 'a delivery that is settled',
  })
const requestOf = (id: string, count = 1) =>
  until(
    () => {
      const all = sink.requests.filter(({ headers }) => headers['webhook-id'] === id)
      return all.length >= count ? all : undefined
    },
    { what: `${count} requests under one id` },
  )

it('what is tested and replayed really goes out, signed by both secrets while one takes the place of the other', async () => {
  const worker = await startWorker()
  const { endpoint, secret } = await endpoints.create({
    ...{ url: sink.url, kinds: ['pass'], headers: { 'X-Login': 'of the receiver' } },
  })
  const { id: missed } = await lapse.issue('pass', { expiresIn: '1h' })
  await endpoints.disable(endpoint.id)
  const { deliveryId } = await endpoints.test(endpoint.id)
  const [test] = await requestOf(deliveryId)
  expect(test?.headers['x-login']).toBe('of the receiver')
  expect(JSON.parse(test?.body ?? '')).toMatchObject({ type: 'lapse.test', data: { endpoint_id: endpoint.id } })
  expect((await settled(deliveryId)).log).toMatchObject([{ status: 'sent', code: 204 }])

  await lapse.revoke('pass', missed)
  await endpoints.enable(endpoint.id)
  const rotated = await endpoints.rotateSecret(endpoint.id)
  const since = new Date(endpoint.createdAt.getTime() - 1)
  expect((await endpoints.replay(endpoint.id, { since, events: ['revoked'] })).replayed).toBe(1)
  const told = await lapse.deliveries.list({ resourceId: missed, channel: 'webhook', event: 'revoked' })
  const id = told[0]?.id ?? ''
  expect((await settled(id)).status).toBe('sent')
  await endpoints.resend(id)
  const [first, again] = await requestOf(id, 2)
  for (const { body, headers } of [first, again].filter((request) => request !== undefined))
    for (const one of [secret, rotated.secret])
      expect(new Webhook(one).verify(body, headers as Record<string, string>)).toMatchObject({
        type: 'pass.revoked',
        data: { resource: { id: missed, status: 'revoked' } },
      })
  expect(again?.body).toBe(first?.body)
  await endpoints.delete(endpoint.id)
  await worker.stop()
})

it('H2: an endpoint that answers 410 is told nothing more, and its owner is told that by mail', async () => {
  const worker = await startWorker({ LAPSE_SWEEP_SECONDS: '1' })
  const { endpoint } = await endpoints.create({ url: sink.url, kinds: ['pass'], contact: 'ada@example.com' })
  sink.answerAlways(410)
  const { id } = await lapse.issue('pass', { expiresIn: '1h' })
  await until(async () => (await endpoints.get(endpoint.id)).status === 'disabled', { what: 'a disabled endpoint' })
  const mail = await inbox.waitForMail(({ to }) => to.includes('ada@example.com'))
  expect(mail.subject).toContain('have stopped')
  expect(mail.text).toContain(`/v1/webhook-endpoints/${endpoint.id}/enable`)
  const count = sink.requests.length
  await lapse.revoke('pass', id)
  expect(await lapse.deliveries.list({ target: endpoint.id })).toMatchObject([{ status: 'dead', event: 'issued' }])
  expect(sink.requests).toHaveLength(count)
  await worker.stop()
})
