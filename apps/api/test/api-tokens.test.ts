import { beforeAll, describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'
import { machines } from './operations.ts'
import { behindProxy, freshIp, people } from './people.ts'

let api: Awaited<ReturnType<typeof testApi>>
let all: ReturnType<typeof people>
let tokens: ReturnType<typeof machines>
const log: string[] = []
beforeAll(async () => {
  api = await testApi({ env: behindProxy, log: (line) => log.push(line) })
  all = people(api)
  tokens = machines(api)
})

const day = 86_400
const post = (path: string, body?: unknown, headers?: Record<string, string>) => api.call('POST', path, body, headers)
const look = async (id: string) => (await api.call('GET', `/v1/api-tokens/${id}`)).body
const verify = async (token: string, more: object = {}) =>
  (await post('/v1/api-tokens/verify', { token, ...more })).body

describe('creating', () => {
  it('shows the token once; for 90 days, opaque, bound to none', async () => {
    const { status, body, headers } = await post('/v1/api-tokens', { name: 'CI', scopes: ['trials:read'] })
    expect(status).toBe(201)
    expect(body).toMatchObject({
      ...{ status: 'active', name: 'CI', scopes: ['trials:read'], organization_id: null, email: null, timer: 'armed' },
      ...{ format: 'opaque', long_lived: false, rate_limit: null, rotation_of: null, last_used_at: null },
      token: expect.stringMatching(/^lps_api-token_[0-9A-Za-z]{65}$/),
    })
    expect(Date.parse(body.expires_at) - Date.parse(body.issued_at)).toBe(90 * day * 1000)
    expect(headers.get('location')).toBe(`/v1/api-tokens/${body.id}`)
    const { token, timer, ...rest } = body
    expect(await look(body.id)).toEqual(rest)
  })

  it('under an Idempotency-Key it is made once, and its token is not shown again', async () => {
    const send = () => post('/v1/api-tokens', { name: 'once', scopes: ['*'] }, { 'idempotency-key': 'make-one' })
    const [first, again] = [await send(), await send()]
    expect(first.body.token).toBeDefined()
    const { token, ...rest } = first.body
    expect([again.status, again.body]).toEqual([201, rest])
  })

  it.each([
    [{ name: '' }, 'name'],
    [{ scopes: [] }, 'scopes'],
    [{ scopes: ['trials'] }, 'scopes.0'],
    [{ scopes: ['trials:read', 'Trials:write'] }, 'scopes.1'],
    [{ organization: 'nobody-knows' }, 'organization'],
    [{ email: 'ada' }, 'email'],
    [{ format: 'paseto' }, 'format'],
    [{ rate_limit: { requests: 0, seconds: 1 } }, 'rate_limit.requests'],
    [{ expires_in: 366 * day }, 'expires_in'],
    [{ expires_in: 3651 * day, long_lived: true }, 'expires_in'],
    [{ owner: 'ada' }, 'owner'],
  ])('%j is a 422 that names the field, and nothing is made', async (wrong, field) => {
    const before = await api.everything()
    const { body } = await post('/v1/api-tokens', { name: 'CI', scopes: ['*'], ...wrong })
    expect([body.status, body.field, typeof body.detail]).toEqual([422, field, 'string'])
    expect(await api.everything()).toEqual(before)
  })

  it('cannot be gone around', async () => {
    const { body } = await post('/v1/resources', { kind: 'api-token' })
    expect(body).toMatchObject({ code: 'kind_has_verbs', detail: 'Use lapse.apiTokens, or /v1/api-tokens.' })
    const { id } = await tokens.created()
    expect((await post(`/v1/resources/${id}/renew`, { expires_in: 60 })).body).toMatchObject({ code: 'kind_has_verbs' })
  })
})

describe('verifying', () => {
  it('answers a status, and whose it is', async () => {
    const { token, ...about } = await tokens.created({ scopes: ['invoices:read'] })
    const { timer, ...shown } = about
    expect(await verify(token, { scopes: ['invoices:read'] })).toEqual({ status: 'valid', api_token: shown })
    expect(await verify(token, { scopes: ['invoices:read', 'invoices:write'] })).toMatchObject({
      ...{ status: 'out_of_scope', missing: ['invoices:write'], api_token: { id: about.id } },
    })
    expect(await verify('nonsense')).toEqual({ status: 'unknown' })
    expect(await verify(`${token.slice(0, -1)}${token.endsWith('a') ? 'b' : 'a'}`)).toEqual({ status: 'unknown' })
    await post(`/v1/api-tokens/${about.id}/revoke`)
    expect(await verify(token)).toMatchObject({ status: 'revoked', api_token: { id: about.id, status: 'revoked' } })
    const old = await tokens.created()
    await api.age(old.id, 91 * day)
    expect(await verify(old.token)).toMatchObject({ status: 'expired' })
    const organization = await all.organization()
    const blocked = await tokens.created({ organization: organization.id })
    await post(`/v1/organizations/${organization.id}/suspend`)
    expect(await verify(blocked.token)).toMatchObject({ status: 'suspended' })
  })

  it('so many times in so many seconds, then it is rate limited; no other token is', async () => {
    const rate = { rate_limit: { requests: 3, seconds: 60 } }
    const [one, other] = [await tokens.created(rate), await tokens.created(rate)]
    const statuses: string[] = []
    for (let i = 0; i < 5; i++) statuses.push((await verify(one.token)).status)
    expect(statuses).toEqual(['valid', 'valid', 'valid', 'rate_limited', 'rate_limited'])
    const { retry_after: wait } = await verify(one.token)
    expect(wait).toBeGreaterThan(0)
    expect(wait).toBeLessThanOrEqual(60)
    expect((await verify(other.token)).status).toBe('valid')
    expect((await verify(one.token, { scopes: ['*'] })).status).toBe('rate_limited')
    // What is no use does not count, and is told before.
    await post(`/v1/api-tokens/${one.id}/revoke`)
    expect((await verify(one.token)).status).toBe('revoked')
  })

  it('40 at once are counted together', async () => {
    const { token } = await tokens.created({ rate_limit: { requests: 10, seconds: 60 } })
    const verdicts = await Promise.all(Array.from({ length: 40 }, () => verify(token)))
    expect(verdicts.filter(({ status }) => status === 'valid')).toHaveLength(10)
    expect(verdicts.filter(({ status }) => status === 'rate_limited')).toHaveLength(30)
  })
})

describe('rotating, renewing, revoking', () => {
  it('rotated with an overlap: both are good for so long; a second time is a 409', async () => {
    const old = await tokens.created({ email: 'ada@example.com', scopes: ['a:read'] })
    const send = () => post(`/v1/api-tokens/${old.id}/rotate`, { overlap: 3600 }, { 'idempotency-key': `r-${old.id}` })
    const { status, body, headers } = await send()
    expect([status, headers.get('location')]).toEqual([201, `/v1/api-tokens/${body.id}`])
    expect(body).toMatchObject({ rotation_of: old.id, scopes: ['a:read'], email: 'ada@example.com', name: 'CI' })
    expect([(await verify(body.token)).status, (await verify(old.token)).status]).toEqual(['valid', 'valid'])
    expect((await send()).body).toEqual({ ...body, token: undefined })
    expect((await post(`/v1/api-tokens/${old.id}/rotate`)).body).toMatchObject({ status: 409, code: 'already_rotated' })
    await api.age(old.id, 3600)
    expect([(await verify(body.token)).status, (await verify(old.token)).status]).toEqual(['valid', 'expired'])
  })

  it('rotated without one, the old one ends at once; the overlap is a day at most', async () => {
    const old = await tokens.created()
    for (const overlap of [86_401, -1, 1.5])
      expect((await post(`/v1/api-tokens/${old.id}/rotate`, { overlap })).body).toMatchObject({ field: 'overlap' })
    const { body } = await post(`/v1/api-tokens/${old.id}/rotate`, { expires_in: day })
    expect(Date.parse(body.expires_at) - Date.parse(body.issued_at)).toBe(day * 1000)
    expect(await look(old.id)).toMatchObject({ status: 'revoked' })
  })

  it('renewed it gets another end, and revoked it ends; of what is no API token there is none', async () => {
    const { id } = await tokens.created()
    const renewed = await post(`/v1/api-tokens/${id}/renew`, { expires_in: 300 * day })
    expect([renewed.status, renewed.body.timer, renewed.body.status]).toEqual([200, 'armed', 'active'])
    expect((await post(`/v1/api-tokens/${id}/renew`, { expires_in: 366 * day })).body).toMatchObject({
      ...{ status: 422, code: 'lifetime_too_long', field: 'expires_in' },
    })
    expect((await post(`/v1/api-tokens/${id}/revoke`, { reason: 'leaked' })).body).toMatchObject({ status: 'revoked' })
    expect((await post(`/v1/api-tokens/${id}/renew`, { expires_in: day })).body).toMatchObject({
      code: 'already_ended',
    })
    const trial = (await post('/v1/trials', {})).body
    for (const wrong of [trial.id, 'x', '019abcde-0000-7000-8000-000000000001'])
      for (const [method, path, body] of [
        ['GET', '', undefined],
        ['POST', '/renew', { expires_in: day }],
        ['POST', '/revoke', undefined],
        ['POST', '/rotate', undefined],
      ] as const) {
        const { status } = await api.call(method, `/v1/api-tokens/${wrong}${path}`, body)
        expect([wrong, path, status]).toEqual([wrong, path, 404])
      }
  })

  it('lists, live ones or all', async () => {
    const organization = await all.organization()
    const [one, other] = [
      await tokens.created({ organization: organization.id }),
      await tokens.created({ organization: organization.id }),
    ]
    await post(`/v1/api-tokens/${one.id}/revoke`)
    const ids = async (query: string) =>
      (await api.call('GET', `/v1/api-tokens?organization_id=${organization.id}${query}`)).body.items.map(
        ({ id }: Body) => id,
      )
    expect(await ids('')).toEqual([other.id, one.id])
    expect(await ids('&live=true')).toEqual([other.id])
    expect(await ids('&live=false')).toEqual([one.id])
    const { text } = await api.call('GET', '/v1/api-tokens?limit=200')
    expect(text).not.toContain('lps_')
  })
})

describe('asking with one', () => {
  it('does what its scopes allow; the audit has its name', async () => {
    const { id, ask } = await tokens.machine({ scopes: ['trials:write', 'events:read'] })
    const trial = await ask('POST', '/v1/trials', {})
    expect(trial.status).toBe(201)
    const { body } = await ask('GET', `/v1/resources/${trial.body.id}/events`)
    expect(body.items).toMatchObject([{ type: 'issued', actor: `token:${id}` }])
    const refused = await ask('GET', `/v1/trials/${trial.body.id}`)
    expect(refused.body).toMatchObject({
      status: 403,
      code: 'forbidden',
      detail: expect.stringContaining('trials:read'),
    })
    expect((await look(id)).last_used_at).toEqual(expect.any(String))
  })

  it.each(['opaque', 'jwt'])('revoked it is refused with the very next request: %s', async (format) => {
    const { id, ask } = await tokens.machine({ format })
    expect((await ask('GET', '/v1/trials')).status).toBe(200)
    await post(`/v1/api-tokens/${id}/revoke`)
    expect((await ask('GET', '/v1/trials')).status).toBe(401)
  })

  it('unknown, malformed, expired, revoked, suspended: one 401', async () => {
    const organization = await all.organization()
    const [old, gone, blocked, good, jwt] = [
      await tokens.created(),
      await tokens.created(),
      await tokens.created({ organization: organization.id }),
      await tokens.created(),
      await tokens.created({ format: 'jwt' }),
    ]
    await api.age(old.id, 91 * day)
    await post(`/v1/api-tokens/${gone.id}/revoke`)
    await post(`/v1/organizations/${organization.id}/suspend`)
    const wrong = [
      old.token,
      gone.token,
      blocked.token,
      good.token.slice(0, -1),
      'lps_api-token_x',
      `${jwt.token}x`,
      'x',
    ]
    const answers = await Promise.all(
      wrong.map((one) => tokens.asking(one)('GET', '/v1/trials', undefined, { 'x-forwarded-for': freshIp() })),
    )
    const seen = answers.map(({ status, headers, body }) => ({
      ...{ status, body: { ...body, instance: '' }, authenticate: headers.get('www-authenticate') },
    }))
    expect(seen[0]).toMatchObject({ status: 401, authenticate: expect.stringContaining('invalid_token') })
    for (const one of seen) expect(one).toEqual(seen[0])
    expect((await tokens.asking(good.token)('GET', '/v1/trials')).status).toBe(200)
  })

  it('wrong ones are counted as guesses, and right ones pass whatever was tried from their address', async () => {
    const from = { 'x-forwarded-for': freshIp() }
    const { ask, token } = await tokens.machine()
    const guesses: number[] = []
    for (let i = 0; i < 32; i++)
      guesses.push((await tokens.asking(`${token}x`)('GET', '/v1/trials', undefined, from)).status)
    expect([guesses.slice(0, 30).every((status) => status === 401), guesses.slice(30)]).toEqual([true, [429, 429]])
    expect((await ask('GET', '/v1/trials', undefined, from)).status).toBe(200)
  })

  it('one that may be used so often is told when it may again', async () => {
    const { ask, token } = await tokens.machine({ rate_limit: { requests: 2, seconds: 60 } })
    expect([(await ask('GET', '/v1/trials')).status, (await verify(token)).status]).toEqual([200, 'valid'])
    const { status, headers, body } = await ask('GET', '/v1/trials')
    expect([status, body.code]).toEqual([429, 'too_many'])
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
  })

  it('keys for repeating a request are its own', async () => {
    const [one, other] = [await tokens.machine(), await tokens.machine()]
    const key = { 'idempotency-key': 'mine' }
    const [first, again, others] = [
      await one.ask('POST', '/v1/trials', {}, key),
      await one.ask('POST', '/v1/trials', {}, key),
      await other.ask('POST', '/v1/trials', {}, key),
    ]
    expect(again.body.id).toBe(first.body.id)
    expect(others.status).toBe(201)
    expect(others.body.id).not.toBe(first.body.id)
  })

  it('gives away, and rotates, no more than it has', async () => {
    const { ask } = await tokens.machine({ scopes: ['api-tokens:write', 'trials:read'] })
    const create = (scopes: string[]) => ask('POST', '/v1/api-tokens', { name: 'x', scopes })
    expect((await create(['trials:read'])).status).toBe(201)
    for (const scopes of [['*'], ['trials:write'], ['trials:read', 'invoices:read']])
      expect((await create(scopes)).body).toMatchObject({ status: 403, code: 'forbidden', field: 'scopes' })
    const strong = await tokens.created({ scopes: ['*'] })
    expect((await ask('POST', `/v1/api-tokens/${strong.id}/rotate`)).body).toMatchObject({ status: 403 })
    expect((await verify(strong.token)).status).toBe('valid')
    const weak = await tokens.created({ scopes: ['trials:read'] })
    expect((await ask('POST', `/v1/api-tokens/${weak.id}/rotate`)).status).toBe(201)
  })

  it('bound to an organization it makes tokens, and verifies them, for that one only', async () => {
    const [mine, theirs] = [await all.organization({ reference: 'mine' }), await all.organization()]
    const { ask } = await tokens.machine({ organization: mine.id })
    const create = (organization?: string) => ask('POST', '/v1/api-tokens', { name: 'x', scopes: ['*'], organization })
    for (const named of [undefined, mine.id, 'mine'])
      expect((await create(named)).body).toMatchObject({ organization_id: mine.id })
    expect((await create(theirs.id)).body).toMatchObject({ status: 422, code: 'unknown_organization' })
    const [own, other, root] = [
      await tokens.created({ organization: mine.id }),
      await tokens.created({ organization: theirs.id }),
      await tokens.created(),
    ]
    const statusOf = async (token: string) => (await ask('POST', '/v1/api-tokens/verify', { token })).body
    expect(await statusOf(own.token)).toMatchObject({ status: 'valid' })
    for (const { token } of [other, root]) expect(await statusOf(token)).toEqual({ status: 'unknown' })
  })

  it('is not for what is for the signed-in, and tells what is', async () => {
    const { ask } = await tokens.machine()
    for (const path of ['/v1/sessions/current', '/v1/invites/mine'])
      expect((await ask('GET', path)).body).toMatchObject({ status: 403, detail: 'This takes the token of a session.' })
    expect((await ask('PUT', '/v1/trials', {})).status).toBe(405)
    expect((await ask('GET', '/v1/nothing-here')).status).toBe(404)
    expect((await ask('POST', '/v1/sign-in', { email: 'a@example.com' })).status).toBe(202)
  })

  it('I5: vouches for users as the root token does', async () => {
    const { ask, id } = await tokens.machine({ scopes: ['sessions:write', 'invites:write'] })
    const organization = await all.organization()
    const invite = await all.invite(organization.id, 'vouched@example.com')
    const accepted = await ask('POST', '/v1/invites/accept', { token: invite.token, email: 'vouched@example.com' })
    expect(accepted.body).toMatchObject({ status: 'joined' })
    const session = await ask('POST', '/v1/sessions', { user: accepted.body.membership.user_id })
    expect(session.status).toBe(201)
    const [event] = await api.sql(`SELECT actor FROM event WHERE resource_id = $1 AND type = 'issued'`, [
      session.body.session.id,
    ])
    expect(event.actor).toBe(`token:${id}`)
  })
})

it('I6: no token stands in the database, Redis, our log, events or answers', async () => {
  const made = [await tokens.created(), await tokens.created({ format: 'jwt' })]
  const key = { 'idempotency-key': 'canary' }
  const once = await post('/v1/api-tokens', { name: 'once', scopes: ['*'] }, key)
  const rotated = await post(`/v1/api-tokens/${made[0]?.id}/rotate`, { overlap: 60 }, { 'idempotency-key': 'canary-2' })
  await post(`/v1/api-tokens/${made[1]?.id}/rotate`, { overlap: 60 })
  const secrets = [...made.map(({ token }) => token), once.body.token, rotated.body.token]
  for (const token of secrets) {
    await tokens.asking(token)('GET', `/v1/trials?subject=${token.slice(-20)}`)
    await tokens.asking(token)('GET', `/v1/nothing/${token}`)
    await verify(token)
  }
  const tables = await api.sql(`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`)
  const rows = await Promise.all(tables.map(({ name }) => api.sql(`SELECT t::text FROM "${name}" t`)))
  const { redis } = api.lapse.queues
  const keys = await redis.keys(`*${api.variables.LAPSE_PREFIX}*`)
  const values = await Promise.all(keys.map((name) => redis.dump(name)))
  const places: Record<string, string> = {
    database: JSON.stringify(rows),
    redis: JSON.stringify([keys, values]),
    log: log.join(''),
    events: (await api.call('GET', '/v1/events?limit=200')).text,
    resources: (await api.call('GET', '/v1/resources?limit=200')).text,
    metrics: (await api.call('GET', '/metrics')).text,
  }
  expect(log.join('')).toContain('/v1/nothing/')
  for (const [place, text] of Object.entries(places)) {
    expect([place, text.length > 100]).toEqual([place, true])
    // The half that proves: of a JWT its signature, or what is signed.
    for (const [i, token] of secrets.entries())
      expect([place, i, text.includes(token.slice(-43, -6))]).toEqual([place, i, false])
  }
  const [database = ''] = [places.database]
  expect(database).toContain(secrets[0]?.slice(14, 30))
})
