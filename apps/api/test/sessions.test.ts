import { privateRedis } from '@lapse/testkit'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApi } from '../src/api.ts'
import { readEnv } from '../src/env.ts'
import { type Body, caller, testApi } from './api.ts'
import { kinds } from './kinds.config.ts'
import { behindProxy, people } from './people.ts'

let api: Awaited<ReturnType<typeof testApi>>
let all: ReturnType<typeof people>
beforeAll(async () => {
  api = await testApi({ env: behindProxy })
  all = people(api)
})

let count = 0
const fresh = (): string => `user-${++count}@example.com`
const current = '/v1/sessions/current'

/** As a browser sends it. */
const cookieOf = (token: string) => ({ cookie: `other=1; __Host-lapse_session=${token}` })

const link = async (email: string): Promise<string> =>
  (await api.call('POST', '/v1/verifications', { purpose: 'sign-in', email, deliver: 'return' })).body.token

describe('signing in', () => {
  it('by a link’s token: a session for 7 days, the token once, no cookie; the user is verified', async () => {
    const user = await all.user(fresh(), { verified: false })
    const token = await link(user.email)
    const answer = await all.ask('POST', '/v1/sessions', { token }, { 'user-agent': 'Firefox of the tests' })
    expect([answer.status, answer.headers.get('set-cookie')]).toEqual([201, null])
    const { session } = answer.body
    expect(answer.body.token).toMatch(/^lps_session_[0-9A-Za-z]{65}$/)
    expect(answer.body.user).toMatchObject({ id: user.id, verified_at: expect.any(String) })
    expect(session).toMatchObject({ status: 'active', user_id: user.id, agent: 'Firefox of the tests', current: false })
    expect(Date.parse(session.expires_at) - Date.parse(session.issued_at)).toBe(7 * 86_400_000)
    expect((await all.ask('POST', '/v1/sessions', { token })).status).toBe(404)
    const { items } = (await api.call('GET', `/v1/resources/${session.id}/events`)).body
    expect(items).toMatchObject([{ type: 'issued', actor: `user:${user.id}` }])
  })

  it('20 at once with one link: one session', async () => {
    const email = fresh()
    const { id } = await all.user(email)
    const token = await link(email)
    const answers = await Promise.all(Array.from({ length: 20 }, () => all.ask('POST', '/v1/sessions', { token })))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(answers.every(({ status }) => [201, 404, 429].includes(status))).toBe(true)
    expect((await api.call('GET', `/v1/sessions?user=${id}`)).body.items).toHaveLength(1)
  })

  it('repeated under its Idempotency-Key it is the same session, without the token, which is stored nowhere', async () => {
    const email = fresh()
    await all.user(email)
    const token = await link(email)
    const open = () => all.ask('POST', '/v1/sessions', { token }, { 'idempotency-key': 'open' })
    const [first, second] = [await open(), await open()]
    const { token: secret, ...rest } = first.body
    expect([first.status, second.status, second.body]).toEqual([201, 201, rest])
    expect(second.headers.get('idempotent-replayed')).toBe('true')
    const stored = JSON.stringify([await api.everything(), await api.sql('SELECT * FROM idempotency_key')])
    for (const one of [secret, token]) expect(stored).not.toContain(one)
    // The key is of whoever has the token: others may choose the same.
    const other = await all.ask('POST', '/v1/sessions', { token: 'x' }, { 'idempotency-key': 'open' })
    expect(other.status).toBe(404)
  })

  it('with the root token, for a user whom the host application has signed in itself', async () => {
    const reference = `ref-${++count}`
    const { id } = await all.user(fresh(), { reference })
    const { status, body } = await api.call('POST', '/v1/sessions', { user: reference, agent: 'their browser' })
    expect([status, body.user.id, body.session.agent]).toEqual([201, id, 'their browser'])
    const me = await all.ask('GET', current, undefined, { authorization: `Bearer ${body.token}` })
    expect(me.body).toMatchObject({ session: { id: body.session.id, current: true }, user: { id } })
    expect((await api.call('POST', '/v1/sessions', { user: 'nobody' })).body).toMatchObject({
      ...{ status: 422, code: 'unknown_user', field: 'user' },
    })
    expect((await api.call('POST', '/v1/sessions', {})).body).toMatchObject({
      ...{ status: 422, field: 'token', detail: expect.stringContaining('`user`') },
    })
    const both = await api.call('POST', '/v1/sessions', { user: id, token: 'x' })
    expect(both.body).toMatchObject({ status: 422, field: 'user' })
    const known = await all.signedIn(fresh())
    for (const { ask } of [all, known]) {
      expect((await ask('POST', '/v1/sessions', { user: id })).body).toMatchObject({ status: 422, field: 'user' })
      expect((await ask('POST', '/v1/sessions', {})).body).toMatchObject({ status: 422, field: 'token' })
    }
  })
})

