import { beforeAll, describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'
import { machines } from './operations.ts'
import { behindProxy, people } from './people.ts'

let api: Awaited<ReturnType<typeof testApi>>
let all: ReturnType<typeof people>
beforeAll(async () => {
  api = await testApi({ env: behindProxy })
  all = people(api)
})

let count = 0
const fresh = (): string => `person-${++count}@example.com`
const request = (body: object, headers?: Record<string, string>) =>
  api.call('POST', '/v1/verifications', { deliver: 'return', ...body }, headers)
const consume = (body: object, headers?: Record<string, string>) =>
  api.call('POST', '/v1/verifications/consume', body, headers)
const statusOf = async (id: string): Promise<string> => (await api.call('GET', `/v1/resources/${id}`)).body.status

describe('a token', () => {
  const returned = (scopes: string[], deliver: string | undefined, purpose: string) =>
    machines(api)
      .machine({ scopes })
      .then(({ ask }) => ask('POST', '/v1/verifications', { purpose, email: fresh(), deliver }))

  it.each(['sign-in', 'confirm-email', 'reset-password', 'code'])(
    'is given the secret of %s only with a scope of its own',
    async (purpose) => {
      const written = () => api.sql(`SELECT count(*) FROM event WHERE kind = 'verification'`)
      const before = await written()
      const { status, body } = await returned(['verifications:write', 'verifications:read'], 'return', purpose)
      expect([status, body.code, body.field]).toEqual([403, 'forbidden', 'deliver'])
      expect(body.detail).toContain('verifications:return')
      expect(await written()).toEqual(before)
      for (const scopes of [['verifications:write', 'verifications:return'], ['*']]) {
        const { status, body } = await returned(scopes, 'return', purpose)
        expect([status, typeof (body.token ?? body.code)]).toEqual([201, 'string'])
      }
    },
  )

  it('needs no such scope to have it mailed, and can do nothing with that scope alone', async () => {
    const link = 'https://app.example.com/#{token}'
    for (const deliver of ['mail', undefined]) {
      const { ask } = await machines(api).machine({ scopes: ['verifications:write'] })
      expect(
        (await ask('POST', '/v1/verifications', { purpose: 'sign-in', email: fresh(), deliver, link })).status,
      ).toBe(201)
    }
    expect((await returned(['verifications:return'], 'return', 'sign-in')).status).toBe(403)
  })
})

describe('asking', () => {
  it.each([
    ['sign-in', 600],
    ['confirm-email', 86_400],
    ['reset-password', 1_800],
    ['code', 600],
  ])('%s is good for %i seconds, and its secret is shown once', async (purpose, seconds) => {
    const email = `Some.Body-${++count}@Example.com`
    const { status, headers, body } = await request({ purpose, email })
    expect([status, headers.get('location')]).toEqual([201, `/v1/resources/${body.id}`])
    expect(body).toMatchObject({ status: 'active', word: 'pending', purpose, email, timer: 'armed' })
    expect(Date.parse(body.expires_at) - Date.parse(body.issued_at)).toBe(seconds * 1_000)
    const { token, code } = body
    if (purpose === 'code') expect([token, code]).toEqual([undefined, expect.stringMatching(/^\d{8}$/)])
    else expect([token, code]).toEqual([expect.stringMatching(/^lps_verification_[0-9A-Za-z]{65}$/), undefined])
    const stored = JSON.stringify(await api.everything())
    expect(stored).not.toContain(token ?? code)
  })

  it('repeated under its Idempotency-Key it comes without the secret, which is stored nowhere', async () => {
    for (const purpose of ['reset-password', 'code']) {
      const ask = () => request({ purpose, email: `${purpose}@example.com` }, { 'idempotency-key': purpose })
      const [first, second] = [await ask(), await ask()]
      const { token, code, ...rest } = first.body
      expect([second.status, second.body]).toEqual([201, rest])
      const answers = JSON.stringify(await api.sql('SELECT answer FROM idempotency_key'))
      expect(answers).not.toContain(token ?? code)
    }
  })

  it('mails it, to a page of one’s own where there is none of ours; the answer has no secret', async () => {
    const [reset, code] = [fresh(), fresh()]
    const link = 'https://app.example.com/new-password#{token}'
    const asked = await request({ purpose: 'reset-password', email: reset, deliver: 'mail', link })
    await request({ purpose: 'code', email: code, deliver: 'mail' })
    expect([asked.status, 'token' in asked.body]).toEqual([201, false])
    const mails = await all.mail()
    const textTo = (email: string) => mails.find(({ to }) => to.includes(email))?.text ?? ''
    const [, token] = /https:\/\/app\.example\.com\/new-password#(\w+)/.exec(textTo(reset)) ?? []
    expect((await consume({ token, purpose: 'reset-password' })).status).toBe(200)
    const [digits] = /\d{8}/.exec(textTo(code)) ?? []
    expect((await consume({ email: code, code: digits })).status).toBe(200)
    const nowhere = await request({ purpose: 'reset-password', email: reset, deliver: 'mail' })
    expect(nowhere.body).toMatchObject({ status: 422, field: 'link' })
  })

  it('no more than five mails an hour to one address, however it is spelled; what is not mailed goes on', async () => {
    const email = fresh()
    const ask = (body: object = {}) => request({ purpose: 'code', email, deliver: 'mail', ...body })
    for (let i = 0; i < 5; i++) expect((await ask()).status).toBe(201)
    const { status, headers, body } = await ask({ email: email.toUpperCase() })
    expect([status, body.code]).toEqual([429, 'too_soon'])
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await ask({ deliver: 'return' })).status).toBe(201)
    expect((await ask({ email: fresh() })).status).toBe(201)
  })

  it.each([
    ['another purpose', { purpose: 'fun' }, 'purpose'],
    ['no address', { email: 'ada@' }, 'email'],
    ['a link without its token', { link: 'https://app.example.com/' }, 'link'],
    ['a link that is a script', { link: 'javascript:alert("{token}")' }, 'link'],
    ['an unknown field', { mail: true }, 'mail'],
  ])('%s is a 422, and nothing is written', async (_, wrong, field) => {
    const before = await api.everything()
    const { body } = await request({ purpose: 'reset-password', email: fresh(), ...wrong })
    expect(body).toMatchObject({ status: 422, field })
    expect(await api.everything()).toEqual(before)
  })

  it('takes the root token: nobody gets 401, and a session 403', async () => {
    const ada = await all.signedIn(fresh())
    for (const path of ['/v1/verifications', '/v1/verifications/consume']) {
      expect((await all.ask('POST', path, {})).body).toMatchObject({ status: 401, code: 'unauthorized' })
      expect((await ada.ask('POST', path, {})).body).toMatchObject({ status: 403, code: 'forbidden' })
    }
  })
})

