import { beforeAll, describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'

let api: Awaited<ReturnType<typeof testApi>>
beforeAll(async () => {
  api = await testApi()
})

const create = async (body: object = {}): Promise<Body> =>
  (await api.call('POST', '/v1/organizations', { name: 'Acme', ...body })).body
const at = (idOrReference: string, rest = '') => `/v1/organizations/${encodeURIComponent(idOrReference)}${rest}`
const act = async (id: string, verb: string, body?: object) => (await api.call('POST', at(id, `/${verb}`), body)).body
const issue = async (organization: string, body: object = {}): Promise<Body> =>
  (await api.call('POST', '/v1/resources', { kind: 'pass', organization, ...body })).body
const check = async (id: string) => (await api.call('POST', `/v1/resources/${id}/check`)).body
const eventsOf = async (id: string) => (await api.call('GET', `/v1/events?resource_id=${id}`)).body.items
const instant = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

describe('organizations', () => {
  it('creating one answers 201 with Location and everything there is to know', async () => {
    const sent = { name: 'Acme', reference: 'acme', plan: 'pro', seat_limit: 3 }
    const { status, headers, body } = await api.call('POST', '/v1/organizations', sent)
    expect([status, headers.get('location')]).toEqual([201, `/v1/organizations/${body.id}`])
    expect(body).toEqual({
      ...sent,
      id: expect.any(String),
      status: 'active',
      created_at: instant,
      changed_at: instant,
    })
    expect((await api.call('GET', at(body.id))).body).toEqual(body)
    expect(await eventsOf(body.id)).toMatchObject([{ kind: 'directory-organization', type: 'created', actor: 'root' }])
    expect(await create({ name: 'Bare' })).toMatchObject({ reference: null, plan: null, seat_limit: null })
  })

  it.each([
    'org-1',
    'a/b/suspend',
    '50% off?',
    '%2F',
    '+ #&=;@:$,',
    'ключ',
    '../users',
    '5f0c6d7e-1111-4222-8333-944444444444',
    'é'.repeat(200),
  ])('the host’s own id %j works wherever an id does', async (reference) => {
    const { id } = await create({ reference })
    const answers = [
      await api.call('GET', at(reference)),
      await api.call('PATCH', at(reference), { plan: 'x' }),
      await api.call('POST', at(reference, '/suspend')),
      await api.call('POST', at(reference, '/restore')),
      await api.call('GET', `/v1/organizations?reference=${encodeURIComponent(reference)}`),
      await api.call('DELETE', at(reference)),
    ]
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200, 200, 200])
    const ids = answers.map(({ body }) => (body.organization ?? body.items?.[0] ?? body).id)
    expect(new Set(ids)).toEqual(new Set([id]))
  })

  it('a reference belongs to one, and is nobody’s id', async () => {
    const { id } = await create({ reference: 'taken' })
    for (const reference of ['taken', id]) {
      const { body } = await api.call('POST', '/v1/organizations', { name: 'Other', reference })
      expect(body).toMatchObject({ status: 409, code: 'reference_taken', field: 'reference' })
    }
  })

  it('PATCH changes what is sent, `null` clears, and nothing is no change', async () => {
    const { id, ...created } = await create({ plan: 'pro', seat_limit: 3 })
    const change = async (body: object) => (await api.call('PATCH', at(id), body)).body
    expect(await change({ name: 'Acme Ltd' })).toMatchObject({ name: 'Acme Ltd', plan: 'pro', seat_limit: 3 })
    expect(await change({ plan: null, reason: 'asked for' })).toMatchObject({ plan: null, seat_limit: 3 })
    const cleared = await change({ seat_limit: null })
    expect(cleared).toEqual({
      ...created,
      id,
      name: 'Acme Ltd',
      plan: null,
      seat_limit: null,
      changed_at: cleared.changed_at,
    })
    for (const same of [{}, { plan: null }, { name: 'Acme Ltd' }]) expect(await change(same)).toEqual(cleared)
    const events = await eventsOf(id)
    expect(events.map((event: Body) => [event.type, event.reason])).toEqual([
      ['updated', null],
      ['updated', 'asked for'],
      ['updated', null],
      ['created', null],
    ])
  })

  it('B10: suspended, what was issued in it is denied; restored, it works again if in date', async () => {
    const { id } = await create({ reference: 'b10' })
    const [kept, over, elsewhere] = [
      await issue('b10'),
      await issue(id, { kind: 'ticket', expires_in: 60 }),
      await issue((await create()).id),
    ]
    const suspended = await act(id, 'suspend', { reason: 'unpaid' })
    expect(suspended).toMatchObject({ organization: { id, status: 'suspended' }, affected: 2 })
    expect(await check(kept.id)).toMatchObject({ allowed: false, reason: 'suspended' })
    expect(await check(elsewhere.id)).toMatchObject({ allowed: true })
    expect(await act(id, 'suspend')).toEqual({ ...suspended, affected: 0 })
    const use = await api.call('POST', `/v1/resources/${kept.id}/consume`, undefined, { 'idempotency-key': 'b10' })
    expect(use.body).toMatchObject({ status: 409, code: 'suspended', detail: expect.stringMatching(/Restore/) })
    await api.age(over.id, 60)
    expect(await act(id, 'restore')).toMatchObject({ organization: { status: 'active' }, affected: 1 })
    expect(await check(kept.id)).toMatchObject({ allowed: true, resource: { organization_id: id } })
    expect(await check(over.id)).toMatchObject({ allowed: false, reason: 'expired' })
    expect(await act(id, 'restore')).toMatchObject({ affected: 0 })
    // What was refused may be asked again.
    const again = await api.call('POST', `/v1/resources/${kept.id}/consume`, undefined, { 'idempotency-key': 'b10' })
    expect(again.body).toMatchObject({ status: 'consumed' })
    expect((await eventsOf(id)).map((event: Body) => [event.type, event.actor, event.reason])).toEqual([
      ['restored', 'root', null],
      ['suspended', 'root', 'unpaid'],
      ['created', 'root', null],
    ])
    const [, , first] = await eventsOf(kept.id)
    expect(first).toMatchObject({ type: 'suspended', trigger: 'cascade', reason: 'unpaid', to: 'suspended' })
  })

  it('B10: deleted, everything in it has ended for good, and its members are gone', async () => {
    const { id } = await create({ reference: 'gone' })
    const user = (await api.call('POST', '/v1/users', { email: 'gone@example.com' })).body
    await api.call('POST', '/v1/memberships', { organization: id, user: user.id, role: 'owner' })
    const [one, other] = [await issue(id), await issue(id)]
    await act(id, 'suspend')
    const { status, body } = await api.call('DELETE', at('gone', '?reason=closed'))
    expect([status, body]).toMatchObject([200, { organization: { id, status: 'deleted' }, affected: 2 }])
    expect((await api.call('DELETE', at(id))).body).toEqual({ ...body, affected: 0 })
    expect(await act(id, 'suspend')).toMatchObject({ status: 409, code: 'organization_not_active' })
    expect((await api.call('PATCH', at(id), { name: 'New' })).body).toMatchObject({
      status: 409,
      code: 'organization_not_active',
    })
    expect(await issue(id)).toMatchObject({ status: 409, code: 'organization_not_active', field: 'organization' })
    expect(await act(id, 'restore')).toMatchObject({ organization: { status: 'active' }, affected: 0 })
    for (const resource of [one, other])
      expect(await check(resource.id)).toMatchObject({ allowed: false, reason: 'revoked' })
    expect((await api.call('GET', `/v1/memberships?organization=${id}`)).body.items).toEqual([])
    expect((await issue(id)).organization_id).toBe(id)
  })

  it('resources, bulk and trials take an organization, by its id or the host’s own; lists filter by it', async () => {
    const { id } = await create({ reference: 'host/7' })
    const pass = await issue('host/7', { reference: 'in' })
    const items = [
      { kind: 'pass', organization: id },
      { kind: 'pass', organization: id.toUpperCase() },
      { kind: 'pass' },
    ]
    const bulk = (await api.call('POST', '/v1/resources/bulk', { items })).body.items
    const trial = (await api.call('POST', '/v1/trials', { organization: 'host/7' })).body
    expect([pass, ...bulk, trial].map((item) => item.organization_id)).toEqual([id, id, id, null, id])
    const list = async (query: string) => (await api.call('GET', `${query}organization_id=${id}&count=true`)).body
    expect((await list('/v1/resources?limit=1&')).count).toBe(4)
    expect((await list('/v1/resources?reference=in&')).items).toMatchObject([{ id: pass.id }])
    expect((await list('/v1/resources?kind=pass&')).count).toBe(3)
    expect((await list('/v1/trials?')).items).toMatchObject([{ id: trial.id, organization_id: id }])
    await act(id, 'suspend')
    expect((await list('/v1/resources?live=true&')).count).toBe(0)
    expect((await list('/v1/resources?status=suspended&')).count).toBe(4)
    expect((await api.call('GET', `/v1/trials/${trial.id}`)).body).toMatchObject({
      status: 'suspended',
      banner: { phase: 'suspended' },
    })
  })

  it('nothing is issued in one that is unknown or not active, and the field at fault is named', async () => {
    const { id } = await create()
    await act(id, 'suspend')
    const before = await api.everything()
    const send = async (path: string, body: object) => (await api.call('POST', path, body)).body
    expect(await issue('nobody')).toMatchObject({ status: 422, code: 'unknown_organization', field: 'organization' })
    expect(await issue(id)).toMatchObject({ status: 409, code: 'organization_not_active', field: 'organization' })
    expect(await send('/v1/trials', { organization: 'nobody' })).toMatchObject({ code: 'unknown_organization' })
    const items = [{ kind: 'pass' }, { kind: 'pass', organization: 'nobody' }]
    expect(await send('/v1/resources/bulk', { items })).toMatchObject({
      code: 'unknown_organization',
      field: 'items.1.organization',
    })
    expect(await api.everything()).toEqual(before)
  })

  it('lists page, the newest first, and filter', async () => {
    const made = []
    for (const i of [1, 2, 3]) made.push(await create({ reference: `page-${i}` }))
    await act('page-2', 'suspend')
    const first = (await api.call('GET', '/v1/organizations?limit=2')).body
    expect(first.items.map((item: Body) => item.reference)).toEqual(['page-3', 'page-2'])
    const second = (await api.call('GET', `/v1/organizations?limit=1&cursor=${first.next_cursor}`)).body
    expect(second.items).toEqual([made[0]])
    const suspended = (await api.call('GET', '/v1/organizations?status=suspended')).body.items
    expect(suspended.map((item: Body) => item.reference)).toContain('page-2')
    expect(suspended.every((item: Body) => item.status === 'suspended')).toBe(true)
    expect((await api.call('GET', '/v1/organizations?reference=nobody')).body).toEqual({ items: [], next_cursor: null })
  })

  it('Idempotency-Key: once, and the same answer again', async () => {
    const twice = async (path: string, body: object) => {
      const send = () => api.call('POST', path, body, { 'idempotency-key': path })
      const [first, again] = [await send(), await send()]
      expect([again.text, again.headers.get('idempotent-replayed')]).toEqual([first.text, 'true'])
      return first
    }
    const { body } = await twice('/v1/organizations', { name: 'Once', reference: 'once' })
    await issue(body.id)
    expect((await twice(at(body.id, '/suspend'), {})).body.affected).toBe(1)
    expect((await twice(at('once', '/restore'), {})).body.affected).toBe(1)
    expect(await eventsOf(body.id)).toHaveLength(3)
  })

  it.each([
    ['no name', {}, 'name'],
    ['an empty name', { name: '' }, 'name'],
    ['a blank name', { name: '  ' }, 'name'],
    ['a name of 201 characters', { name: 'x'.repeat(201) }, 'name'],
    ['a name with NUL', { name: 'a\0' }, 'name'],
    ['a name of two lines', { name: 'a\nb' }, 'name'],
    ['a name that is none', { name: 7 }, 'name'],
    ['no text for a reference', { name: 'a', reference: 7 }, 'reference'],
    ['an empty reference', { name: 'a', reference: '' }, 'reference'],
    ['a plan of 101 characters', { name: 'a', plan: 'x'.repeat(101) }, 'plan'],
    ['seats below zero', { name: 'a', seat_limit: -1 }, 'seat_limit'],
    ['half a seat', { name: 'a', seat_limit: 1.5 }, 'seat_limit'],
    ['too many seats', { name: 'a', seat_limit: 2 ** 31 }, 'seat_limit'],
    ['seats as text', { name: 'a', seat_limit: '3' }, 'seat_limit'],
    ['an unknown field', { name: 'a', seats: 3 }, 'seats'],
    ['a status', { name: 'a', status: 'deleted' }, 'status'],
    ['a list', [], undefined],
  ])('%s is a 422 that names the field, and nothing is written', async (_, body, field) => {
    const before = await api.directory()
    const created = await api.call('POST', '/v1/organizations', body, { 'idempotency-key': 'refused' })
    expect([created.status, created.body.field]).toEqual([422, field])
    expect(await api.directory()).toEqual(before)
  })

  it.each([
    ['PATCH', '', { name: null }, 'name'],
    ['PATCH', '', { reference: 'x' }, 'reference'],
    ['PATCH', '', { seat_limit: '3' }, 'seat_limit'],
    ['PATCH', '', undefined, undefined],
    ['POST', '/suspend', { reason: 'x'.repeat(501) }, 'reason'],
    ['POST', '/restore', { why: 'x' }, 'why'],
    ['DELETE', '?reason=', undefined, 'reason'],
    ['DELETE', '?force=true', undefined, 'force'],
    ['DELETE', '', { reason: 'closed' }, 'reason'],
  ])('%s %s %j is a 422 that names the field, and nothing is written', async (method, rest, body, field) => {
    const { id } = await create()
    const before = await api.directory()
    const answer = await api.call(method, at(id, rest), body)
    expect([answer.status, answer.body.field]).toEqual([422, field])
    expect(await api.directory()).toEqual(before)
  })

  it.each(['status=dead', 'name=x', 'cursor=zzz', 'limit=0', 'reference='])('the query %s is a 422', async (query) => {
    const { body } = await api.call('GET', `/v1/organizations?${query}`)
    expect(body).toMatchObject({ status: 422, field: query.split('=')[0] })
  })

  it.each(['no-id', '019abcde-0000-7000-8000-000000000001', 'a/b', '\0', 'x'.repeat(500)])(
    'an unknown one, %j, is a 404 for every verb',
    async (id) => {
      for (const [method, rest, body] of [
        ['GET', '', undefined],
        ['PATCH', '', { name: 'x' }],
        ['DELETE', '', undefined],
        ['POST', '/suspend', undefined],
        ['POST', '/restore', undefined],
      ] as const)
        expect([method, (await api.call(method, at(id, rest), body)).status]).toEqual([method, 404])
    },
  )

  it.each([
    ['PUT', '/v1/organizations', 'GET, HEAD, POST'],
    ['POST', '/v1/organizations/x', 'DELETE, GET, HEAD, PATCH'],
    ['GET', '/v1/organizations/a%2Fb/suspend', 'POST'],
    ['DELETE', '/v1/organizations/x/restore', 'POST'],
  ])('%s %s is a 405 that says what is allowed', async (method, path, allow) => {
    const { status, headers } = await api.call(method, path)
    expect([status, headers.get('allow')]).toEqual([405, allow])
  })
})
