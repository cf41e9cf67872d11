import { createHmac } from 'node:crypto'
import { base64url, SignJWT } from 'jose'
import { describe, expect, it, vi } from 'vitest'
import { apiToken, createDomain, invite, session } from '../src/index.ts'
import { testMachines } from './machines.ts'
import { day, hour, minute, second } from './support.ts'
import { mixed } from './tokens.ts'

const stage = await testMachines([invite, session()])
const { age, apiTokens, company, created, domain, history, holding, lockWaiters } = stage
const { organizations, sql, url, users, verdict } = stage

const refused = (act: Promise<unknown>) =>
  act.then(
    () => 'done',
    (error) => ({ code: error.code, field: error.field, detail: error.detail }),
  )
const rowOf = async (id: string) =>
  (await sql<Record<string, unknown>>('SELECT * FROM resource WHERE id = $1', [id]))[0]

describe('creating', () => {
  it('shows the token once and keeps what proves it; for 90 days', async () => {
    const { token, apiToken: made, timer } = await created({ email: 'Ada@Example.com' })
    expect(token).toMatch(/^lps_api-token_[0-9A-Za-z]{65}$/)
    expect(timer).toBe('armed')
    expect(made.expiresAt.getTime() - made.issuedAt.getTime()).toBe(90 * day)
    expect(made.payload).toEqual({
      ...{ name: 'CI', scopes: ['trials:read'], email: 'Ada@Example.com', format: 'opaque', longLived: false },
    })
    expect(JSON.stringify(await rowOf(made.id))).not.toContain(token.slice(30, 60))
    expect(await sql(`SELECT data FROM event WHERE resource_id = $1 AND data::text ~* 'ada@'`, [made.id])).toEqual([])
  })

  it('365 days at most, unless it is said to be long-lived: then ten years', async () => {
    const tooLong = { code: 'lifetime_too_long', field: 'expires_in', detail: expect.stringContaining('long_lived') }
    expect(await refused(created({ expiresInMs: 366 * day }))).toEqual(tooLong)
    expect(await refused(created({ expiresInMs: 3651 * day, longLived: true }))).toMatchObject(tooLong)
    const { apiToken: made } = await created({ expiresInMs: 3650 * day, longLived: true })
    expect(made.expiresAt.getTime() - made.issuedAt.getTime()).toBe(3650 * day)
    const { apiToken: year } = await created({ expiresInMs: 364 * day })
    expect(await refused(apiTokens.renew(year.id, { expiresInMs: 366 * day }))).toMatchObject({
      ...tooLong,
      detail: expect.any(String),
    })
  })

  it.each([
    ['no scope', { scopes: [] }, 'scopes'],
    ['a scope without an act', { scopes: ['trials:read', 'trials'] }, 'scopes.1'],
    ['a scope in capitals', { scopes: ['Trials:read'] }, 'scopes.0'],
    ['51 scopes', { scopes: Array.from({ length: 51 }, (_, i) => `a${i}:read`) }, 'scopes'],
    ['a name of two lines', { name: 'a\nb' }, 'name'],
    ['no name', { name: ' ' }, 'name'],
    ['no address', { email: 'ada' }, 'email'],
    ['a rate of nothing', { rateLimit: { requests: 0, seconds: 1 } }, 'rate_limit'],
    ['an organization that there is not', { organization: 'nobody' }, 'organization'],
  ])('%s is refused, naming the field', async (_, wrong, field) => {
    expect(await refused(created(wrong))).toMatchObject({ field, detail: expect.any(String) })
  })

  it('a host’s own scopes and * are taken; the same twice counts once', async () => {
    const { apiToken: made } = await created({ scopes: ['invoices:read', '*', 'invoices:read'] })
    expect(made.payload.scopes).toEqual(['invoices:read', '*'])
  })

  it('tells its owner 14, 3 and 1 days before the end, and of the end', async () => {
    const { apiToken: made } = await created({ email: 'ada@example.com' })
    for (const days of [76.5, 10.7, 2, 1]) {
      await age(made.id, days * day)
      await domain.advance({ trigger: 'sweep' })
    }
    const mails = await domain.deliveries.list({ resourceId: made.id, channel: 'email' })
    expect(mails.map(({ event }) => event).reverse()).toEqual([
      ...['reminded:1209600', 'reminded:259200', 'reminded:86400', 'expired'],
    ])
  })
})

