import { beforeAll, describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'

let api: Awaited<ReturnType<typeof testApi>>
beforeAll(async () => {
  api = await testApi()
})

let count = 0
const create = async (body: object = {}): Promise<Body> =>
  (await api.call('POST', '/v1/users', { email: `user-${++count}@example.com`, ...body })).body
const at = (idOrReference: string) => `/v1/users/${encodeURIComponent(idOrReference)}`
const change = async (id: string, body: object) => (await api.call('PATCH', at(id), body)).body
const eventsOf = async (id: string) => (await api.call('GET', `/v1/events?resource_id=${id}`)).body.items
const instant = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

describe('users', () => {
  it('creating one answers 201 with Location, the address as it was given and as it is compared', async () => {
    const sent = { email: 'Ada@Example.COM', name: 'Ada', reference: 'ada' }
    const { status, headers, body } = await api.call('POST', '/v1/users', sent)
    expect([status, headers.get('location')]).toEqual([201, `/v1/users/${body.id}`])
    expect(body).toEqual({
      ...sent,
      id: expect.any(String),
      canonical: 'ada@example.com',
      verified_at: null,
      created_at: instant,
      changed_at: instant,
    })
    expect((await api.call('GET', at('ada'))).body).toEqual(body)
    const vouched = await create({ verified: true })
    expect(vouched).toMatchObject({ name: null, reference: null, verified_at: vouched.created_at })
  })

  it('an address belongs to one, in whatever letters; a reference too', async () => {
    const { id } = await create({ email: 'One@example.com', reference: 'one' })
    const other = await create()
    for (const [body, code, field] of [
      [{ email: 'oNE@EXAMPLE.com' }, 'address_taken', 'email'],
      [{ email: 'new@example.com', reference: 'one' }, 'reference_taken', 'reference'],
      [{ email: 'new@example.com', reference: id }, 'reference_taken', 'reference'],
    ] as const) {
      expect((await api.call('POST', '/v1/users', body)).body).toMatchObject({ status: 409, code, field })
      expect(await change(other.id, body)).toMatchObject({ status: 409, code, field })
    }
    expect((await api.call('GET', at(other.id))).body).toEqual(other)
    const found = (await api.call('GET', '/v1/users?email=ONE%40example.com')).body
    expect(found).toMatchObject({ items: [{ id }], next_cursor: null })
  })

  it.each(['user/7', '50%', 'ключ', '5f0c6d7e-1111-4222-8333-944444444444', 'x'.repeat(200)])(
    'the host’s own id %j works wherever an id does',
    async (reference) => {
      const { id } = await create({ reference })
      expect((await api.call('GET', at(reference))).body.id).toBe(id)
      expect((await change(reference, { name: 'N' })).id).toBe(id)
      const listed = await api.call('GET', `/v1/users?reference=${encodeURIComponent(reference)}`)
      expect(listed.body.items).toMatchObject([{ id, name: 'N' }])
      expect((await api.call('DELETE', at(reference))).body.id).toBe(id)
    },
  )

  it('PATCH changes what is sent, `null` clears, and nothing is no change', async () => {
    const { id, email } = await create({ name: 'Ada', reference: 'patched' })
    expect(await change('patched', { name: null })).toMatchObject({ id, email, name: null, reference: 'patched' })
    const cleared = await change(id, { reference: null, reason: 'moved' })
    expect(cleared).toMatchObject({ email, name: null, reference: null })
    expect((await api.call('GET', at('patched'))).status).toBe(404)
    for (const same of [{}, { name: null }, { email }]) expect(await change(id, same)).toEqual(cleared)
    expect((await eventsOf(id)).map((event: Body) => [event.type, event.actor, event.reason])).toEqual([
      ['updated', 'root', 'moved'],
      ['updated', 'root', null],
      ['created', 'root', null],
    ])
  })

  it('another address has yet to be verified, unless the host vouches for it too', async () => {
    const { id } = await create({ verified: true })
    expect(await change(id, { email: 'new-1@example.com' })).toMatchObject({ verified_at: null })
    expect(await change(id, { verified: true })).toMatchObject({ verified_at: instant })
    expect(await change(id, { email: 'NEW-1@example.com' })).toMatchObject({ verified_at: instant })
    expect(await change(id, { email: 'new-2@example.com', verified: true })).toMatchObject({ verified_at: instant })
    expect(await change(id, { verified: false })).toMatchObject({ verified_at: null })
  })

  it('deleted, they are gone with their memberships, and the audit keeps neither name nor address', async () => {
    const { id } = await create({ email: 'Hidden@example.com', name: 'Hidden', reference: 'hidden' })
    const organization = (await api.call('POST', '/v1/organizations', { name: 'Acme' })).body
    const added = await api.call('POST', '/v1/memberships', { organization: organization.id, user: id, role: 'admin' })
    const { status, body } = await api.call('DELETE', `${at('hidden')}?reason=asked+for`)
    expect([status, body.id, body.canonical]).toEqual([200, id, 'hidden@example.com'])
    for (const path of [at(id), at('hidden'), `/v1/memberships/${added.body.id}`])
      expect((await api.call('GET', path)).status).toBe(404)
    expect((await api.call('DELETE', at(id))).status).toBe(404)
    const events = await eventsOf(id)
    expect(events[0]).toMatchObject({ type: 'deleted', kind: 'directory-user', actor: 'root', reason: 'asked for' })
    expect((await eventsOf(added.body.id))[0]).toMatchObject({ type: 'removed', trigger: 'cascade' })
    expect(JSON.stringify((await api.call('GET', '/v1/events?limit=200')).body)).not.toMatch(/hidden@|Hidden/)
    expect((await create({ email: 'hidden@example.com', reference: 'hidden' })).id).not.toBe(id)
  })

  it('lists page, the newest first', async () => {
    const made = [await create(), await create(), await create()].reverse()
    const first = (await api.call('GET', '/v1/users?limit=2')).body
    expect(first.items).toEqual(made.slice(0, 2))
    expect((await api.call('GET', `/v1/users?limit=1&cursor=${first.next_cursor}`)).body.items).toEqual(made.slice(2))
  })

  it('Idempotency-Key: once, and the same answer again', async () => {
    const send = () => api.call('POST', '/v1/users', { email: 'once@example.com' }, { 'idempotency-key': 'once' })
    const [first, again] = [await send(), await send()]
    expect([first.status, again.status, again.text]).toEqual([201, 201, first.text])
    expect(again.headers.get('idempotent-replayed')).toBe('true')
  })

  it.each([
    ['no address', {}, 'email'],
    ['no address at all', { email: 'ada' }, 'email'],
    ['two addresses', { email: 'a@example.com,b@example.com' }, 'email'],
    ['an address with a line', { email: 'a@example.com\nBcc: b@example.com' }, 'email'],
    ['an address of 255 characters', { email: `a@${'x.'.repeat(125)}com` }, 'email'],
    ['null for an address', { email: null }, 'email'],
    ['an empty name', { email: 'a@example.com', name: '' }, 'name'],
    ['null for a name', { email: 'a@example.com', name: null }, 'name'],
    ['a name with a line', { email: 'a@example.com', name: 'a\nb' }, 'name'],
    ['a reference of 201 characters', { email: 'a@example.com', reference: 'x'.repeat(201) }, 'reference'],
    ['a date for verified', { email: 'a@example.com', verified: '2026-12-01' }, 'verified'],
    ['what is not theirs to say', { email: 'a@example.com', canonical: 'b@example.com' }, 'canonical'],
  ])('%s is a 422 that names the field, and nothing is written', async (_, body, field) => {
    const before = await api.directory()
    const created = await api.call('POST', '/v1/users', body, { 'idempotency-key': 'refused' })
    expect([created.status, created.body.field]).toEqual([422, field])
    expect(await api.directory()).toEqual(before)
  })

  it.each([
    [{ email: null }, 'email'],
    [{ email: 'ada' }, 'email'],
    [{ reference: '' }, 'reference'],
    [{ verified: null }, 'verified'],
    [{ verified_at: null }, 'verified_at'],
    [undefined, undefined],
  ])('PATCH %j is a 422 that names the field, and nothing is written', async (body, field) => {
    const { id } = await create()
    const before = await api.directory()
    const answer = await api.call('PATCH', at(id), body)
    expect([answer.status, answer.body.field]).toEqual([422, field])
    expect(await api.directory()).toEqual(before)
  })

  it.each(['email=ada', 'name=x', 'cursor=zzz', 'limit=201'])('the query %s is a 422', async (query) => {
    const { body } = await api.call('GET', `/v1/users?${query}`)
    expect(body).toMatchObject({ status: 422, field: query.split('=')[0] })
  })

  it.each(['no-id', '019abcde-0000-7000-8000-000000000001', 'a/b', '\0'])('%j is a 404 for every verb', async (id) => {
    for (const method of ['GET', 'PATCH', 'DELETE'])
      expect((await api.call(method, at(id), method === 'PATCH' ? {} : undefined)).body.code).toBe('not_found')
  })

  it('405 says what is allowed', async () => {
    expect((await api.call('DELETE', '/v1/users')).headers.get('allow')).toBe('GET, HEAD, POST')
    const { status, headers } = await api.call('PUT', '/v1/users/x')
    expect([status, headers.get('allow')]).toEqual([405, 'DELETE, GET, HEAD, PATCH'])
  })
})
