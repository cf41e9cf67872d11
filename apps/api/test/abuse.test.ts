import { beforeAll, describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'
import { behindProxy, people } from './people.ts'

let api: Awaited<ReturnType<typeof testApi>>
let all: ReturnType<typeof people>
beforeAll(async () => {
  api = await testApi({ env: behindProxy })
  all = people(api)
})

const watch = async (query = ''): Promise<Body> => (await api.call('GET', `/v1/abuse${query}`)).body

describe('the watch for abuse', () => {
  it('is empty where nothing happens', async () => {
    const { since, until, ...rest } = await watch()
    expect(Date.parse(until) - Date.parse(since)).toBe(86_400_000)
    expect(rest).toEqual({ refusals: [], hours: [], repeats: [], senders: [] })
  })

  it('tells what was refused by kind and reason, what was tried again and again, and who sends', async () => {
    const organization = await all.organization()
    const eve = await all.signedIn('eve@example.com')
    const ada = await all.user('ada@example.com')
    await all.member(organization.id, ada.id, 'admin')
    const invites: Body[] = []
    for (const i of [1, 2, 3])
      invites.push(await all.invite(organization.id, `guest-${i}@example.com`, { invited_by: ada.id }))
    await all.invite(organization.id, 'guest-4@example.com')
    const [target, once] = invites
    const accept = (token: string) => eve.ask('POST', '/v1/invites/accept', { token })
    for (let i = 0; i < 3; i++) await accept(target.token)
    await api.call('POST', `/v1/invites/${target.id}/revoke`)
    for (let i = 0; i < 2; i++) await accept(target.token)
    await accept(once.token)
    for (const token of ['x', 'y']) await accept(token)
    await all.ask('POST', '/v1/sessions', { token: 'z' })

    const { items } = (await api.call('GET', '/v1/events?type=refused')).body
    expect(items).toHaveLength(9)
    expect(items[1]).toMatchObject({ kind: 'invite', reason: 'malformed', actor: `user:${eve.user.id}`, from: null })

    const { refusals, hours, repeats, senders } = await watch()
    expect(refusals).toEqual([
      { kind: 'invite', reason: 'other-address', count: 4, resources: 2 },
      { kind: 'invite', reason: 'malformed', count: 2, resources: 0 },
      { kind: 'invite', reason: 'revoked', count: 2, resources: 1 },
      { kind: 'verification', reason: 'malformed', count: 1, resources: 0 },
    ])
    expect(repeats).toEqual([
      {
        resource_id: target.id,
        kind: 'invite',
        count: 5,
        reasons: { 'other-address': 3, revoked: 2 },
        first_at: expect.any(String),
        last_at: expect.any(String),
      },
    ])
    expect(senders).toMatchObject([
      { actor: `user:${ada.id}`, organization_id: organization.id, invites: 3, addresses: 3 },
      { actor: 'root', organization_id: organization.id, invites: 1, addresses: 1 },
    ])
    const sum = (name: string) => hours.reduce((total: number, hour: Body) => total + hour[name], 0)
    expect([sum('refused'), sum('invited')]).toEqual([9, 4])
    for (const { hour } of hours) expect(hour).toMatch(/:00:00\.000Z$/)
  })

  it('looks at the span it is asked for, and names no address and no token', async () => {
    const earlier = await watch('?until=2026-01-02T00:00:00Z&since=2026-01-01T00:00:00Z')
    expect(earlier).toMatchObject({ since: '2026-01-01T00:00:00.000Z', refusals: [], senders: [] })
    const { text } = await api.call('GET', '/v1/abuse')
    expect(text).not.toMatch(/@example\.com|lps_/)
  })

  it.each([
    ['since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z'],
    ['since=2026-01-01T00:00:00Z&until=2026-01-01T00:00:00Z'],
    ['since=2026-01-01T00:00:00Z&until=2026-02-02T00:00:00Z'],
    ['since=yesterday'],
  ])('%s is a 422', async (query) => {
    expect(await watch(`?${query}`)).toMatchObject({ status: 422, code: 'invalid', field: 'since' })
  })

  it('takes the root token', async () => {
    const ada = await all.signedIn('curious@example.com')
    expect((await all.ask('GET', '/v1/abuse')).status).toBe(401)
    expect((await ada.ask('GET', '/v1/abuse')).status).toBe(403)
  })

  it('reads by its two indexes', async () => {
    const plan = async (condition: string) =>
      JSON.stringify(
        await api.sql(
          `EXPLAIN SELECT count(*) FROM event WHERE ${condition} AND at >= now() - interval '1 day' AND at < now()`,
        ),
      )
    await api.sql(`INSERT INTO event (resource_id, kind, type, version, at, trigger)
      SELECT gen_random_uuid(), 'pass', 'issued', 1, now() - i * interval '1 minute', 'manual' FROM generate_series(1, 20000) i`)
    await api.sql('ANALYZE event')
    expect(await plan(`type = 'refused'`)).toContain('event_refused')
    expect(await plan(`kind = 'invite' AND type = 'issued'`)).toContain('event_invited')
  })
})