describe('verifying', () => {
  it('answers a status for each of its fates', async () => {
    const [good, old, gone] = [await created(), await created(), await created()]
    const organization = await company()
    const blocked = await created({ organization: organization.id })
    await age(old.apiToken.id, 91 * day)
    await apiTokens.revoke(gone.apiToken.id)
    await organizations.suspend(organization.id)
    expect(await verdict(good.token)).toBe('valid')
    expect(await verdict(good.token, ['trials:read'])).toBe('valid')
    expect(await apiTokens.verify(good.token, { scopes: ['trials:read', 'trials:write'] })).toMatchObject({
      ...{ status: 'out_of_scope', missing: ['trials:write'] },
    })
    expect(await verdict(old.token)).toBe('expired')
    expect(await verdict(gone.token)).toBe('revoked')
    expect(await verdict(blocked.token)).toBe('suspended')
    await organizations.restore(organization.id)
    expect(await verdict(blocked.token)).toBe('valid')
    await organizations.delete(organization.id)
    expect(await verdict(blocked.token)).toBe('revoked')
  })

  it('two hundred at once, good ones, ended ones and any text among them, get each its own verdict', async () => {
    const [good, old, gone] = [await created(), await created(), await created()]
    await age(old.apiToken.id, 91 * day)
    await apiTokens.revoke(gone.apiToken.id)
    const fates = [
      ...[
        { token: good.token, status: 'valid', id: good.apiToken.id },
        { token: old.token, status: 'expired', id: old.apiToken.id },
      ],
      ...[
        { token: gone.token, status: 'revoked', id: gone.apiToken.id },
        { token: 'any text', status: 'unknown', id: undefined },
      ],
      { token: mixed(good.token, old.token), status: 'unknown', id: undefined },
    ]
    const asked = Array.from({ length: 40 }, () => fates).flat()
    const verdicts = await Promise.all(asked.map(({ token }) => apiTokens.verify(token)))
    const told = verdicts.map((one) => ({ status: one.status, id: 'apiToken' in one ? one.apiToken.id : undefined }))
    expect(told).toEqual(asked.map(({ status, id }) => ({ status, id })))
  })

  it('what is over and was not swept is lapsed on the way, once', async () => {
    const { token, apiToken: made } = await created()
    await age(made.id, 91 * day)
    expect([await verdict(token), await verdict(token)]).toEqual(['expired', 'expired'])
    expect(await history(made.id)).toEqual(['issued', 'expired'])
    expect(await sql(`SELECT trigger::text FROM event WHERE resource_id = $1 AND type = 'expired'`, [made.id])).toEqual(
      [{ trigger: 'lazy' }],
    )
  })

  it('whatever is wrong with it, it is unknown', async () => {
    const { token, apiToken: made } = await created()
    const user = await users.create({ email: 'u@example.com', verified: true })
    const signedIn = await stage.sessions.issue({ userId: user.id })
    const other = await created()
    const patched = token.slice(0, 30) + other.token.slice(30)
    for (const wrong of [
      '',
      'x',
      token.slice(0, -1),
      `${token}0`,
      token.toUpperCase(),
      patched,
      made.id,
      signedIn.token,
    ])
      expect([wrong, await verdict(wrong)]).toEqual([wrong, 'unknown'])
    await sql('UPDATE resource SET verifier = sha256(verifier) WHERE id = $1', [made.id])
    expect(await verdict(token)).toBe('unknown')
  })

  it('of another organization than the one that asks, it is unknown, and not used by it', async () => {
    const [mine, theirs] = [await company(), await company()]
    const { token, apiToken: made } = await created({ organization: mine.id })
    expect(await apiTokens.verify(token, { organizationId: theirs.id })).toEqual({ status: 'unknown' })
    expect((await apiTokens.get(made.id)).lastUsedAt).toBeNull()
    expect((await apiTokens.verify(token, { organizationId: mine.id })).status).toBe('valid')
  })
})

