import { describe, expect, it } from 'vitest'
import { type Answer, type Body, testApi } from './api.ts'
import { behindProxy, freshIp, people } from './people.ts'

const lines: string[] = []
const api = await testApi({ env: behindProxy, log: (line) => lines.push(line) })
const { call, sql } = api
const { ask, organization, reasons } = people(api)

const shared = async (more: object = {}): Promise<Body> => {
  const answer = await call('POST', '/v1/share-links', { title: 'Quarterly report', ...more })
  if (answer.status !== 201) throw new Error(answer.text)
  return answer.body
}
const unlock = (token: string, more: object = {}, headers: Record<string, string> = {}) =>
  ask('POST', '/v1/share-links/unlock', { token, ...more }, headers)
const check = async (pass: string) => (await call('POST', '/v1/share-links/check', { pass })).body
const from = (ip: string) => ({ 'x-forwarded-for': ip })

describe('a share link', () => {
  it('is made, opened by anybody who has its token, and checked by whoever shows the content', async () => {
    const answer = await call('POST', '/v1/share-links', {
      ...{ title: 'Quarterly report', url: 'https://docs.example.com/q?a=1', shared_by: 'Ada', scope: 'document-1' },
      ...{ subject: 'grace', max_views: 5, password: 'correct horse' },
    })
    const { id, issued_at, expires_at, token, share_url, ...rest } = answer.body
    expect([answer.status, answer.headers.get('location')]).toEqual([201, `/v1/share-links/${id}`])
    expect(Date.parse(expires_at) - Date.parse(issued_at)).toBe(7 * 86_400_000)
    expect(token).toMatch(/^lps_share-link_[0-9A-Za-z]{65}$/)
    expect(new URL(share_url).pathname + new URL(share_url).search).toBe(`/share-links/open?token=${token}`)
    const content = {
      ...{ title: 'Quarterly report', url: 'https://docs.example.com/q?a=1', shared_by: 'Ada', scope: 'document-1' },
    }
    expect(rest).toEqual({
      ...{ ...content, status: 'active', subject: 'grace', organization_id: null, has_password: true, timer: 'armed' },
      ...{ views: 0, max_views: 5, last_viewed_at: null, ended_at: null },
    })
    const opened = await unlock(token, { password: 'correct horse' })
    expect(opened.status).toBe(200)
    expect(opened.body).toEqual({
      pass: expect.stringMatching(/^lps_pass_/),
      link: { id, ...content },
      expires_at: expect.any(String),
    })
    expect(await check(opened.body.pass)).toEqual({
      allowed: true,
      link: { id, ...content },
      expires_at: opened.body.expires_at,
    })
    expect((await call('GET', `/v1/share-links/${id}`)).body).toMatchObject({
      views: 1,
      last_viewed_at: expect.any(String),
    })
    expect((await call('GET', '/v1/share-links?scope=document-1&count=true')).body).toMatchObject({
      items: [{ id }],
      count: 1,
    })
    expect((await call('POST', `/v1/share-links/${id}/revoke`)).body).toMatchObject({ status: 'revoked' })
    expect(await check(opened.body.pass)).toEqual({ allowed: false })
    expect((await unlock(token, { password: 'correct horse' })).status).toBe(404)
  })

  it('is given another end', async () => {
    const { id } = await shared()
    const { body } = await call('POST', `/v1/share-links/${id}/renew`, { expires_in: 60 })
    expect(body).toMatchObject({ id, timer: 'armed' })
    expect((await call('POST', `/v1/share-links/${id}/renew`, { expires_in: 91 * 86_400 })).body.field).toBe(
      'expires_in',
    )
  })

  it('counts a request that is repeated under one key once, and gives the same pass to who made it', async () => {
    const { id, token } = await shared({ max_views: 1, password: 'correct horse' })
    const key = { 'idempotency-key': 'view-1' }
    const again = () => unlock(token, { password: 'correct horse' }, key)
    const [first, second] = [await again(), await again()]
    expect([first.status, second.status, second.headers.get('idempotent-replayed')]).toEqual([200, 200, 'true'])
    expect([second.body.link, second.body.expires_at]).toEqual([first.body.link, first.body.expires_at])
    for (const { body } of [first, second]) expect(await check(body.pass)).toMatchObject({ allowed: true })
    expect((await call('GET', `/v1/share-links/${id}`)).body.views).toBe(1)
    expect((await unlock(token, { password: 'correct horse' })).status).toBe(404)
    expect((await unlock(token, { password: 'battery' }, { ...key, ...from(freshIp()) })).status).toBe(403)
  })

  it('that is made again under one key is the same one, and its token is not told again', async () => {
    const make = () =>
      call('POST', '/v1/share-links', { title: 'Twice', password: 'correct horse' }, { 'idempotency-key': 'make-1' })
    const [first, second] = [await make(), await make()]
    const { token, share_url, ...rest } = first.body
    expect([second.body, second.status]).toEqual([rest, 201])
    // What is kept of the request tells nothing of its password, which could be guessed from a hash.
    const other = { title: 'Twice', password: 'battery staple' }
    const third = await call('POST', '/v1/share-links', other, { 'idempotency-key': 'make-1' })
    expect([third.body, third.headers.get('idempotent-replayed')]).toEqual([rest, 'true'])
  })

  it.each([
    ['title', { title: '' }],
    ['title', { title: 'a\u202eb' }],
    ['url', { url: 'http://example.com' }],
    ['url', { url: 'javascript:alert(1)' }],
    ['password', { password: 'short' }],
    ['max_views', { max_views: 0 }],
    ['expires_in', { expires_in: 91 * 86_400 }],
    ['views', { views: 1 }],
  ])('refuses a bad %s', async (field, body) => {
    const answer = await call('POST', '/v1/share-links', { title: 'Report', ...body })
    expect([answer.status, answer.body.field]).toEqual([422, field])
  })

  it('lets only the host application say who tries', async () => {
    const { token } = await shared()
    const { status, body } = await unlock(token, { client: 'ada' })
    expect([status, body.field]).toEqual([422, 'client'])
    expect((await call('POST', '/v1/share-links/unlock', { token, client: 'ada' })).status).toBe(200)
  })

  it('asks for the token of the host application for everything but opening it', async () => {
    const { id } = await shared()
    for (const [method, path] of [
      ...[
        ['POST', ''],
        ['GET', ''],
        ['GET', `/${id}`],
        ['POST', '/check'],
      ],
      ...[
        ['POST', `/${id}/renew`],
        ['POST', `/${id}/revoke`],
      ],
    ] as [string, string][])
      expect((await ask(method, `/v1/share-links${path}`)).status).toBe(401)
  })
})

