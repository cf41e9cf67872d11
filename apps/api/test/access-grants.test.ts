import { request as httpRequest } from 'node:http'
import { stopwatch, until } from '@lapse/testkit'
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { startApi } from '../src/api.ts'
import { readEnv } from '../src/env.ts'
import { createLog } from '../src/log.ts'
import { type Body, caller, testApi, token } from './api.ts'
import { kinds } from './kinds.config.ts'

const api = await testApi()

const base = '/v1/access-grants'
let last = 0
const fresh = () => `document:${++last}`
const triple = (resource = fresh()) => ({ resource, relation: 'viewer', subject: 'user:7' })
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  api.call('POST', `${base}${path}`, body, headers)
const get = (path: string, headers: Record<string, string> = {}) =>
  api.call('GET', `${base}${path}`, undefined, headers)
const allowed = async (body: object) => (await post('/check', body)).body.allowed
const organization = async (): Promise<Body> => (await api.call('POST', '/v1/organizations', { name: 'Acme' })).body
/** What a token may ask with that is bound to an organization. */
const boundTo = async (organization: string, scopes = ['access-grants:read', 'access-grants:write']) => {
  const { body } = await api.call('POST', '/v1/api-tokens', { name: 'host', scopes, organization })
  return { id: body.api_token?.id ?? body.id, headers: { authorization: `Bearer ${body.token}` } }
}
/** What runs in other databases of the server, such as other tests', holds the watch up too. */
const settled = async () => {
  const [now] = await api.sql('SELECT pg_snapshot_xmax(pg_current_snapshot()) AS newest')
  const past = 'SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8 AS past'
  const isPast = async () => (await api.sql(past, [now.newest]))[0].past
  await until(isPast, { timeout: 20_000, what: 'the end of everything older' })
}

/** All grants that hold, as a token or the host sees them. */
const exportOf = async (query: string, headers: Record<string, string> = {}) => {
  const bearer = { authorization: `Bearer ${token}`, ...headers }
  const response = await fetch(`${api.url}${base}/export?${query}`, { headers: bearer })
  const lines = (await response.text()).split('\n').slice(0, -1)
  return { headers: response.headers, grants: lines.map((line): Body => JSON.parse(line)) }
}

