import { beforeAll, describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'
import { machines } from './operations.ts'

let api: Awaited<ReturnType<typeof testApi>>
beforeAll(async () => {
  api = await testApi()
})

let count = 0
const organization = async (body: object = {}): Promise<Body> =>
  (await api.call('POST', '/v1/organizations', { name: 'Acme', ...body })).body
const user = async (body: object = {}): Promise<Body> =>
  (await api.call('POST', '/v1/users', { email: `user-${++count}@example.com`, ...body })).body
const add = (body: object, headers?: Record<string, string>) =>
  api.call('POST', '/v1/memberships', { role: 'member', ...body }, headers)
const member = async (): Promise<Body> =>
  (await add({ organization: (await organization()).id, user: (await user()).id })).body
const list = async (query: string) => (await api.call('GET', `/v1/memberships?${query}`)).body
const eventsOf = async (id: string) => (await api.call('GET', `/v1/events?resource_id=${id}`)).body.items

describe('memberships', () => {
  it('adding one answers 201 with Location; ids and the host’s own both name organization and user', async () => {
    const acme = await organization({ reference: 'acme/1' })
    const [ada, bob] = [await user({ reference: 'user/7' }), await user()]
    const { status, headers, body } = await add({ organization: 'acme/1', user: 'user/7', role: 'owner' })
    expect([status, headers.get('location')]).toEqual([201, `/v1/memberships/${body.id}`])
    expect(body).toEqual({
      id: expect.any(String),
      organization_id: acme.id,
      user_id: ada.id,
      role: 'owner',
      joined_at: expect.stringMatching(/Z$/),
    })
    expect((await api.call('GET', `/v1/memberships/${body.id}`)).body).toEqual(body)
    expect(await eventsOf(body.id)).toMatchObject([{ kind: 'directory-membership', type: 'joined', actor: 'root' }])
    expect((await add({ organization: acme.id, user: bob.id })).status).toBe(201)
    for (const name of [acme.id, 'acme/1'])
      expect((await list(`organization=${encodeURIComponent(name)}`)).items).toHaveLength(2)
    for (const name of [ada.id, 'user/7'])
      expect((await list(`user=${encodeURIComponent(name)}`)).items).toEqual([body])
    expect((await list(`organization=${acme.id}&user=${bob.id}`)).items).toHaveLength(1)
    expect(await list('organization=nobody')).toMatchObject({
      ...{ status: 422, code: 'unknown_organization', field: 'organization' },
    })
  })

  it('each refusal names the field, and nothing is written', async () => {
    const [full, gone, ada, bob] = [
      await organization({ seat_limit: 1 }),
      await organization(),
      await user(),
      await user(),
    ]
    await add({ organization: full.id, user: ada.id })
    await api.call('DELETE', `/v1/organizations/${gone.id}`)
    const before = await api.directory()
    for (const [body, status, code, field] of [
      [{ organization: 'nobody', user: ada.id }, 422, 'unknown_organization', 'organization'],
      [{ organization: full.id, user: 'nobody' }, 422, 'unknown_user', 'user'],
      [{ organization: gone.id, user: ada.id }, 409, 'organization_not_active', 'organization'],
      [{ organization: full.id, user: ada.id }, 409, 'already_a_member', 'user'],
      [{ organization: full.id, user: bob.id }, 409, 'seats_taken', 'organization'],
      [{ organization: full.id, user: bob.id, role: 'king' }, 422, 'invalid', 'role'],
      [{ organization: full.id, user: bob.id, role: null }, 422, 'invalid', 'role'],
      [{ organization: full.id }, 422, 'invalid', 'user'],
      [{ user: bob.id }, 422, 'invalid', 'organization'],
      [{ organization: full.id, user: 7 }, 422, 'invalid', 'user'],
      [{ organization: 'a\0', user: bob.id }, 422, 'invalid', 'organization'],
      [{ organization: full.id, user: bob.id, joined_at: 'now' }, 422, 'invalid', 'joined_at'],
    ] as const)
      expect((await add(body, { 'idempotency-key': 'refused' })).body).toMatchObject({ status, code, field })
    expect(await api.directory()).toEqual(before)
  })

  it('another role: audited, and quiet when it is the same', async () => {
    const { id, ...rest } = await member()
    const change = (body: object) => api.call('PATCH', `/v1/memberships/${id}`, body)
    expect((await change({ role: 'admin', reason: 'promoted' })).body).toEqual({ id, ...rest, role: 'admin' })
    expect((await change({ role: 'admin' })).status).toBe(200)
    expect(await eventsOf(id)).toMatchObject([
      { type: 'role-changed', reason: 'promoted', data: { before: { role: 'member' }, after: { role: 'admin' } } },
      { type: 'joined' },
    ])
    for (const [body, field] of [
      [{}, 'role'],
      [{ role: 'king' }, 'role'],
      [{ role: 'member', user: 'x' }, 'user'],
    ] as const)
      expect((await change(body)).body).toMatchObject({ status: 422, field })
    expect((await api.call('GET', `/v1/memberships/${id}`)).body.role).toBe('admin')
  })

  it('removed, it is gone, its seat is free, and the audit says why', async () => {
    const { id: place } = await organization({ seat_limit: 1 })
    const [ada, bob] = [await user(), await user()]
    const { body } = await add({ organization: place, user: ada.id })
    const removed = await api.call('DELETE', `/v1/memberships/${body.id}?reason=left`)
    expect([removed.status, removed.body]).toEqual([200, body])
    for (const method of ['GET', 'DELETE'])
      expect((await api.call(method, `/v1/memberships/${body.id}`)).body.code).toBe('not_found')
    expect((await eventsOf(body.id))[0]).toMatchObject({ type: 'removed', actor: 'root', reason: 'left' })
    expect((await add({ organization: place, user: bob.id })).status).toBe(201)
  })

  it('lists page, the newest first', async () => {
    const { id } = await organization()
    const made: Body[] = []
    for (let i = 0; i < 3; i++) made.unshift((await add({ organization: id, user: (await user()).id })).body)
    const first = await list(`organization=${id}&limit=2`)
    expect(first.items).toEqual(made.slice(0, 2))
    expect(await list(`organization=${id}&cursor=${first.next_cursor}`)).toEqual({
      items: made.slice(2),
      next_cursor: null,
    })
    for (const query of ['role=owner', 'user=', 'cursor=zzz', 'limit=x'])
      expect(await list(query)).toMatchObject({ status: 422, field: query.split('=')[0] })
  })

  it('Idempotency-Key: once, and the same answer again', async () => {
    const body = { organization: (await organization()).id, user: (await user()).id }
    const [first, again] = [await add(body, { 'idempotency-key': 'a' }), await add(body, { 'idempotency-key': 'a' })]
    expect([first.status, again.status, again.text]).toEqual([201, 201, first.text])
    expect(again.headers.get('idempotent-replayed')).toBe('true')
  })

  it.each(['no-id', '019abcde-0000-7000-8000-000000000001', '\0'])('%j is a 404 for every verb', async (id) => {
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      const body = method === 'PATCH' ? { role: 'member' } : undefined
      expect((await api.call(method, `/v1/memberships/${encodeURIComponent(id)}`, body)).body.code).toBe('not_found')
    }
  })

  describe('the last owner', () => {
    const owned = async (owners: number) => {
      const { id } = await organization()
      const { ask } = await machines(api).machine({ organization: id })
      const members: Body[] = []
      for (let i = 0; i < owners; i++)
        members.push((await add({ organization: id, user: (await user()).id, role: 'owner' })).body)
      await add({ organization: id, user: (await user()).id, role: 'admin' })
      return { id, ask, members }
    }

    it('is neither demoted nor removed by a bound token; the host may do either', async () => {
      const { id, ask, members } = await owned(1)
      const path = `/v1/memberships/${members[0]?.id}`
      const refused = { status: 409, code: 'last_owner' }
      expect((await ask('PATCH', path, { role: 'admin' })).body).toMatchObject(refused)
      expect((await ask('DELETE', path)).body).toMatchObject(refused)
      expect((await ask('PATCH', path, { role: 'owner' })).status).toBe(200)
      expect((await list(`organization=${id}`)).items.map(({ role }: Body) => role)).toEqual(['admin', 'owner'])
      expect((await api.call('PATCH', path, { role: 'admin' })).status).toBe(200)
      // Who is no owner may go, though there is no owner.
      expect((await ask('DELETE', path)).status).toBe(200)
    })

    it('of two who leave at once one stays', async () => {
      for (let round = 0; round < 10; round++) {
        const { id, ask, members } = await owned(2)
        const [one, other] = members.map((member) => `/v1/memberships/${member.id}`) as [string, string]
        const answers = await Promise.all([ask('PATCH', one, { role: 'member' }), ask('DELETE', other)])
        expect(answers.map(({ status }) => status).sort()).toEqual([200, 409])
        const { items } = await list(`organization=${id}`)
        expect(items.filter(({ role }: Body) => role === 'owner').length).toBe(1)
      }
    }, 60_000)
  })

  it('405 says what is allowed', async () => {
    expect((await api.call('PATCH', '/v1/memberships')).headers.get('allow')).toBe('GET, HEAD, POST')
    const { status, headers } = await api.call('POST', '/v1/memberships/x')
    expect([status, headers.get('allow')]).toEqual([405, 'DELETE, GET, HEAD, PATCH'])
  })
})
