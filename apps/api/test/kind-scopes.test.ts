import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { kindAreas } from '../src/http/access.ts'
import { type Body, testApi } from './api.ts'
import { machines } from './operations.ts'

type Ask = (method: string, path: string, body?: unknown) => Promise<Body>

let api: Awaited<ReturnType<typeof testApi>>
/** With the scopes of resources alone, bound to the organization and not. */
let narrow: Record<'bound' | 'unbound', Ask>
let organization: string
/** One of each kind that has an area, as far as they are in an organization. */
let ids: Record<string, string>
let ticket: string
const kinds = Object.keys(kindAreas)
const machine = async (scopes: string[], more: object = {}): Promise<Ask> =>
  (await machines(api).machine({ scopes, ...more })).ask
const both = ['resources:read', 'resources:write']

beforeAll(async () => {
  api = await testApi()
  const made = async (path: string, body: object): Promise<string> => {
    const { status, body: answer, text } = await api.call('POST', path, body)
    if (status !== 201) throw new Error(`${path}: ${text}`)
    return answer.id ?? answer.session?.id
  }
  organization = await made('/v1/organizations', { name: 'Acme' })
  const { token } = (
    await api.call('POST', '/v1/verifications', { purpose: 'sign-in', email: 'ada@example.com', deliver: 'return' })
  ).body
  const { body: user } = await api.call('POST', '/v1/users', { email: 'ada@example.com', name: 'Ada' })
  await api.call('POST', '/v1/memberships', { organization, user: user.id, role: 'owner' })
  const grant = { resource: 'document:1', relation: 'viewer', subject: 'user:1' }
  ids = {
    trial: await made('/v1/trials', { organization }),
    invite: await made('/v1/invites', { organization, email: 'bob@example.com', role: 'member', deliver: 'return' }),
    verification: await made('/v1/verifications', { purpose: 'code', email: 'cy@example.com', deliver: 'return' }),
    session: await made('/v1/sessions', { token }),
    'api-token': await made('/v1/api-tokens', { name: 'strong', scopes: ['*'], organization }),
    'promo-code': await made('/v1/promo-codes', { organization }),
    'share-link': await made('/v1/share-links', { title: 'x', organization }),
    'access-grant': '',
    'http-call': await made('/v1/http-calls', { url: 'https://example.com/', expires_in: 3_600, organization }),
  }
  await api.call('POST', '/v1/access-grants', { ...grant, organization })
  ids['access-grant'] = (await api.sql(`SELECT id FROM resource WHERE kind = 'access-grant'`))[0]?.id
  ticket = await made('/v1/resources', { kind: 'ticket', organization, expires_in: 3_600 })
  narrow = { unbound: await machine(both), bound: await machine(both, { organization }) }
})

const verbs = ['check', 'consume', 'renew', 'revoke', 'expire'] as const
const act = (ask: Ask, id: string, verb: (typeof verbs)[number]) =>
  ask('POST', `/v1/resources/${id}/${verb}`, verb === 'renew' ? { expires_in: 60 } : undefined)
const live = () => api.sql('SELECT id, kind, status, version, uses, expires_at FROM resource ORDER BY id')

describe('a token with the scopes of resources alone', () => {
  it('is answered for a kind that has an area of its own as for an unknown id, and does nothing to it', async () => {
    const before = await live()
    expect(kinds.filter((kind) => !before.some((row) => row.kind === kind))).toEqual([])
    for (const ask of Object.values(narrow))
      for (const [kind, id] of Object.entries(ids)) {
        const alike = async (send: (id: string) => Promise<Body>) => {
          const [known, unknown] = [await send(id), await send(randomUUID())]
          const body = ({ instance, request_id, ...rest }: Body = {}) => rest
          expect([kind, known.status, body(known.body)]).toEqual([kind, unknown.status, body(unknown.body)])
        }
        await alike((one) => ask('GET', `/v1/resources/${one}`))
        for (const verb of verbs) await alike((one) => act(ask, one, verb))
      }
    expect(await live()).toEqual(before)
    expect((await narrow.bound('GET', `/v1/resources/${ticket}`)).status).toBe(200)
  })

  it('finds no such row in a list, and none is counted', async () => {
    for (const ask of Object.values(narrow)) {
      const { status, body } = await ask('GET', '/v1/resources?count=true')
      expect([status, body.items.map(({ id }: Body) => id), body.count]).toEqual([200, [ticket], 1])
      for (const kind of kinds) {
        const { body } = await ask('GET', `/v1/resources?count=true&kind=${kind}`)
        expect([kind, body.items, body.count]).toEqual([kind, [], 0])
      }
      for (const query of ['live=true', 'status=active', `organization_id=${organization}`])
        expect((await ask('GET', `/v1/resources?${query}`)).body.items).toMatchObject([{ id: ticket }])
    }
  })

  it('revokes none of them in bulk, and says so in a dry run', async () => {
    const before = await live()
    for (const ask of Object.values(narrow))
      for (const dry_run of [true, false]) {
        for (const kind of kinds) {
          const { body } = await ask('POST', '/v1/resources/bulk/revoke', { filter: { kind }, dry_run })
          expect([kind, body.matched, body.done]).toEqual([kind, 0, true])
        }
        const { body } = await ask('POST', '/v1/resources/bulk/renew', {
          filter: { kind: 'trial' },
          expires_in: 60,
          dry_run,
        })
        expect(body.matched).toBe(0)
      }
    const filter = { organization_id: organization }
    const { body } = await narrow.bound('POST', '/v1/resources/bulk/revoke', { filter, dry_run: true })
    expect([body.matched, body.sample]).toEqual([1, [ticket]])
    expect(await live()).toEqual(before)
  })

  it('issues none of them, and is told which scope it lacks', async () => {
    for (const ask of Object.values(narrow)) {
      const one = await ask('POST', '/v1/resources', { kind: 'trial', expires_in: 60 })
      expect([one.status, one.body.field]).toEqual([403, 'kind'])
      expect(one.body.detail).toContain('trials:write')
      const items = [{ kind: 'ticket' }, { kind: 'trial' }]
      const many = await ask('POST', '/v1/resources/bulk', { items })
      expect([many.status, many.body.field]).toEqual([403, 'items.1.kind'])
    }
  })
})

describe('a token with the scope of the area too', () => {
  it('reads with :read and not with :write, and acts with :write and not with :read', async () => {
    for (const [kind, id] of Object.entries(ids)) {
      const area = kindAreas[kind as keyof typeof kindAreas]
      const [reader, writer] = [await machine([...both, `${area}:read`]), await machine([...both, `${area}:write`])]
      expect([kind, (await reader('GET', `/v1/resources/${id}`)).status]).toEqual([kind, 200])
      expect([kind, (await writer('GET', `/v1/resources/${id}`)).status]).toEqual([kind, 404])
      expect((await reader('GET', `/v1/resources?kind=${kind}`)).body.items.map((one: Body) => one.id)).toContain(id)
      expect((await reader('POST', `/v1/resources/${id}/revoke`)).status).toBe(404)
      const { body } = await writer('POST', '/v1/resources/bulk/revoke', { filter: { kind }, dry_run: true })
      expect([kind, body.sample.includes(id)]).toEqual([kind, true])
    }
    const writer = await machine([...both, 'http-calls:write'], { organization })
    expect((await writer('POST', `/v1/resources/${ids['http-call']}/revoke`)).body.status).toBe('revoked')
  })
})