describe('I4: a token that is not good', () => {
  it('gets one answer, byte for byte, whatever the reason; the events tell them apart', async () => {
    const acme = await organization()
    const one = (more: object = {}) => shared({ password: 'correct horse', ...more })
    const [expired, revoked, used, gone, suspended, mixed] = await Promise.all([
      ...[one(), one(), one({ max_views: 1 }), one(), one({ organization: acme.id }), one()],
    ])
    await api.age(expired.id, 8 * 86_400)
    await call('POST', `/v1/share-links/${revoked.id}/revoke`)
    expect((await unlock(used.token, { password: 'correct horse' })).status).toBe(200)
    await sql('DELETE FROM resource WHERE id = $1', [gone.id])
    await call('POST', `/v1/organizations/${acme.id}/suspend`)
    await sql(`UPDATE resource SET verifier = sha256('another') WHERE id = $1`, [mixed.id])
    const before = (await reasons('share-link')).length
    const answers: Answer[] = []
    for (const { token } of [expired, revoked, used, gone, suspended, mixed, { token: 'x' }])
      answers.push(await unlock(token, { password: 'correct horse' }))
    const told = await ask('POST', '/v1/sessions', { token: 'x' })
    for (const { status, text, headers } of answers)
      expect([status, text, alike(headers)]).toEqual([404, told.text, alike(told.headers)])
    expect((await reasons('share-link')).slice(before)).toEqual([
      ...['expired', 'revoked', 'used_up', 'unknown', 'suspended', 'wrong-secret', 'malformed'],
    ])
  })

  const alike = (headers: Headers) => {
    const { date: _, connection: __, 'keep-alive': ___, ...rest } = Object.fromEntries(headers)
    return rest
  }

  it('may be tried twenty times from one address', async () => {
    const ip = from(freshIp())
    for (let i = 0; i < 20; i++) expect((await unlock('x', {}, ip)).status).toBe(404)
    const { token } = await shared()
    expect([(await unlock(token, {}, ip)).status, (await unlock(token)).status]).toEqual([429, 200])
  })
})