describe('that it was used', () => {
  it('is written at most once a minute, of what is good only, and changes nothing else', async () => {
    const { token, apiToken: made } = await created()
    const before = await rowOf(made.id)
    await apiTokens.verify(token, { scopes: ['other:read'] })
    expect((await rowOf(made.id))?.last_used_at).toBeNull()
    await verdict(token)
    const first = await rowOf(made.id)
    expect(first).toEqual({ ...before, last_used_at: expect.any(Date) })
    await verdict(token)
    expect(await rowOf(made.id)).toEqual(first)
    await age(made.id, 61 * second)
    const idle = await rowOf(made.id)
    await verdict(token)
    expect(await rowOf(made.id)).not.toMatchObject({ last_used_at: idle?.last_used_at })
    await apiTokens.revoke(made.id)
    await age(made.id, 10 * minute)
    const revoked = await rowOf(made.id)
    expect(await verdict(token)).toBe('revoked')
    expect(await rowOf(made.id)).toEqual(revoked)
    expect(await history(made.id)).toEqual(['issued', 'revoked'])
  })

  it('never waits for whoever holds the row', async () => {
    const { token, apiToken: made } = await created()
    await holding(made.id, async () => {
      const somebodyWaits = lockWaiters(1).then(
        () => 'waits',
        () => 'nobody waits',
      )
      expect(await Promise.race([verdict(token), somebodyWaits])).toBe('valid')
    })
    expect((await rowOf(made.id))?.last_used_at).toBeNull()
  })
})

describe('rotating', () => {
  it('gives a new one that may do the same; the old one ends at once', async () => {
    const organization = await company()
    const about = { scopes: ['a:read', 'b:write'], email: 'ada@example.com', organization: organization.id }
    const old = await created({ ...about, rateLimit: { requests: 5, seconds: 60 } })
    const { token, apiToken: made } = await apiTokens.rotate(old.apiToken.id, {}, { actor: 'root' })
    expect(made.payload).toEqual({ ...old.apiToken.payload, rotationOf: old.apiToken.id })
    expect(made.organizationId).toBe(organization.id)
    expect([await verdict(token), await verdict(old.token)]).toEqual(['valid', 'revoked'])
    const [end] = await domain.events({ resourceId: old.apiToken.id, type: 'revoked' })
    expect(end).toMatchObject({ reason: 'rotated', actor: 'root' })
  })

  it('with an overlap the old one stays good for so long, tells nobody of its end, and is never renewed past it', async () => {
    const old = await created({ email: 'ada@example.com' })
    const { token } = await apiTokens.rotate(old.apiToken.id, { overlapMs: hour, expiresInMs: 2 * day })
    expect([await verdict(token), await verdict(old.token)]).toEqual(['valid', 'valid'])
    const left = await apiTokens.get(old.apiToken.id)
    expect(left.expiresAt.getTime() - left.seenAt.getTime()).toBeLessThanOrEqual(hour)
    expect(await refused(apiTokens.renew(left.id, { expiresInMs: 2 * hour }))).toMatchObject({
      ...{ code: 'lifetime_too_long', field: 'expires_in', detail: expect.stringContaining('Rotate it') },
    })
    await apiTokens.renew(left.id, { expiresInMs: 30 * minute })
    await age(left.id, hour)
    expect([await verdict(token), await verdict(old.token)]).toEqual(['valid', 'expired'])
    expect(await domain.deliveries.list({ resourceId: left.id })).toEqual([])
  })

  it('the overlap never outlives the old one’s end', async () => {
    const old = await created({ expiresInMs: hour })
    await apiTokens.rotate(old.apiToken.id, { overlapMs: day })
    expect((await apiTokens.get(old.apiToken.id)).expiresAt).toEqual(old.apiToken.expiresAt)
    expect(await refused(apiTokens.renew(old.apiToken.id, { expiresInMs: 2 * hour }))).toMatchObject({
      code: 'lifetime_too_long',
    })
  })

  it('once: a second rotation is refused and says which one took its place; nothing is left of it', async () => {
    for (const overlapMs of [0, hour]) {
      const old = await created()
      const { apiToken: made } = await apiTokens.rotate(old.apiToken.id, { overlapMs })
      const before = await sql('SELECT count(*) FROM resource')
      expect(await refused(apiTokens.rotate(old.apiToken.id, { overlapMs }))).toMatchObject({
        ...{ code: 'already_rotated', detail: expect.stringContaining(made.id) },
      })
      expect(await sql('SELECT count(*) FROM resource')).toEqual(before)
    }
  })

  it('what has ended, is suspended or unknown cannot be; an overlap is a day at most', async () => {
    const [ended, organization] = [await created(), await company()]
    await apiTokens.revoke(ended.apiToken.id)
    expect(await refused(apiTokens.rotate(ended.apiToken.id))).toMatchObject({ code: 'already_ended' })
    const blocked = await created({ organization: organization.id })
    await organizations.suspend(organization.id)
    expect(await refused(apiTokens.rotate(blocked.apiToken.id))).toMatchObject({ code: 'organization_not_active' })
    for (const id of ['x', '019abcde-0000-7000-8000-000000000001'])
      expect(await refused(apiTokens.rotate(id))).toMatchObject({ code: 'not_found' })
    const good = await created()
    for (const overlapMs of [-1, 500, day + 1, Number.NaN])
      expect(await refused(apiTokens.rotate(good.apiToken.id, { overlapMs }))).toMatchObject({ field: 'overlap' })
    expect(await verdict(good.token)).toBe('valid')
  })
})

