import { beforeAll, describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'

let api: Awaited<ReturnType<typeof testApi>>
beforeAll(async () => {
  api = await testApi()
})

const issue = async (body: object): Promise<Body> => (await api.call('POST', '/v1/resources', body)).body
const verb = (id: string, name: string, body?: object) => api.call('POST', `/v1/resources/${id}/${name}`, body)
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

describe('resources', () => {
  it('issuing answers 201 with Location and everything there is to know, and arms the timers', async () => {
    const sent = {
      kind: 'pass',
      reference: 'r-1',
      scope: 'acme',
      subject: 'ada',
      payload: { name: 'Ada' },
      expires_in: 60,
    }
    const { status, headers, body } = await api.call('POST', '/v1/resources', sent)
    expect(status).toBe(201)
    expect(headers.get('location')).toBe(`/v1/resources/${body.id}`)
    expect(body).toEqual({
      id: expect.any(String),
      kind: 'pass',
      status: 'active',
      word: 'active',
      reference: 'r-1',
      scope: 'acme',
      organization_id: null,
      subject: 'ada',
      payload: { name: 'Ada' },
      version: 1,
      uses: 0,
      max_uses: 1,
      max_uses_each: null,
      last_used_at: null,
      issued_at: expect.stringMatching(instant),
      starts_at: null,
      expires_at: expect.stringMatching(instant),
      ends_at: expect.stringMatching(instant),
      ended_at: null,
      timer: 'armed',
    })
    expect(Date.parse(body.expires_at) - Date.parse(body.issued_at)).toBe(60_000)
    expect(Date.parse(body.ends_at) - Date.parse(body.expires_at)).toBe(3_600_000)
    const [timer, ...others] = await api.timers(body.id)
    expect(others).toEqual([])
    expect((timer?.timestamp ?? 0) + (timer?.delay ?? 0)).toBe(Date.parse(body.expires_at))
    const { timer: _, ...seen } = body
    expect((await api.call('GET', `/v1/resources/${body.id}`)).body).toEqual(seen)
  })

  it('a live reference belongs to one: 409, and bulk leaves nothing behind', async () => {
    const { id } = await issue({ kind: 'pass', reference: 'mine' })
    const taken = await api.call('POST', '/v1/resources', { kind: 'pass', reference: 'mine' })
    expect(taken.body).toMatchObject({ status: 409, code: 'reference_taken', field: 'reference' })
    expect(taken.body.detail).toContain(id)
    const items = [
      { kind: 'pass', reference: 'before' },
      { kind: 'pass', reference: 'mine' },
    ]
    const bulk = await api.call('POST', '/v1/resources/bulk', { items })
    expect(bulk.body).toMatchObject({ status: 409, code: 'reference_taken', field: 'items.1.reference' })
    expect((await api.call('GET', '/v1/resources?reference=before')).body.items).toEqual([])
  })

  it('bulk issues a thousand in their order, and refuses all for one', async () => {
    const items = Array.from({ length: 1_000 }, (_, i) => ({ kind: 'ticket', subject: `s-${i}`, expires_in: 3_600 }))
    const { status, body } = await api.call('POST', '/v1/resources/bulk', { items })
    expect(status).toBe(201)
    expect(body.items.map((item: Body) => item.subject)).toEqual(items.map((item) => item.subject))
    const refused = async (at: number, wrong: object) => {
      const sent = items.slice(0, 5).map((item, i) => (i === at ? { ...item, scope: 'refused', ...wrong } : item))
      return (await api.call('POST', '/v1/resources/bulk', { items: sent })).body
    }
    expect(await refused(3, { kind: 'nope' })).toMatchObject({ code: 'unknown_kind', field: 'items.3.kind' })
    expect(await refused(2, { expires_in: 1e9 })).toMatchObject({
      code: 'lifetime_too_long',
      field: 'items.2.expires_in',
    })
    expect(await refused(0, { expires_in: 'x' })).toMatchObject({ code: 'invalid', field: 'items.0.expires_in' })
    const tooMany = await api.call('POST', '/v1/resources/bulk', { items: [...items, items[0]] })
    expect(tooMany.body).toMatchObject({ status: 422, field: 'items' })
    expect((await api.call('GET', '/v1/resources?scope=refused&count=true')).body.count).toBe(0)
  })

  it('B3: renewed it has another end; ended it is a 409 and stays ended', async () => {
    const { id, version } = await issue({ kind: 'pass', expires_in: 60 })
    const renewed = await verb(id, 'renew', { expires_in: 120, reason: 'asked for' })
    expect(renewed.body).toMatchObject({ version: version + 1, timer: 'armed' })
    expect((await verb(id, 'revoke', { reason: 'lost' })).body).toMatchObject({ status: 'revoked' })
    const refused = await verb(id, 'renew', { expires_in: 120 })
    expect(refused.body).toMatchObject({
      status: 409,
      code: 'already_ended',
      detail: expect.stringContaining('revoked'),
    })
    const { items } = (await api.call('GET', `/v1/resources/${id}/events`)).body
    expect(items.map((event: Body) => [event.type, event.reason])).toEqual([
      ['revoked', 'lost'],
      ['renewed', 'asked for'],
      ['issued', null],
    ])
    expect(items[1].data.after.expires_at).toBe(renewed.body.expires_at)
    expect(await api.timers(id)).toEqual([])
  })

  it('revoking or expiring twice is quiet, and says how it ended', async () => {
    const { id } = await issue({ kind: 'pass' })
    expect((await verb(id, 'expire', { reason: 'closing time' })).body).toMatchObject({ status: 'expired' })
    const again = await verb(id, 'revoke')
    expect([again.status, again.body.status]).toEqual([200, 'expired'])
    expect((await verb(id, 'expire')).status).toBe(200)
    expect((await api.call('GET', `/v1/resources/${id}/events`)).body.items).toHaveLength(2)
  })

  it('checking answers 200 either way', async () => {
    const { id } = await issue({ kind: 'ticket', expires_in: 60 })
    expect((await verb(id, 'check')).body).toMatchObject({ allowed: true, phase: 'active', resource: { id } })
    for (let use = 0; use < 3; use++) await verb(id, 'consume')
    const used = await verb(id, 'check')
    expect([used.status, used.body.allowed, used.body.reason]).toEqual([200, false, 'consumed'])
    const unknown = await verb('019abcde-0000-7000-8000-000000000001', 'check')
    expect([unknown.status, unknown.body]).toEqual([200, { allowed: false, reason: 'unknown' }])
  })

  it('E1: in grace it is allowed and flagged; after it, denied', async () => {
    const { id } = await issue({ kind: 'pass', expires_in: 60 })
    await api.age(id, 61)
    expect((await verb(id, 'check')).body).toMatchObject({ allowed: true, phase: 'grace' })
    await api.age(id, 3_600)
    expect((await verb(id, 'check')).body).toMatchObject({ allowed: false, reason: 'expired' })
  })

  it('GET and HEAD change nothing, though the row has long been over; C1: a check lapses it', async () => {
    const { id } = await issue({ kind: 'pass', expires_in: 60, reference: 'over' })
    await api.age(id, 7_200)
    const before = await api.everything()
    for (const path of [
      `/v1/resources/${id}`,
      `/v1/resources/${id}/events`,
      '/v1/resources?reference=over&count=true',
      '/v1/resources?status=expired',
      '/v1/resources?live=false',
      '/v1/trials',
      '/v1/events',
      '/v1/deliveries',
      '/metrics',
      '/readyz',
    ])
      for (const method of ['GET', 'HEAD']) expect([path, (await api.call(method, path)).status]).toEqual([path, 200])
    expect(await api.everything()).toEqual(before)
    expect((await api.call('GET', `/v1/resources/${id}`)).body.status).toBe('expired')

    await verb(id, 'check')
    const { items } = (await api.call('GET', `/v1/resources/${id}/events?type=expired`)).body
    expect(items).toMatchObject([{ trigger: 'lazy', from: 'active', to: 'expired' }])
    expect((await api.call('GET', '/metrics')).text).toMatch(
      /lapse_transitions_total\{kind="pass",type="expired",trigger="lazy"\} \d/,
    )
  })

  it('what carries a token is issued and used by verbs of its own, and the refusal says which', async () => {
    const { id } = await issue({ kind: 'pass' })
    await api.sql(`UPDATE resource SET kind = 'invite' WHERE id = $1`, [id])
    const before = await api.everything()
    for (const [kind, verbs] of [
      ['invite', '/v1/invites'],
      ['session', '/v1/sessions'],
      ['verification', '/v1/verifications'],
    ]) {
      const refusal = { status: 422, code: 'kind_has_verbs', detail: expect.stringContaining(verbs ?? '') }
      expect(await issue({ kind, expires_in: 60 })).toMatchObject({ ...refusal, field: 'kind' })
      const items = [{ kind: 'pass' }, { kind, expires_in: 60 }]
      const bulk = await api.call('POST', '/v1/resources/bulk', { items })
      expect(bulk.body).toMatchObject({ ...refusal, field: 'items.1.kind' })
    }
    const use = await verb(id, 'consume')
    expect([use.body.code, use.body.field]).toEqual(['kind_has_verbs', undefined])
    expect(await api.everything()).toEqual(before)
  })

  it('a kind this process does not know can be looked at, and its verbs say what is missing', async () => {
    const { id } = await issue({ kind: 'pass' })
    await api.sql(`UPDATE resource SET kind = 'gone' WHERE id = $1`, [id])
    expect((await api.call('GET', `/v1/resources/${id}`)).body).toMatchObject({ kind: 'gone', status: 'active' })
    for (const name of ['check', 'consume', 'revoke', 'expire'])
      expect((await verb(id, name)).body).toMatchObject({ status: 422, code: 'unknown_kind' })
    expect((await verb(id, 'renew', { expires_in: 5 })).body.detail).toContain('lapse.config.ts')
  })
})