describe('who asks', () => {
  it('a session, as a bearer token or in the cookie; the root token before both', async () => {
    const ada = await all.signedIn(fresh())
    for (const headers of [ada.headers, cookieOf(ada.token)]) {
      const { status, body } = await all.ask('GET', current, undefined, headers)
      expect([status, body.user.id]).toEqual([200, ada.user.id])
    }
    const root = await api.call('GET', current, undefined, cookieOf(ada.token))
    expect(root.body).toMatchObject({ status: 403, code: 'forbidden' })
    const nobody = await all.ask('GET', current)
    expect(nobody.body).toMatchObject({ status: 401, code: 'signed_out' })
    const stranger = await all.ask('GET', current, undefined, { authorization: 'Bearer x', ...cookieOf(ada.token) })
    expect(stranger.body).toMatchObject({ status: 401, code: 'unauthorized' })
    // The rest of /v1 is for the host application.
    for (const headers of [ada.headers, cookieOf(ada.token)])
      expect((await all.ask('GET', '/v1/resources', undefined, headers)).body).toMatchObject({ code: 'forbidden' })
  })

  it.each([
    ['same-origin', { 'sec-fetch-site': 'same-origin' }, 200],
    ['no browser’s headers', {}, 200],
    ['our own origin', { origin: 'here' }, 200],
    ['another site', { 'sec-fetch-site': 'cross-site' }, 403],
    ['another host of our site', { 'sec-fetch-site': 'same-site' }, 403],
    ['another site that says our origin', { 'sec-fetch-site': 'cross-site', origin: 'here' }, 403],
    ['another origin', { origin: 'https://evil.example' }, 403],
    ['another port', { origin: 'http://127.0.0.1:1' }, 403],
    ['no origin at all', { origin: 'null' }, 403],
  ])('the cookie alone changes things only for our own pages: %s', async (_, browser, expected) => {
    const ada = await all.signedIn(fresh())
    const headers = { ...cookieOf(ada.token), ...browser, ...('origin' in browser && originOf(browser.origin)) }
    const { status } = await all.ask('POST', '/v1/sessions/revoke', {}, headers)
    expect(status).toBe(expected)
    // Looking is free, and a bearer token comes from no page of others.
    const looked = await all.ask('GET', '/v1/sessions', undefined, headers)
    expect(looked.status).toBe(expected === 200 ? 401 : 200)
    const bold = await ada.ask(
      'POST',
      '/v1/sessions/revoke',
      {},
      { ...browser, ...('origin' in browser && originOf(browser.origin)) },
    )
    expect(bold.status).toBe(expected === 200 ? 401 : 200)
  })

  it('the host application asks whose a token is', async () => {
    const ada = await all.signedIn(fresh())
    const check = async (token: string) => (await api.call('POST', '/v1/sessions/check', { token })).body
    expect(await check(ada.token)).toMatchObject({
      valid: true,
      session: { id: ada.session.id },
      user: { id: ada.user.id },
    })
    await ada.ask('POST', '/v1/sessions/revoke')
    for (const token of [ada.token, 'x']) expect(await check(token)).toEqual({ valid: false })
    expect((await all.ask('POST', '/v1/sessions/check', { token: ada.token })).status).toBe(401)
    const eve = await all.signedIn(fresh())
    expect((await eve.ask('POST', '/v1/sessions/check', { token: eve.token })).status).toBe(403)
  })
})

const originOf = (origin: string) => ({ origin: origin === 'here' ? api.url : origin })