describe('a grant', () => {
  it('is created, checked, listed, touched and deleted', async () => {
    const resource = fresh()
    const made = await post('', { ...triple(resource), source: 'ticket-1', expires_in: 60, reason: 'on call' })
    expect(made.status).toBe(201)
    expect(made.body).toMatchObject({
      ...{ ...triple(resource), source: 'ticket-1', reason: 'on call', email: null, organization_id: null },
      ...{ status: 'active', version: 1, ended_at: null, timer: 'armed' },
    })
    expect(Date.parse(made.body.expires_at) - Date.parse(made.body.issued_at)).toBe(60_000)
    expect((await api.call('GET', made.headers.get('location') ?? '')).body).toMatchObject({ kind: 'access-grant' })
    const { timer: _, ...grant } = made.body
    expect((await post('/check', triple(resource))).body).toEqual({ allowed: true, until: grant.expires_at })
    expect((await get(`?resource=${resource}`)).body).toEqual({ items: [grant], next_cursor: null })
    expect((await get(`/count?resource=${resource}&subject=user:7`)).body).toEqual({ count: 1 })
    const touched = await post('/touch', { ...triple(resource), source: 'ticket-1', expires_in: 3_600 })
    expect([touched.status, touched.body.id, touched.body.version]).toEqual([200, grant.id, 2])
    expect((await post('/delete', { ...triple(resource), reason: 'done' })).body).toEqual({ deleted: 1 })
    expect((await post('/delete', triple(resource))).body).toEqual({ deleted: 0 })
    expect(await allowed(triple(resource))).toBe(false)
    expect((await get(`?resource=${resource}`)).body.items).toEqual([])
    expect((await get(`?resource=${resource}&live=false`)).body.items).toMatchObject([{ status: 'revoked' }])
    const { items } = (await api.call('GET', `/v1/resources/${grant.id}/events`)).body
    expect(items.map((event: Body) => [event.type, event.actor, event.reason])).toEqual([
      ['revoked', 'root', 'done'],
      ['renewed', 'root', null],
      ['issued', 'root', 'on call'],
    ])
  })

  it('C4: past its end is absent everywhere, though nobody has swept', async () => {
    const resource = fresh()
    const { body } = await post('', triple(resource))
    await api.age(body.id, 7_200)
    expect((await get(`?resource=${resource}`)).body.items).toEqual([])
    expect((await get(`/count?resource=${resource}`)).body).toEqual({ count: 0 })
    expect((await exportOf(`resource=${resource}`)).grants).toEqual([])
    expect((await post('/check', triple(resource))).body).toEqual({ allowed: false, until: null })
    expect((await post('', triple(resource))).status).toBe(201)
  })

  it.each([
    ['', { resource: 'x' }, 422, 'invalid', 'resource'],
    ['', { relation: 'Viewer' }, 422, 'invalid', 'relation'],
    ['', { expires_in: 0 }, 422, 'invalid', 'expires_in'],
    ['', { expires_in: 31 * 86_400 }, 422, 'lifetime_too_long', 'expires_in'],
    ['', { relation: 'owner', expires_in: 9 * 3_600 }, 422, 'lifetime_too_long', 'expires_in'],
    ['', { expires_at: '2020-01-01T00:00:00Z' }, 422, 'lifetime_too_short', 'expires_at'],
    ['', { email: 'nobody' }, 422, 'invalid', 'email'],
    ['', { organization: 'nobody' }, 422, 'unknown_organization', 'organization'],
    ['', { extra: 1 }, 422, 'invalid', 'extra'],
    ['/touch', {}, 422, 'invalid', 'expires_at'],
    ['/check', { subject: 'user' }, 422, 'invalid', 'subject'],
    ['/delete', { resource: undefined, subject: undefined }, 422, 'invalid', 'resource'],
    ['/delete', { subject: undefined, source: 'ticket' }, 422, 'invalid', 'source'],
  ])('POST %s with %o answers %i and names the field', async (path, wrong, status, code, field) => {
    const before = await api.everything()
    expect((await post(path, { ...triple(), ...wrong })).body).toMatchObject({ status, code, field })
    expect(await api.everything()).toEqual(before)
  })

  it('that stands is a 409, which says what to do', async () => {
    const resource = fresh()
    await post('', triple(resource))
    const { body } = await post('', triple(resource))
    expect(body).toMatchObject({ status: 409, code: 'grant_live', detail: expect.stringContaining('touch it') })
  })

  it('is granted once for each Idempotency-Key', async () => {
    const body = triple()
    const headers = { 'idempotency-key': 'grant-once' }
    const first = await post('', body, headers)
    const again = await post('', body, headers)
    expect([first.status, again.status, again.headers.get('idempotent-replayed')]).toEqual([201, 201, 'true'])
    expect(again.body).toEqual(first.body)
    expect(first.body.timer).toBe('armed')
    expect((await post('', { ...body, relation: 'editor' }, headers)).body.code).toBe('idempotency_mismatch')
    const writing = { updates: [{ op: 'touch', ...body, expires_in: 60 }] }
    const written = await post('/write', writing, { 'idempotency-key': 'written-once' })
    expect((await post('/write', writing, { 'idempotency-key': 'written-once' })).body).toEqual(written.body)
  })

  it('is not issued by the routes for any kind', async () => {
    const { body } = await api.call('POST', '/v1/resources', { kind: 'access-grant', scope: 'document:1' })
    expect(body).toMatchObject({ code: 'kind_has_verbs', detail: expect.stringContaining('/v1/access-grants') })
  })
})

