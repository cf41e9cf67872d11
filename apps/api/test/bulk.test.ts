import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { ownOrganizations } from '../src/http/access.ts'
import { type Body, testApi } from './api.ts'

let api: Awaited<ReturnType<typeof testApi>>
beforeAll(async () => {
  api = await testApi()
})

const issue = async (count: number, more: object): Promise<string[]> => {
  const items = Array.from({ length: count }, () => ({ kind: 'ticket', expires_in: 3_600, ...more }))
  const { body } = await api.call('POST', '/v1/resources/bulk', { items })
  return body.items.map((item: Body) => item.id).sort()
}
const bulk = async (verb: 'renew' | 'revoke', body: object, headers?: Record<string, string>) =>
  api.call('POST', `/v1/resources/bulk/${verb}`, body, headers)
const organization = async (name: string): Promise<string> =>
  (await api.call('POST', '/v1/organizations', { name })).body.id
/** A token that may write resources of one organization, or of all. */
const tokenFor = async (org?: string) => {
  const sent = { name: 'bulk', scopes: ['resources:read', 'resources:write'], ...(org && { organization: org }) }
  const { body } = await api.call('POST', '/v1/api-tokens', sent)
  return { id: body.id as string, headers: { authorization: `Bearer ${body.token}` } }
}

describe('bulk', () => {
  it('revoking by scope: first a dry run that changes nothing, then the same numbers', async () => {
    const ids = await issue(3, { scope: 'acme' })
    const before = await api.everything()
    const said = await bulk('revoke', { filter: { scope: 'acme' }, dry_run: true })
    expect([said.status, said.body]).toEqual([
      200,
      { matched: 3, changed: 3, refused: {}, sample: ids, done: true, after: null },
    ])
    expect(await api.everything()).toEqual(before)
    const done = await bulk('revoke', { filter: { scope: 'acme' }, reason: 'moved out' })
    expect(done.body).toEqual(said.body)
    const { items } = (await api.call('GET', `/v1/resources/${ids[0]}/events?type=revoked`)).body
    expect(items).toMatchObject([{ trigger: 'cascade', actor: 'root', reason: 'moved out' }])
    expect(await api.timers(ids[0] ?? '')).toEqual([])
    expect((await bulk('revoke', { filter: { scope: 'acme' } })).body).toMatchObject({ matched: 0, done: true })
  })

  it('renewing one kind: each by its own, counted by the code of its refusal, with new timers', async () => {
    const [first = ''] = await issue(2, { scope: 'renewed' })
    const { body } = await bulk('renew', { filter: { kind: 'ticket', scope: 'renewed' }, expires_in: 7_200 })
    expect(body).toMatchObject({ matched: 2, changed: 2, done: true })
    const resource = (await api.call('GET', `/v1/resources/${first}`)).body
    expect(resource.version).toBe(2)
    const [timer] = await api.timers(first)
    expect((timer?.timestamp ?? 0) + (timer?.delay ?? 0)).toBe(Date.parse(resource.expires_at))
    const far = await bulk('renew', { filter: { kind: 'ticket', scope: 'renewed' }, expires_in: 1e9 })
    expect(far.body).toMatchObject({ matched: 2, changed: 0, refused: { lifetime_too_long: 2 }, sample: [] })
  })

  it('what makes no sense is refused, naming the field, and nothing is written', async () => {
    const before = await api.everything()
    for (const [verb, body, code, field] of [
      ['revoke', {}, 'invalid', 'filter'],
      ['revoke', { filter: {} }, 'invalid', 'filter'],
      ['revoke', { filter: { status: 'active' } }, 'invalid', 'filter'],
      ['revoke', { filter: { status: 'revoked', scope: 'a' } }, 'invalid', 'filter.status'],
      ['revoke', { filter: { organization_id: 'acme' } }, 'invalid', 'filter.organization_id'],
      ['revoke', { filter: { kind: 'nope' } }, 'unknown_kind', 'filter.kind'],
      ['revoke', { filter: { scope: 'a' }, after: 'x' }, 'invalid', 'after'],
      ['renew', { filter: { scope: 'a' }, expires_in: 60 }, 'invalid', 'filter.kind'],
      ['renew', { filter: { kind: 'ticket' } }, 'invalid', 'expires_at'],
      ['renew', { filter: { kind: 'invite' }, expires_in: 60 }, 'kind_has_verbs', 'filter.kind'],
      ['renew', { filter: { kind: 'session' }, expires_in: 60 }, 'kind_has_verbs', 'filter.kind'],
      ['renew', { filter: { kind: 'api-token' }, expires_in: 60 }, 'kind_has_verbs', 'filter.kind'],
    ] as const) {
      const answer = await bulk(verb, body)
      expect([body, answer.status, answer.body]).toEqual([body, 422, expect.objectContaining({ code, field })])
    }
    expect((await bulk('revoke', { filter: {} })).body.detail).toContain('everything there is')
    expect(await api.everything()).toEqual(before)
  })

  it('a token that is bound to an organization reaches nothing outside of it', async () => {
    const [own, other] = [await organization('Own'), await organization('Other')]
    const { headers } = await tokenFor(own)
    const [[mine = ''], [theirs = ''], [nobodys = '']] = [
      await issue(1, { organization: own, scope: 'shared' }),
      await issue(1, { organization: other, scope: 'shared' }),
      await issue(1, { scope: 'shared' }),
    ]
    for (const filter of [{ organization_id: other }, { organization_id: other, scope: 'shared' }])
      expect((await bulk('revoke', { filter }, headers)).body).toMatchObject({ matched: 0, changed: 0 })
    expect((await bulk('revoke', { filter: {} }, headers)).status).toBe(422)
    const renewed = await bulk('renew', { filter: { kind: 'ticket' }, expires_in: 1_000 }, headers)
    expect(renewed.body).toMatchObject({ matched: 1, sample: [mine] })
    expect((await bulk('revoke', { filter: { scope: 'shared' } }, headers)).body).toMatchObject({ sample: [mine] })
    for (const id of [theirs, nobodys])
      expect((await api.call('GET', `/v1/resources/${id}`)).body).toMatchObject({ status: 'active', version: 1 })
  })
})