describe('my sessions', () => {
  it('lists mine, live ones only, and marks the one that asks', async () => {
    const ada = await all.signedIn(fresh())
    await all.signedIn(fresh())
    const open = async () => (await api.call('POST', '/v1/sessions', { user: ada.user.id })).body.session
    const [kept, ended, old] = [await open(), await open(), await open()]
    await ada.ask('POST', `/v1/sessions/${ended.id}/revoke`)
    await api.age(old.id, 8 * 86_400)
    const { items } = (await ada.ask('GET', '/v1/sessions')).body
    expect(items.map((item: Body) => [item.id, item.current])).toEqual([
      [kept.id, false],
      [ada.session.id, true],
    ])
    expect((await ada.ask('GET', `/v1/sessions?user=${ada.user.id}`)).body).toMatchObject({
      status: 422,
      field: 'user',
    })
    const seen = (await api.call('GET', `/v1/sessions?user=${ada.user.id}`)).body.items
    expect(seen.map((item: Body) => [item.id, item.current])).toEqual([
      [kept.id, false],
      [ada.session.id, false],
    ])
    expect((await api.call('GET', '/v1/sessions')).body).toMatchObject({ status: 422, field: 'user' })
    expect((await all.ask('GET', '/v1/sessions')).status).toBe(401)
  })

  it('revokes one of mine, which counts from the next request on; another’s is a 404', async () => {
    const [ada, eve] = [await all.signedIn(fresh()), await all.signedIn(fresh())]
    const foreign = await eve.ask('POST', `/v1/sessions/${ada.session.id}/revoke`)
    expect(foreign.body).toMatchObject({ status: 404, code: 'not_found' })
    expect((await ada.ask('GET', current)).status).toBe(200)
    const { body } = await ada.ask('POST', `/v1/sessions/${ada.session.id}/revoke`, { reason: 'lost' })
    expect(body).toMatchObject({ status: 'revoked', word: 'signed out', current: true })
    expect((await ada.ask('GET', current)).status).toBe(401)
    const { items } = (await api.call('GET', `/v1/resources/${ada.session.id}/events?type=revoked`)).body
    expect(items).toMatchObject([{ actor: `user:${ada.user.id}`, reason: 'lost' }])
    const byRoot = await api.call('POST', `/v1/sessions/${eve.session.id}/revoke`)
    expect(byRoot.body).toMatchObject({ status: 'revoked' })
    expect((await api.call('POST', `/v1/sessions/${eve.session.id}/revoke`)).status).toBe(200)
    const invite = await all.invite((await all.organization()).id, fresh())
    expect((await api.call('POST', `/v1/sessions/${invite.id}/revoke`)).status).toBe(404)
    expect((await api.call('GET', `/v1/invites/${invite.id}`)).body.status).toBe('active')
  })

  it('revokes all, or all others; the host application does it for anybody', async () => {
    const ada = await all.signedIn(fresh())
    const open = async () => (await api.call('POST', '/v1/sessions', { user: ada.user.id })).body
    const [second, third] = [await open(), await open()]
    expect((await ada.ask('POST', '/v1/sessions/revoke', { except_current: true })).body).toEqual({ revoked: 2 })
    for (const { token } of [second, third])
      expect((await all.ask('GET', current, undefined, { authorization: `Bearer ${token}` })).status).toBe(401)
    expect((await ada.ask('GET', current)).status).toBe(200)
    await open()
    expect((await ada.ask('POST', '/v1/sessions/revoke')).body).toEqual({ revoked: 2 })
    expect((await ada.ask('GET', current)).status).toBe(401)
    await open()
    expect((await api.call('POST', '/v1/sessions/revoke', { user: ada.user.id })).body).toEqual({ revoked: 1 })
    expect((await api.call('POST', '/v1/sessions/revoke')).body).toMatchObject({ status: 422, field: 'user' })
    const eve = await all.signedIn(fresh())
    const foreign = await eve.ask('POST', '/v1/sessions/revoke', { user: ada.user.id })
    expect(foreign.body).toMatchObject({ status: 422, field: 'user' })
  })

  it('a session that is used lives on, for 30 days at most; looking writes it at most once an hour', async () => {
    const ada = await all.signedIn(fresh())
    const story = async () => (await api.call('GET', `/v1/resources/${ada.session.id}/events?type=renewed`)).body.items
    for (let i = 0; i < 3; i++) await ada.ask('GET', current)
    expect(await story()).toHaveLength(0)
    await api.age(ada.session.id, 2 * 3_600)
    const answers = await Promise.all(Array.from({ length: 20 }, () => ada.ask('GET', current)))
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    expect(await story()).toHaveLength(1)
    await api.sql(
      `UPDATE resource SET issued_at = now() - interval '29 days', expires_at = now() + interval '2 hours',
        ends_at = now() + interval '2 hours', due_at = now() + interval '2 hours' WHERE id = $1`,
      [ada.session.id],
    )
    const { session } = (await ada.ask('GET', current)).body
    expect(Date.parse(session.expires_at) - Date.parse(session.issued_at)).toBe(30 * 86_400_000)
  })
})

it('B8: revoked, with Redis stopped and two API processes: the next request is denied at both', async () => {
  const redis = await privateRedis()
  const first = await testApi({ redis, env: behindProxy })
  const log = pino({ level: 'silent' })
  const second = await startApi(
    readEnv({ ...first.variables, LAPSE_ROOT_TOKEN: first.variables.LAPSE_ROOT_TOKEN }),
    { kinds },
    log,
  )
  afterAll(() => second.close())
  const ada = await people(first).signedIn('ada@example.com')
  const at = (url: string) => caller(url)('GET', current, undefined, ada.headers)
  const both = async () => (await Promise.all([first.url, second.url].map(at))).map(({ status }) => status)
  expect(await both()).toEqual([200, 200])
  await redis.stop()
  expect((await ada.ask('POST', `/v1/sessions/${ada.session.id}/revoke`)).status).toBe(200)
  expect(await both()).toEqual([401, 401])
})