describe('a JWT', () => {
  const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  const headerOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString())
  const part = (value: object) => base64url.encode(JSON.stringify(value))

  it('says what it is, and nothing of it is kept that proves it', async () => {
    const { token, apiToken: made } = await created({ format: 'jwt', scopes: ['a:read', 'b:write'] })
    expect(claimsOf(token)).toEqual({
      ...{ iss: 'lapse', sub: `token:${made.id}`, jti: made.id, scope: 'a:read b:write' },
      iat: Math.floor(made.issuedAt.getTime() / 1000),
      exp: Math.ceil(made.expiresAt.getTime() / 1000),
    })
    expect(headerOf(token)).toEqual({ alg: 'HS256', typ: 'JWT', kid: expect.stringMatching(/^[\w-]{8}$/) })
    expect(await rowOf(made.id)).toMatchObject({ selector: null, verifier: null })
    expect(await verdict(token, ['a:read'])).toBe('valid')
  })

  it('is looked up each time: revoked it is refused at once, though its exp is far', async () => {
    const { token, apiToken: made } = await created({ format: 'jwt' })
    expect(await verdict(token)).toBe('valid')
    await apiTokens.revoke(made.id)
    expect(await verdict(token)).toBe('revoked')
    const old = await created({ format: 'jwt' })
    await age(old.apiToken.id, 91 * day)
    expect(await verdict(old.token)).toBe('expired')
    await sql('DELETE FROM resource WHERE id = $1', [made.id])
    expect(await verdict(token)).toBe('unknown')
  })

  it('cannot be renewed past the end that stands in it; rotated it can', async () => {
    const { token, apiToken: made } = await created({ format: 'jwt', expiresInMs: hour })
    expect(await refused(apiTokens.renew(made.id, { expiresInMs: 2 * hour }))).toMatchObject({
      code: 'lifetime_too_long',
    })
    const rotated = await apiTokens.rotate(made.id, { expiresInMs: 2 * hour })
    expect([await verdict(token), await verdict(rotated.token)]).toEqual(['revoked', 'valid'])
  })

  it('the database’s clock decides, for exp too: that of this process may be years off', async () => {
    const { token } = await created({ format: 'jwt' })
    const { signer } = domain.secrets
    const over = await new SignJWT({ ...claimsOf(token), exp: Math.floor(Date.now() / 1000) - 3600 })
      .setProtectedHeader({ alg: 'HS256', kid: signer.id })
      .sign(signer.key)
    const real = Date.now()
    for (const years of [-2, 0, 2]) {
      vi.useFakeTimers({ toFake: ['Date'], now: real + years * 365 * day })
      const verdicts = [await verdict(token), await verdict(over)]
      vi.useRealTimers()
      expect([years, verdicts]).toEqual([years, ['valid', 'expired']])
    }
  })

  it('forged, altered, of another key or about something else it is unknown', async () => {
    const { token, apiToken: made } = await created({ format: 'jwt' })
    const opaque = await created()
    const [head = '', body = '', signature = ''] = token.split('.')
    const { signer } = domain.secrets
    const signed = (claims: object, header: object = {}, key: Uint8Array = signer.key, hash = 'sha256') => {
      const text = `${part({ alg: 'HS256', kid: signer.id, ...header })}.${part({ ...claimsOf(token), ...claims })}`
      return `${text}.${createHmac(hash, key).update(text).digest('base64url')}`
    }
    expect(await verdict(signed({}))).toBe('valid')
    const forged = {
      'without a signature': `${head}.${body}.`,
      'alg none': `${part({ alg: 'none', kid: signer.id })}.${body}.`,
      'alg none, signed': `${part({ alg: 'none', kid: signer.id })}.${body}.${signature}`,
      'RS256 with our key': signed({}, { alg: 'RS256' }),
      'HS384 with our key': signed({}, { alg: 'HS384' }, signer.key, 'sha384'),
      'HS512 with our key': signed({}, { alg: 'HS512' }, signer.key, 'sha512'),
      'another key under our id': signed({}, {}, Buffer.alloc(32, 7)),
      'a key that is not ours': signed({}, { kid: 'another1' }),
      'no key’s id': signed({}, { kid: undefined }),
      'another scope': `${head}.${part({ ...claimsOf(token), scope: '*' })}.${signature}`,
      'a later exp': `${head}.${part({ ...claimsOf(token), exp: 9_999_999_999 })}.${signature}`,
      'another issuer': signed({ iss: 'somebody' }),
      'no jti': signed({ jti: undefined }),
      'a jti that is no id': signed({ jti: "' OR 1=1 --" }),
      'the jti of an opaque token': signed({ jti: opaque.apiToken.id }),
      'the jti of nothing': signed({ jti: '019abcde-0000-7000-8000-000000000001' }),
      'a critical header': signed({}, { crit: ['x'], x: 1 }),
      'four parts': `${token}.x`,
      'no JSON': `${head}.${base64url.encode('no json')}.${signature}`,
      dots: '..',
    }
    for (const [what, one] of Object.entries(forged)) expect([what, await verdict(one)]).toEqual([what, 'unknown'])
    const user = await users.create({ email: 'jti@example.com', verified: true })
    const { session: other } = await stage.sessions.issue({ userId: user.id })
    expect(await verdict(signed({ jti: other.id }))).toBe('unknown')
    expect((await apiTokens.get(made.id)).status).toBe('active')
  })

  it('all of our keys are tried, so that they can be changed one after the other', async () => {
    const { token } = await created({ format: 'jwt' })
    const [first, second] = ['a key for the tests of the domain alone', 'the key that came after it, as long as this']
    const open = (secrets: string[]) => createDomain({ url, kinds: [apiToken], secrets })
    const statuses: string[] = []
    for (const secrets of [[second, first], [second], []]) {
      const other = open(secrets)
      const verbs = other.ownVerbs(async () => true)
      statuses.push((await verbs.apiTokens.verify(token)).status)
      if (secrets.length === 0)
        expect(await refused(verbs.apiTokens.create({ name: 'CI', scopes: ['*'], format: 'jwt' }))).toMatchObject({
          ...{ code: 'not_configured', detail: expect.stringContaining('LAPSE_SECRET') },
        })
      await other.close()
    }
    expect(statuses).toEqual(['valid', 'unknown', 'unknown'])
  })
})