describe('the forecast', () => {
  it('counts what ends in each hour or day by kind, and what is over and not swept', async () => {
    const org = await organization('Forecast')
    const [late = ''] = await issue(4, { organization: org })
    await issue(2, { organization: org, kind: 'pass', expires_in: 3 * 86_400 })
    await api.age(late, 7_200)
    const { status, body } = await api.call('GET', `/v1/forecast?organization_id=${org}&bucket=day&count=5`)
    expect(status).toBe(200)
    expect(body.overdue).toEqual({ total: 1, kinds: { ticket: 1 } })
    expect(body.buckets).toHaveLength(5)
    const sum = (kind: string) => body.buckets.reduce((n: number, { kinds }: Body) => n + (kinds[kind] ?? 0), 0)
    expect([sum('ticket'), sum('pass')]).toEqual([3, 2])
    expect(body.buckets[0].start).toMatch(/T00:00:00\.000Z$/)
    const hours = (await api.call('GET', `/v1/forecast?organization_id=${org}&kind=ticket`)).body
    expect([hours.buckets.length, hours.buckets[0].total + hours.buckets[1].total]).toEqual([24, 3])
    const before = await api.everything()
    await api.call('GET', '/v1/forecast')
    expect(await api.everything()).toEqual(before)
  })

  it('refuses what makes no sense, and shows a bound token its own organization alone', async () => {
    for (const [query, field] of [
      ['bucket=week', 'bucket'],
      ['count=0', 'count'],
      ['count=1001', 'count'],
      ['from=tomorrow', 'from'],
      ['until=2030-01-01T00:00:00Z', 'until'],
    ])
      expect((await api.call('GET', `/v1/forecast?${query}`)).body).toMatchObject({ status: 422, field })
    const [own, other] = [await organization('Mine'), await organization('Theirs')]
    const { headers } = await tokenFor(own)
    await issue(1, { organization: own })
    await issue(2, { organization: other })
    const total = async (query: string) => {
      const { body } = await api.call('GET', `/v1/forecast?count=3&${query}`, undefined, headers)
      return body.buckets.reduce((n: number, bucket: Body) => n + (bucket.kinds.ticket ?? 0), 0)
    }
    expect([await total(''), await total(`organization_id=${own}`), await total(`organization_id=${other}`)]).toEqual([
      1, 1, 0,
    ])
  })
})

it('a bulk of a tenant reads its organization once, not for each of a thousand items', async () => {
  const own = { id: randomUUID(), reference: 'acme' }
  let reads = 0
  const get = async () => {
    reads++
    return own
  }
  const request = { who: { is: 'token', apiToken: { organizationId: own.id } } }
  const ownOf = ownOrganizations({ organizations: { get } } as never, request as never)
  const names = Array.from({ length: 1_000 }, (_, i) => (i % 2 ? 'acme' : own.id))
  expect(new Set(await Promise.all(names.map(ownOf)))).toEqual(new Set([own.id]))
  expect(await ownOf('another')).not.toBe('another')
  expect(reads).toBe(1)
})