describe('a wrong password', () => {
  const password = 'correct horse battery'

  it('is told, counts no view, and has its client wait longer each time; nobody else waits', async () => {
    const { id, token } = await shared({ password })
    const missing = await unlock(token)
    expect([missing.status, missing.body.code]).toEqual([403, 'password_required'])
    const [mine, other] = [from(freshIp()), from(freshIp())]
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      const before = await redisTime()
      const wrong = await unlock(token, { password: 'wrong' }, mine)
      expect([wrong.status, wrong.body.code, wrong.body.field]).toEqual([403, 'wrong_password', 'password'])
      const until = await waitingUntil()
      expect(until).toBeGreaterThanOrEqual(before + seconds * 1_000)
      expect(until).toBeLessThanOrEqual((await redisTime()) + seconds * 1_000)
      await waitUntil((await redisTime()) + 30_000)
      const soon = await unlock(token, { password }, mine)
      expect([soon.status, soon.body.code, soon.body.field]).toEqual([429, 'too_many', 'password'])
      expect(Number(soon.headers.get('retry-after'))).toBeLessThanOrEqual(30)
      expect((await unlock(token, { password }, other)).status).toBe(200)
      expect((await unlock((await shared({ password })).token, { password }, mine)).status).toBe(200)
      await waitUntil(0)
    }
    expect((await unlock(token, { password }, mine)).status).toBe(200)
    expect((await call('GET', `/v1/share-links/${id}`)).body.views).toBe(9)
    const refused = await sql(`SELECT reason FROM event WHERE resource_id = $1 AND type = 'refused'`, [id])
    expect(refused.map(({ reason }: Body) => reason)).toEqual(Array(8).fill('wrong-password'))
  })

  const { redis, prefix } = api.lapse.queues
  const redisTime = async () => {
    const [seconds = 0, micros = 0] = (await redis.time()).map(Number)
    return seconds * 1_000 + Math.floor(micros / 1_000)
  }
  /** Who has been at it and waits; the others have no failure left. */
  const waiting = async () => {
    const keys = await redis.keys(`${prefix}:limits:password:*`)
    const failures = await Promise.all(keys.map(async (key) => Number(await redis.hget(key, 'failures'))))
    return keys.filter((_, i) => failures[i])
  }
  const waitingUntil = async () =>
    Math.max(...(await Promise.all((await waiting()).map(async (key) => Number(await redis.hget(key, 'until'))))))
  const waitUntil = async (ms: number) => {
    for (const key of await waiting()) await redis.hset(key, 'until', ms)
  }

  it('of many at once by one client one is compared', async () => {
    const { id, token } = await shared({ password })
    const ip = from(freshIp())
    // As if many had gone before, so that nobody can wait until the next.
    await unlock(token, { password: 'wrong' }, ip)
    for (const key of await waiting()) await redis.hset(key, { failures: 6, until: 0 })
    const answers = await Promise.all(Array.from({ length: 40 }, () => unlock(token, { password: 'wrong' }, ip)))
    const statuses = answers.map(({ status }) => status).sort()
    expect(statuses).toEqual([403, ...Array(39).fill(429)])
    expect(await sql(`SELECT FROM event WHERE resource_id = $1 AND type = 'refused'`, [id])).toHaveLength(2)
  })

  it('by many clients keeps nobody out', async () => {
    const { token } = await shared({ password })
    for (let i = 0; i < 30; i++) expect((await unlock(token, { password: 'wrong' })).status).toBe(403)
    expect((await unlock(token, { password })).status).toBe(200)
  })

  it('by a hundred clients keeps all others waiting: no password is guessed by many addresses either', async () => {
    const { token } = await shared({ password })
    expect((await unlock(token, { password: 'wrong' })).status).toBe(403)
    const keys = await redis.keys(`${prefix}:limits:password-link:*`)
    for (const key of keys) await redis.set(key, 99, 'KEEPTTL')
    expect((await unlock(token, { password: 'wrong' })).status).toBe(403)
    const late = await unlock(token, { password })
    expect([late.status, Number(late.headers.get('retry-after')) > 60]).toEqual([429, true])
    for (const key of keys) await redis.del(key)
  })

  it('M3: a token that is bound to an organization is a client like others, whomever it names', async () => {
    const { token } = await shared({ password })
    const { id: organization } = (await call('POST', '/v1/organizations', { name: 'Guessers' })).body
    const { body } = await call('POST', '/v1/api-tokens', {
      name: 'guess',
      scopes: ['share-links:write'],
      organization,
    })
    const bound = { authorization: `Bearer ${body.token}` }
    const named = await call('POST', '/v1/share-links/unlock', { token, password, client: 'ada' }, bound)
    expect([named.status, named.body.field]).toEqual([422, 'client'])
    const guess = (ip: Record<string, string>) =>
      call('POST', '/v1/share-links/unlock', { token, password: 'wrong' }, { ...bound, ...ip })
    const ip = from(freshIp())
    expect((await guess(ip)).status).toBe(403)
    await waitUntil((await redisTime()) + 30_000)
    expect((await guess(ip)).status).toBe(429)
  })

  it('through the host application has the client wait whom it names', async () => {
    const { token } = await shared({ password })
    const tried = async (client: string, typed: string) =>
      (await call('POST', '/v1/share-links/unlock', { token, password: typed, client })).status
    expect(await tried('ada', 'wrong')).toBe(403)
    await waitUntil((await redisTime()) + 30_000)
    expect([await tried('ada', password), await tried('bo', password)]).toEqual([429, 200])
  })

  it('I6: and the right one too, stand nowhere: not in the database, the log, events or answers', async () => {
    const secret = 'Canary-Password-7193'
    const { id, token } = await shared({ password: secret })
    await call('POST', '/v1/share-links', { title: 'x', password: secret }, { 'idempotency-key': 'canary' })
    const { pass } = (await unlock(token, { password: secret }, { 'idempotency-key': 'canary' })).body
    expect((await unlock(token, { password: `${secret}-wrong` })).status).toBe(403)
    await call('GET', `/share-links/open?token=${token}`)
    const tables = await sql(`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`)
    const dump = await Promise.all(tables.map(({ name }: Body) => sql(`SELECT t::text AS row FROM "${name}" t`)))
    const places = {
      database: JSON.stringify(dump),
      log: lines.join(''),
      events: (await call('GET', `/v1/events?resource_id=${id}`)).text,
      resource: (await call('GET', `/v1/resources/${id}`)).text,
      link: (await call('GET', `/v1/share-links/${id}`)).text,
      redis: JSON.stringify(await redis.keys('*')),
    }
    const hidden = [secret, token.slice(-49, -6), pass, pass.slice(41), 'argon2']
    for (const [place, text] of Object.entries(places))
      for (const one of hidden.slice(0, place === 'database' ? 4 : 5))
        expect([place, one, text.length > 2 && text.includes(one)]).toEqual([place, one, false])
    // A plain hash of a request with a password in it would give it away to whoever can guess.
    expect(places.database).toContain('canary')
  })
})