describe('using', () => {
  it('a token, once, for what it is for: the user with that address is verified by it', async () => {
    const user = await all.user(fresh(), { verified: false })
    const { token, id } = (await request({ purpose: 'confirm-email', email: user.email.toUpperCase() })).body
    const { status, body } = await consume({ token, purpose: 'confirm-email' })
    expect([status, body]).toEqual([
      200,
      {
        purpose: 'confirm-email',
        email: user.email.toUpperCase(),
        user: { ...user, verified_at: expect.any(String), changed_at: expect.any(String) },
      },
    ])
    expect(await statusOf(id)).toBe('consumed')
    expect((await consume({ token, purpose: 'confirm-email' })).status).toBe(404)
  })

  it('one for which there is no user proves the address all the same', async () => {
    const email = fresh()
    const { token } = (await request({ purpose: 'confirm-email', email })).body
    expect((await consume({ token, purpose: 'confirm-email' })).body).toEqual({
      purpose: 'confirm-email',
      email,
      user: null,
    })
  })

  it('a code, as it was typed; the fifth wrong one locks it', async () => {
    const email = fresh()
    const { code } = (await request({ purpose: 'code', email })).body
    const typed = ` ${code.slice(0, 4)}-${code.slice(4)} `
    expect((await consume({ email: email.toUpperCase(), code: typed })).body).toMatchObject({ purpose: 'code', email })
    const again = (await request({ purpose: 'code', email })).body
    const wrong = again.code.replace(/./g, (digit: string) => String(9 - Number(digit)))
    // Under a key too each one counts, for what was denied is kept with its event.
    for (let i = 0; i < 5; i++) await consume({ email, code: wrong }, { 'idempotency-key': `guess-${i}` })
    expect((await consume({ email, code: again.code })).status).toBe(404)
    expect(await statusOf(again.id)).toBe('revoked')
  })

  it('40 wrong ones at once: five are counted', async () => {
    const email = fresh()
    const { id, code } = (await request({ purpose: 'code', email })).body
    const wrong = code.replace(/./g, (digit: string) => String(9 - Number(digit)))
    const answers = await Promise.all(Array.from({ length: 40 }, () => consume({ email, code: wrong })))
    // Who has waited too long for the row was not counted, and is told so.
    expect(new Set(answers.map(({ status }) => status).filter((status) => status !== 503))).toEqual(new Set([404]))
    for (let left = 5; left > 0; left--) await consume({ email, code: wrong })
    expect(await api.sql('SELECT attempts, status FROM resource WHERE id = $1', [id])).toEqual([
      { attempts: 5, status: 'revoked' },
    ])
  })

  it('a new password signs out everywhere', async () => {
    const ada = await all.signedIn(fresh())
    const { token } = (await request({ purpose: 'reset-password', email: ada.user.email })).body
    expect((await ada.ask('GET', '/v1/sessions/current')).status).toBe(200)
    expect((await consume({ token, purpose: 'reset-password' })).body.user.id).toBe(ada.user.id)
    expect((await ada.ask('GET', '/v1/sessions/current')).status).toBe(401)
  })

  it('under its Idempotency-Key it is used once, and answered again', async () => {
    const { token } = (await request({ purpose: 'reset-password', email: fresh() })).body
    const use = () => consume({ token, purpose: 'reset-password' }, { 'idempotency-key': 'use' })
    const [first, second] = [await use(), await use()]
    expect([first.status, second.status, second.text]).toEqual([200, 200, first.text])
    expect(second.headers.get('idempotent-replayed')).toBe('true')
  })

  it.each([
    ['nothing', {}, 'email'],
    ['a token without its purpose', { token: 'x' }, 'purpose'],
    ['an address without its code', { email: 'ada@example.com' }, 'code'],
    ['a code without its address', { code: '12345678' }, 'email'],
    ['both', { token: 'x', purpose: 'code', code: '12345678' }, 'code'],
    ['what is no address', { email: 'ada', code: '12345678' }, 'email'],
  ])('%s is a 422', async (_, body: Body, field) => {
    expect((await consume(body)).body).toMatchObject({ status: 422, field })
  })
})
