import { nowSql } from '@lapse/testkit'
import { attemptStatuses } from 'lapse'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'

let api: Awaited<ReturnType<typeof testApi>>
beforeAll(async () => {
  api = await testApi()
})

/** A side effect that is owed: the call of a handler, since nobody works here. */
const owed = async (): Promise<Body> => {
  const { id } = (await api.call('POST', '/v1/resources', { kind: 'pass' })).body
  await api.call('POST', `/v1/resources/${id}/expire`)
  return (await api.call('GET', `/v1/deliveries?resource_id=${id}`)).body.items[0]
}

const giveUp = (id: string) =>
  api.sql(
    `WITH tried AS (INSERT INTO delivery_attempt VALUES ($1, 1, ${nowSql}, 12, 'dead', 'no such door'))
     UPDATE delivery SET status = 'dead', attempts = 1, last_error = 'no such door', settled_at = ${nowSql}, next_attempt_at = NULL WHERE id = $1`,
    [id],
  )

describe('deliveries', () => {
  it('are listed by resource, status, channel and kind', async () => {
    const delivery = await owed()
    expect(delivery).toMatchObject({
      kind: 'pass',
      event: 'expired',
      channel: 'handler',
      status: 'pending',
      attempts: 0,
    })
    const ids = async (query: string) =>
      (await api.call('GET', `/v1/deliveries?limit=200&${query}`)).body.items.map((item: Body) => item.id)
    expect(await ids('status=pending&channel=handler&kind=pass')).toContain(delivery.id)
    expect(await ids('status=sent')).toEqual([])
    expect(await ids('kind=ticket')).toEqual([])
    expect((await api.call('GET', '/v1/deliveries?channel=fax')).body).toMatchObject({ status: 422, field: 'channel' })
    expect(await ids(`event=expired&target=pass.expired&since=${delivery.created_at}`)).toContain(delivery.id)
    expect(await ids(`until=${delivery.created_at}`)).not.toContain(delivery.id)
    expect(await ids('event=issued')).toEqual([])
    expect(await ids('organization_id=00000000-0000-4000-8000-000000000000')).toEqual([])
    expect((await api.call('GET', '/v1/deliveries?since=today')).body).toMatchObject({ status: 422, field: 'since' })
  })

  it('show their attempts, however these stand', async () => {
    const { id } = await owed()
    for (const [n, status] of attemptStatuses.entries())
      await api.sql(`INSERT INTO delivery_attempt (delivery_id, number, at, status) VALUES ($1, $2, ${nowSql}, $3)`, [
        id,
        n + 1,
        status,
      ])
    const { status, body } = await api.call('GET', `/v1/deliveries/${id}`)
    expect([status, body.log.map((attempt: Body) => attempt.status)]).toEqual([200, attemptStatuses])
  })

  it('one that is outstanding can be called off, once', async () => {
    const { id } = await owed()
    const { status, body } = await api.call('POST', `/v1/deliveries/${id}/cancel`)
    expect([status, body.status, body.next_attempt_at]).toEqual([200, 'cancelled', null])
    const again = await api.call('POST', `/v1/deliveries/${id}/cancel`)
    expect(again.body).toMatchObject({ status: 409, code: 'not_cancellable', detail: 'It is cancelled.' })
    expect((await api.call('POST', '/v1/deliveries/nonsense/cancel')).status).toBe(404)
  })

  it('a dead one shows its attempts and can be retried: it is due, and its job is there', async () => {
    const { id } = await owed()
    await giveUp(id)
    expect((await api.call('GET', `/v1/deliveries/${id}`)).body).toMatchObject({
      status: 'dead',
      last_error: 'no such door',
      log: [{ number: 1, status: 'dead', error: 'no such door', duration_ms: 12 }],
    })
    const { status, body } = await api.call('POST', `/v1/deliveries/${id}/retry`)
    expect([status, body.status, body.settled_at]).toEqual([200, 'pending', null])
    expect(await api.lapse.queues.handler.getJob(`${id}-r1`)).toBeDefined()
    const again = await api.call('POST', `/v1/deliveries/${id}/retry`)
    expect(again.body).toMatchObject({ status: 409, code: 'not_retryable', detail: expect.stringContaining('pending') })
  })

  it('all dead ones can be retried at once, or those that match', async () => {
    const deliveries = [await owed(), await owed(), await owed()]
    for (const { id } of deliveries) await giveUp(id)
    const retry = async (body?: object) => (await api.call('POST', '/v1/deliveries/retry', body)).body
    const all = { done: true, after: null }
    expect(await retry({ channel: 'email' })).toEqual({ retried: 0, ...all })
    expect(await retry({ until: '2020-01-01T00:00:00Z' })).toEqual({ retried: 0, ...all })
    expect(await retry({ resource_id: deliveries[0].resource_id })).toEqual({ retried: 1, ...all })
    expect(await retry({ after: deliveries[1].id, event: 'expired' })).toEqual({ retried: 1, ...all })
    expect(await retry()).toEqual({ retried: 1, ...all })
    expect(await retry({ status: 'dead' })).toMatchObject({ status: 422, field: 'status' })
    expect(await retry({ after: 'nonsense' })).toMatchObject({ status: 422, field: 'after' })
  })
})