describe('many', () => {
  it('are written in one commit, or not at all', async () => {
    const [one, two] = [fresh(), fresh()]
    await post('', triple(one))
    const updates = [
      { op: 'delete', ...triple(one) },
      { op: 'touch', ...triple(two), expires_in: 60 },
    ]
    const refused = await post('/write', { updates: [...updates, { op: 'create', ...triple(), expires_in: 1e9 }] })
    expect(refused.body).toMatchObject({ code: 'lifetime_too_long', field: 'updates.2.expires_in' })
    const unknown = await post('/write', { updates: [...updates, { op: 'drop', ...triple() }] })
    expect(unknown.body).toMatchObject({ code: 'invalid', field: 'updates.2.op' })
    expect(await allowed(triple(one))).toBe(true)
    const { status, body } = await post('/write', { updates })
    expect(status).toBe(200)
    expect(body).toMatchObject({
      items: [
        { outcome: 'deleted', count: 1 },
        { outcome: 'granted', grant: triple(two) },
      ],
      timer: 'armed',
    })
  })

  it('are imported, a thousand at once, exported line by line, and deleted by one side', async () => {
    const subject = 'user:imported'
    const items = Array.from({ length: 1_000 }, () => ({ ...triple(), subject, expires_in: 3_600 }))
    const { status, body } = await post('/import', { items })
    expect(status).toBe(201)
    expect(body.items.map((item: Body) => item.resource)).toEqual(items.map((item) => item.resource))
    const again = await post('/import', { items: [{ ...triple(), subject }, items[7]] })
    expect(again.body).toMatchObject({ status: 409, code: 'grant_live', field: 'items.1' })
    const more = await post('/import', { items: [{ ...triple(), subject }] })
    const exported = await exportOf(`subject=${subject}`)
    expect(exported.headers.get('content-type')).toBe('application/x-ndjson')
    const { timer: _, ...newest } = more.body.items[0]
    expect(exported.grants).toHaveLength(1_001)
    expect(exported.grants.at(-1)).toEqual(newest)
    expect((await post('/delete', { subject })).body).toEqual({ deleted: 1_001 })
    await settled()
    let cursor = exported.headers.get('lapse-cursor')
    const told: string[] = []
    for (let more = true; more; ) {
      const { body: page } = await get(`/watch?subject=${subject}&cursor=${cursor}&limit=200`)
      told.push(...page.changes.map((change: Body) => `${change.type} ${change.trigger}`))
      cursor = page.cursor
      more = page.more
    }
    expect(told.filter((one) => one === 'revoked cascade')).toHaveLength(1_001)
    expect((await get(`/export?subject=wrong`)).body).toMatchObject({ status: 422, field: 'subject' })
  })

  it('are checked in one request', async () => {
    const resource = fresh()
    const { body } = await post('', triple(resource))
    const many = await post('/check-many', { items: [triple(), triple(resource)] })
    expect(many.body.items).toEqual([
      { allowed: false, until: null },
      { allowed: true, until: body.expires_at },
    ])
    const wrong = await post('/check-many', { items: [triple(), { ...triple(), relation: '?' }] })
    expect(wrong.body).toMatchObject({ code: 'invalid', field: 'items.1.relation' })
  })

  it('come in pages', async () => {
    const subject = 'user:paged'
    for (let i = 0; i < 3; i++) await post('', { ...triple(), subject })
    const first = (await get(`?subject=${subject}&limit=2`)).body
    const rest = (await get(`?subject=${subject}&limit=2&cursor=${first.next_cursor}`)).body
    expect([first.items.length, rest.items.length, rest.next_cursor]).toEqual([2, 1, null])
  })
})

describe('a token that is bound to an organization', () => {
  it('grants, sees and takes away its own alone', async () => {
    const [acme, other] = [await organization(), await organization()]
    const { headers } = await boundTo(acme.id)
    const resource = fresh()
    const made = await post('', triple(resource), headers)
    expect(made.body).toMatchObject({ organization_id: acme.id, timer: 'armed' })
    const ofOthers = [await post('', triple(resource)), await post('', { ...triple(resource), organization: other.id })]
    expect(ofOthers.map(({ status }) => status)).toEqual([201, 201])
    expect(await allowed({ ...triple(resource), organization: acme.id })).toBe(true)
    const list = (await get(`?resource=${resource}`, headers)).body
    expect(list.items).toMatchObject([{ id: made.body.id }])
    expect((await get(`/count?resource=${resource}`)).body.count).toBe(3)
    expect((await get(`/count?resource=${resource}`, headers)).body.count).toBe(1)
    expect((await get(`/count?organization_id=${other.id}`, headers)).body.count).toBe(0)
    expect((await exportOf('', headers)).grants).toMatchObject([{ id: made.body.id }])
    await settled()
    expect((await get('/watch', headers)).body.changes).toMatchObject([
      { type: 'granted', grant: { id: made.body.id } },
    ])
    const foreign = { ...triple(), organization: other.id }
    for (const path of ['', '/touch', '/delete'])
      expect(
        (await post(path, { ...foreign, ...(path !== '/delete' && { expires_in: 60 }) }, headers)).body,
      ).toMatchObject({
        code: 'unknown_organization',
      })
    expect((await post('/check', { ...triple(resource), organization: other.id }, headers)).body.allowed).toBe(false)
    expect((await post('/delete', { resource }, headers)).body).toEqual({ deleted: 1 })
    expect((await get(`/count?resource=${resource}`)).body.count).toBe(2)
  })

  it('does no more than its scopes allow', async () => {
    const { id } = await organization()
    const { headers } = await boundTo(id, ['access-grants:read'])
    expect((await post('', triple(), headers)).status).toBe(403)
    expect((await post('/check', triple(), headers)).status).toBe(200)
  })
})

