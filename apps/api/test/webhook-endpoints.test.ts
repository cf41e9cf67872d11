import { randomUUID } from 'node:crypto'
import { nowSql, until } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'
import { machines } from './operations.ts'
import { people } from './people.ts'

const lines: string[] = []
const api = await testApi({ log: (line) => lines.push(line) })
const { call, sql } = api
const { machine } = machines(api)
const all = people(api)

const url = 'https://example.com/hook'
const post = async (path: string, body: object = {}, headers?: Record<string, string>): Promise<Body> => {
  const answer = await call('POST', path, body, headers)
  if (answer.status >= 300) throw new Error(`${path}: ${answer.text}`)
  return answer.body
}
const made = (more: object = {}): Promise<Body> => post('/v1/webhook-endpoints', { url, ...more })
const told = (endpoint: string): Promise<Body[]> =>
  sql(`SELECT id, event, status, round FROM delivery WHERE target = $1 ORDER BY event_id NULLS FIRST`, [endpoint])

describe('webhook endpoints', () => {
  it('are created with a secret that is shown once, also to whoever repeats the request', async () => {
    const key = { 'idempotency-key': randomUUID() }
    const body = { url, description: 'Billing', kinds: ['trial'], events: ['expired'], headers: { 'X-Login': 'x' } }
    const first = await call('POST', '/v1/webhook-endpoints', body, key)
    expect(first.status).toBe(201)
    expect(first.headers.get('location')).toBe(`/v1/webhook-endpoints/${first.body.id}`)
    expect(first.body).toEqual({
      ...{ id: expect.any(String), organization_id: null, url, description: 'Billing', kinds: ['trial'] },
      ...{ events: ['expired'], header_names: ['X-Login'], contact: null, status: 'enabled', failing_since: null },
      ...{ max_per_second: null },
      circuit: { state: 'closed', consecutive_failures: 0, opened_at: null, next_probe_at: null },
      ...{ disabled_at: null, disabled_reason: null, previous_secret_until: null },
      ...{ created_at: expect.any(String), changed_at: expect.any(String), secret: expect.stringMatching(/^whsec_/) },
    })
    const again = await call('POST', '/v1/webhook-endpoints', body, key)
    const { secret, ...shown } = first.body
    expect([again.status, again.body, again.headers.get('idempotent-replayed')]).toEqual([201, shown, 'true'])
    expect((await call('GET', first.headers.get('location') ?? '')).body).toEqual(shown)
    expect((await call('GET', '/v1/webhook-endpoints')).body.items).toEqual([shown])
  })

  it.each([
    ['url', { url: 'http://example.com' }],
    ['url', { url: 'https://127.0.0.1/' }],
    ['events.0', { url, events: ['exploded'] }],
    ['kinds.0', { url, kinds: ['unheard-of'] }],
    ['headers.Host', { url, headers: { Host: 'x' } }],
    ['secret', { url, secret: 'whsec_mine' }],
    ['organization', { url, organization: randomUUID() }],
  ])('are refused with a wrong %s, which is named', async (field, body) => {
    const answer = await call('POST', '/v1/webhook-endpoints', body)
    expect([answer.status, answer.body.field, typeof answer.body.detail]).toEqual([422, field, 'string'])
  })

  it('are changed, disabled, enabled and deleted, and each shows what it is then', async () => {
    const { id, secret, ...created } = await made({ description: 'old', contact: 'ada@example.com' })
    const path = `/v1/webhook-endpoints/${id}`
    const changed = await call('PATCH', path, { description: null, events: ['revoked'], reason: 'tidied up' })
    expect(changed.body).toEqual({
      ...{ id, ...created, description: null, events: ['revoked'], changed_at: expect.any(String) },
    })
    expect((await call('PATCH', path, { organization: 'x' })).body).toMatchObject({
      code: 'invalid',
      field: 'organization',
    })
    expect(await post(`${path}/disable`, { reason: 'moving' })).toMatchObject({
      ...{ status: 'disabled', disabled_reason: 'moving', disabled_at: expect.any(String) },
    })
    expect((await call('GET', '/v1/webhook-endpoints?status=disabled')).body.items).toMatchObject([{ id }])
    expect(await post(`${path}/enable`)).toMatchObject({ status: 'enabled', disabled_reason: null })
    expect((await call('DELETE', `${path}?reason=done`)).body).toMatchObject({ id })
    expect((await call('GET', path)).status).toBe(404)
    const { items } = (await call('GET', `/v1/events?resource_id=${id}`)).body
    expect(items.map(({ type, actor, reason }: Body) => [type, actor, reason])).toEqual([
      ...[
        ['deleted', 'root', 'done'],
        ['enabled', 'root', null],
        ['disabled', 'root', 'moving'],
      ],
      ...[
        ['updated', 'root', 'tidied up'],
        ['created', 'root', null],
      ],
    ])
    expect(secret).toMatch(/^whsec_/)
  })

  it('rotate their secret with an overlap, once for each key', async () => {
    const { id, secret } = await made()
    const key = { 'idempotency-key': randomUUID() }
    const path = `/v1/webhook-endpoints/${id}/rotate-secret`
    const first = await post(path, { overlap: 3600 }, key)
    expect(first).toMatchObject({ secret: expect.stringMatching(/^whsec_/), previous_secret_until: expect.any(String) })
    expect(first.secret).not.toBe(secret)
    expect(await post(path, { overlap: 3600 }, key)).toEqual({ ...first, secret: undefined })
    expect((await call('POST', path, { overlap: 700_000 })).body).toMatchObject({ status: 422, field: 'overlap' })
    expect((await post(path, { overlap: 0 })).previous_secret_until).toBeNull()
  })

  it('are sent a test, which is in the queue at once and in the ledger', async () => {
    const { id } = await made()
    const key = { 'idempotency-key': randomUUID() }
    const tested = await call('POST', `/v1/webhook-endpoints/${id}/test`, undefined, key)
    expect([tested.status, tested.headers.get('location')]).toEqual([202, `/v1/deliveries/${tested.body.delivery_id}`])
    expect((await call('POST', `/v1/webhook-endpoints/${id}/test`, undefined, key)).body).toEqual(tested.body)
    expect((await call('GET', tested.headers.get('location') ?? '')).body).toMatchObject({
      ...{ kind: 'lapse', event: 'lapse.test', channel: 'webhook', target: id, resource_id: null, status: 'pending' },
    })
    expect(await told(id)).toHaveLength(1)
    const job = () => api.lapse.queues.webhook.getJob(`${tested.body.delivery_id}-r0`)
    await until(async () => (await job()) !== undefined)
    expect(Object.keys((await job())?.data ?? {})).toEqual(['delivery'])
  })

  it('have one sent again, or a span of time; a repeated request does nothing twice', async () => {
    const { id } = await made({ kinds: ['trial'], events: ['issued', 'revoked'] })
    const trial = await post('/v1/trials')
    await post(`/v1/resources/${trial.id}/revoke`)
    await sql(`UPDATE delivery SET status = 'sent', settled_at = ${nowSql}, next_attempt_at = NULL WHERE target = $1`, [
      id,
    ])
    const [issued] = await told(id)
    const key = { 'idempotency-key': randomUUID() }
    for (const _ of [1, 2])
      expect(await post(`/v1/deliveries/${issued.id}/replay`, {}, key)).toMatchObject({
        id: issued.id,
        status: 'pending',
      })
    expect((await told(id)).map(({ status, round }) => [status, round])).toEqual([
      ['pending', 1],
      ['sent', 0],
    ])
    await until(async () => (await api.lapse.queues.webhook.getJob(`${issued.id}-r1`)) !== undefined)
    const since = new Date(Date.now() - 86_400_000).toISOString()
    expect(await post(`/v1/webhook-endpoints/${id}/replay`, { since, events: ['revoked'] })).toEqual({
      ...{ replayed: 1, next_cursor: null },
    })
    const mistaken = await call('POST', `/v1/webhook-endpoints/${id}/replay`, { since, events: ['alert'] })
    expect([mistaken.status, mistaken.body.field]).toEqual([422, 'events.0'])
    await post(`/v1/webhook-endpoints/${id}/disable`)
    const refused = await call('POST', `/v1/webhook-endpoints/${id}/replay`, { since })
    expect(refused.body).toMatchObject({ status: 409, code: 'endpoint_disabled', detail: 'Enable it first.' })
    const mail = await call('POST', `/v1/deliveries/${randomUUID()}/replay`)
    expect(mail.status).toBe(404)
  })

  it('of an organization are its own: those of others, and what the host application has, are not there', async () => {
    const organization = await all.organization()
    const { ask } = await machine({ organization: organization.id })
    const unbound = await made({ kinds: ['trial'] })
    const { body: own } = await ask('POST', '/v1/webhook-endpoints', { url })
    expect(own.organization_id).toBe(organization.id)
    expect((await ask('GET', '/v1/webhook-endpoints')).body.items).toMatchObject([{ id: own.id }])
    const trial = await post('/v1/trials', { organization: organization.id })
    const [theirs] = await told(unbound.id)
    const [mine] = await told(own.id)
    expect((await ask('GET', `/v1/deliveries/${mine.id}`)).status).toBe(200)
    for (const method of ['GET', 'POST'])
      expect((await ask(method, `/v1/deliveries/${theirs.id}${method === 'GET' ? '' : '/replay'}`)).status).toBe(404)
    const { items } = (await ask('GET', `/v1/deliveries?resource_id=${trial.id}`)).body
    expect(items.map(({ id }: Body) => id)).toEqual([mine.id])
    const { body: tested } = await ask('POST', `/v1/webhook-endpoints/${own.id}/test`)
    expect((await ask('GET', `/v1/deliveries/${tested.delivery_id}`)).body).toMatchObject({ target: own.id })
    const alerts = await ask('POST', '/v1/webhook-endpoints', { url, events: ['alert'] })
    expect([alerts.status, alerts.body.field]).toEqual([422, 'events.0'])
  })

  it('need a scope of their own', async () => {
    const { ask } = await machine({ scopes: ['webhook-endpoints:read'] })
    expect((await ask('GET', '/v1/webhook-endpoints')).status).toBe(200)
    expect((await ask('POST', '/v1/webhook-endpoints', { url })).body).toMatchObject({ status: 403, code: 'forbidden' })
  })

  it('keep their secrets: neither they nor what their headers carry are in an answer, a row, a job, or the log', async () => {
    const canaries = ['canary-of-one-header', 'canary-of-another']
    const key = () => ({ 'idempotency-key': randomUUID() })
    const endpoint = await post('/v1/webhook-endpoints', { url, headers: { 'X-A': canaries[0] } }, key())
    const path = `/v1/webhook-endpoints/${endpoint.id}`
    const rotated = await post(`${path}/rotate-secret`, {}, key())
    const answers = [await call('PATCH', path, { headers: { 'X-B': canaries[1] } })]
    // What is refused is not told either.
    answers.push(await call('POST', '/v1/webhook-endpoints', { url, headers: { 'X-A': `${canaries[0]}\n` } }))
    await post(`${path}/test`, {}, key())
    for (const read of [path, '/v1/webhook-endpoints', `/v1/events?resource_id=${endpoint.id}`, '/v1/deliveries'])
      answers.push(await call('GET', read))
    const texts = answers.map(({ text }) => text)
    const tables: Body[] = await sql(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`,
    )
    for (const { name } of tables) texts.push(JSON.stringify(await sql(`SELECT t::text FROM "${name}" t`)))
    const jobs = await api.lapse.queues.webhook.getJobs(['waiting', 'delayed', 'active', 'completed', 'failed'])
    texts.push(JSON.stringify(jobs.map((job) => job.asJSON())), lines.join('\n'))
    const secrets = [endpoint.secret, rotated.secret].map((secret) => secret.slice('whsec_'.length))
    for (const canary of [...canaries, ...secrets, ...secrets.map((one) => Buffer.from(one, 'base64').toString('hex'))])
      expect([canary, texts.filter((text) => text.includes(canary)).length]).toEqual([canary, 0])
    expect(lines.length).toBeGreaterThan(10)
  })

  it('the same request with another header is the same request: what it carries is in no hash either', async () => {
    const key = { 'idempotency-key': randomUUID() }
    const first = await post('/v1/webhook-endpoints', { url, headers: { 'X-A': 'one' } }, key)
    expect((await post('/v1/webhook-endpoints', { url, headers: { 'X-A': 'two' } }, key)).id).toBe(first.id)
    const other = await call('POST', '/v1/webhook-endpoints', { url, headers: { 'X-B': 'one' } }, key)
    expect(other.body.code).toBe('idempotency_mismatch')
  })
})