describe('the watch', () => {
  const looks = vi.spyOn(Object.getPrototypeOf(api.lapse.accessGrants), 'watch')
  afterAll(() => looks.mockRestore())
  /** Resolves when somebody has looked so often, since a test began. */
  const looked = (times: number) => until(() => looks.mock.calls.length >= times, { what: 'a watch' })
  beforeEach(() => void looks.mockClear())
  /** Where to begin, not counted as a look. */
  const now = async (): Promise<string> => {
    await settled()
    const { cursor } = (await get('/watch?cursor=now')).body
    looks.mockClear()
    return cursor
  }

  it('answers at once without waiting, and with what is there already', async () => {
    const cursor = await now()
    expect((await get(`/watch?cursor=${cursor}`)).body).toEqual({ changes: [], cursor, more: false })
    const { body } = await post('', triple())
    const found = (await get(`/watch?cursor=${cursor}&wait=20`)).body
    const { timer: _, ...grant } = body
    expect(found.changes).toEqual([{ type: 'granted', at: grant.issued_at, trigger: 'manual', grant }])
    expect((await get(`/watch?cursor=${found.cursor}`)).body.changes).toEqual([])
  })

  it('waits until there is something to tell, expirations too', async () => {
    const { body } = await post('', { ...triple(), expires_in: 1 })
    const cursor = await now()
    const waiting = get(`/watch?cursor=${cursor}&wait=20`)
    await looked(2)
    await api.age(body.id, 10)
    await api.call('POST', `/v1/resources/${body.id}/check`)
    const { changes } = (await waiting).body
    expect(changes).toMatchObject([{ type: 'expired', trigger: 'lazy', grant: { id: body.id, status: 'expired' } }])
  })

  it('waits longer than other routes may take, and then answers with nothing, and where to go on', async () => {
    const cursor = await now()
    const { status, body } = await get(`/watch?cursor=${cursor}&wait=7&resource=${fresh()}`)
    expect([status, body]).toEqual([200, { changes: [], cursor: expect.any(String), more: false }])
  })

  it.each([
    ['wait=21', 'wait'],
    ['wait=x', 'wait'],
    ['cursor=x', 'cursor'],
    ['limit=0', 'limit'],
    ['relation=X', 'relation'],
  ])('refuses %s', async (query, field) => {
    expect((await get(`/watch?${query}`)).body).toMatchObject({ status: 422, code: 'invalid', field })
  })

  it('tells nothing more to a token that was revoked while it waited', async () => {
    const { id } = await organization()
    const { id: tokenId, headers } = await boundTo(id)
    const cursor = await now()
    const waiting = get(`/watch?cursor=${cursor}&wait=20`, headers)
    await looked(2)
    await api.call('POST', `/v1/api-tokens/${tokenId}/revoke`)
    await post('', { ...triple(), organization: id })
    expect((await waiting).status).toBe(401)
  })

  it('stops asking when the client has gone away', async () => {
    const cursor = await now()
    const url = `${api.url}${base}/watch?cursor=${cursor}&wait=20&resource=${fresh()}`
    const gone = httpRequest(url, { headers: { authorization: `Bearer ${token}` } })
    gone.on('error', () => {}).end()
    await looked(2)
    gone.destroy()
    const rests = async () => {
      looks.mockClear()
      await new Promise((resolve) => setTimeout(resolve, 1_500))
      return looks.mock.calls.length === 0
    }
    await until(rests, { timeout: 10_000, what: 'the end of its looking' })
  })

  it('ends when the API closes: nobody is left waiting', async () => {
    const own = await startApi(readEnv(api.variables), { kinds }, createLog({ level: 'silent' }))
    const cursor = await now()
    const waiting = caller(own.url)('GET', `${base}/watch?cursor=${cursor}&wait=20&resource=${fresh()}`)
    await looked(2)
    const closing = stopwatch()
    await own.close()
    expect(closing.ms()).toBeLessThan(15_000)
    expect((await waiting).body).toEqual({ changes: [], cursor: expect.any(String), more: false })
  })
})
