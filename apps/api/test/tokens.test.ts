import Fastify from 'fastify'
import { LapseError } from 'lapse'
import { beforeAll, describe, expect, it } from 'vitest'
import { sendProblem } from '../src/http/errors.ts'
import { type Answer, type Body, testApi } from './api.ts'
import { behindProxy, freshIp, people } from './people.ts'

let api: Awaited<ReturnType<typeof testApi>>
let all: ReturnType<typeof people>
beforeAll(async () => {
  api = await testApi({ env: behindProxy })
  all = people(api)
})

/** All that can be seen of an answer, but for when it was given. */
const seen = ({ status, headers, text }: Answer) => {
  const { date, ...rest } = Object.fromEntries(headers)
  return { status, headers: rest, text }
}

const theOne = {
  type: 'urn:lapse:problem:token_not_valid',
  title: 'This is not valid, or not any more.',
  status: 404,
  code: 'token_not_valid',
}

/** The token of another of its kind with its own beginning, so that it is found and does not fit. */
const spoil = (id: string) =>
  api.sql(`UPDATE resource SET verifier = sha256(verifier) WHERE id = $1`, [id]).then(() => undefined)
const forget = (id: string) => api.sql('DELETE FROM resource WHERE id = $1', [id])
const withdraw = (id: string) => api.call('POST', `/v1/resources/${id}/revoke`)
const malformed = (token: string) => [
  'x',
  token.slice(0, -1),
  `${token}0`,
  token.replace(/.$/, (end) => (end === 'a' ? 'b' : 'a')),
  token.replace('lps_', 'lps_session_'),
]

describe('I4: whoever holds a token that is not good gets one answer, whatever the reason', () => {
  it('invites, with a session; the events tell the reasons apart', async () => {
    const email = 'grace@example.com'
    const grace = await all.signedIn(email)
    const answers: Answer[] = []
    const expected: string[] = []
    const failing = async (reason: string, end: (invite: Body, organization: Body) => Promise<unknown>) => {
      const organization = await all.organization()
      const invite = await all.invite(organization.id, email)
      await end(invite, organization)
      for (const verb of ['accept', 'decline']) {
        answers.push(await grace.ask('POST', `/v1/invites/${verb}`, { token: invite.token }))
        expected.push(reason)
      }
      return invite
    }
    const whole = await failing('unknown', ({ id }) => forget(id))
    await failing('wrong-secret', ({ id }) => spoil(id))
    await failing('expired', ({ id }) => api.age(id, 4 * 86_400))
    await failing('revoked', ({ id }) => api.call('POST', `/v1/invites/${id}/revoke`))
    await failing('superseded', ({ id }) => api.call('POST', `/v1/invites/${id}/resend`))
    await failing('declined', ({ token }) => grace.ask('POST', '/v1/invites/decline', { token }))
    await failing('suspended', (_, { id }) => api.call('POST', `/v1/organizations/${id}/suspend`))
    await failing('revoked', (_, { id }) => api.call('DELETE', `/v1/organizations/${id}`))
    // Used, and the member is gone: an old link lets nobody back in.
    await failing('consumed', async ({ token }) => {
      const { body } = await grace.ask('POST', '/v1/invites/accept', { token })
      await api.call('DELETE', `/v1/memberships/${body.membership.id}`)
    })
    for (const token of malformed(whole.token)) {
      answers.push(await grace.ask('POST', '/v1/invites/accept', { token }))
      expected.push('malformed')
    }
    // What is over is alike for those whom it was not for, and for the host application.
    const other = await all.signedIn('other@example.com')
    const over = await failing('revoked', ({ id }) => withdraw(id))
    answers.push(await other.ask('POST', '/v1/invites/accept', { token: over.token }))
    answers.push(await api.call('POST', '/v1/invites/accept', { token: over.token, email }))
    // By an id, which is no secret, nobody learns even that there is such an invite.
    const live = await all.invite((await all.organization()).id, email)
    for (const id of [over.id, 'x', '019abcde-0000-7000-8000-000000000001'])
      answers.push(await grace.ask('POST', `/v1/invites/${id}/accept`))
    answers.push(await other.ask('POST', `/v1/invites/${live.id}/accept`))
    expected.push('revoked', 'revoked', 'revoked', 'unknown', 'unknown', 'other-address')

    for (const answer of answers) expect(seen(answer)).toEqual(seen(answers[0] as Answer))
    expect(JSON.parse(answers[0]?.text ?? '')).toEqual(theOne)
    expect(answers[0]?.headers.get('cache-control')).toBe('no-store')
    expect(answers[0]?.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(await all.reasons('invite')).toEqual(expected)
  })

  it('magic links, without a session; and they are no other kind’s tokens', async () => {
    const answers: Answer[] = []
    const expected: string[] = []
    const open = async (token: string, reason: string) => {
      answers.push(await all.ask('POST', '/v1/sessions', { token }))
      expected.push(reason)
    }
    let count = 0
    const failing = async (reason: string, end: (link: Body, email: string) => Promise<unknown>) => {
      const email = `link-${++count}@example.com`
      const link = await ask('sign-in', email)
      await end(link, email)
      await open(link.token, reason)
      return link.token
    }
    const whole = await failing('unknown', ({ id }) => forget(id))
    await failing('wrong-secret', ({ id }) => spoil(id))
    await failing('expired', ({ id }) => api.age(id, 601))
    await failing('revoked', ({ id }) => withdraw(id))
    await failing('superseded', (_, email) => ask('sign-in', email))
    await failing('consumed', async ({ token }, email) => {
      await all.user(email)
      expect((await all.ask('POST', '/v1/sessions', { token })).status).toBe(201)
    })
    // Of nobody's address, without an invite: used up, and nobody is signed in.
    await open((await ask('sign-in', 'nobody@example.com')).token, 'unknown-address')
    await failing('revoked', async (_, email) => {
      const { id } = await all.user(email)
      await api.call('DELETE', `/v1/users/${id}`)
    })
    for (const token of malformed(whole)) await open(token, 'malformed')
    await open((await all.invite((await all.organization()).id, 'a@example.com')).token, 'malformed')
    await open((await ask('confirm-email', 'confirm@example.com')).token, 'wrong-purpose')

    for (const answer of answers) expect(seen(answer)).toEqual(seen(answers[0] as Answer))
    expect(JSON.parse(answers[0]?.text ?? '')).toEqual(theOne)
    expect(await all.reasons('verification')).toEqual(expected)
  })

  it('verifications, by token and by code, and all kinds alike', async () => {
    const before = (await all.reasons('verification')).length
    const answers: Answer[] = []
    const expected: string[] = []
    const consume = async (body: object, reason: string) => {
      answers.push(await api.call('POST', '/v1/verifications/consume', body))
      expected.push(reason)
    }
    let count = 0
    const failing = async (reason: string, end: (link: Body, email: string) => Promise<unknown>) => {
      const email = `reset-${++count}@example.com`
      const reset = await ask('reset-password', email)
      await end(reset, email)
      await consume({ token: reset.token, purpose: 'reset-password' }, reason)
    }
    await failing('unknown', ({ id }) => forget(id))
    await failing('wrong-secret', ({ id }) => spoil(id))
    await failing('expired', ({ id }) => api.age(id, 1_801))
    await failing('revoked', ({ id }) => withdraw(id))
    await failing('superseded', (_, email) => ask('reset-password', email))
    await failing('consumed', ({ token }) => use(token))
    await consume({ token: 'x', purpose: 'reset-password' }, 'malformed')
    const { token } = await ask('confirm-email', 'confirm-too@example.com')
    await consume({ token, purpose: 'reset-password' }, 'wrong-purpose')

    await consume({ email: 'nobody@example.com', code: '12345678' }, 'unknown')
    const [wrong, over, used] = await Promise.all(
      ['wrong', 'over', 'used'].map((name) => ask('code', `${name}@example.com`)),
    )
    const not = (code: string) => code.replace(/./g, (digit) => String(9 - Number(digit)))
    for (let i = 0; i < 5; i++) await consume({ email: wrong.email, code: not(wrong.code) }, 'wrong-code')
    // The right one comes too late.
    await consume({ email: wrong.email, code: wrong.code }, 'locked')
    await api.age(over.id, 601)
    await consume({ email: over.email, code: over.code }, 'expired')
    await api.call('POST', '/v1/verifications/consume', { email: used.email, code: used.code })
    await consume({ email: used.email, code: used.code }, 'consumed')

    const link = await all.ask('POST', '/v1/sessions', { token: 'x' })
    for (const answer of answers) expect(seen(answer)).toEqual(seen(link))
    expect((await all.reasons('verification')).slice(before, -1)).toEqual(expected)
  })

  it('the same again under an Idempotency-Key, which marks the repetition and nothing else', async () => {
    await all.user('twice@example.com')
    const { token } = await ask('sign-in', 'twice@example.com')
    await all.ask('POST', '/v1/sessions', { token })
    const again = () => all.ask('POST', '/v1/sessions', { token }, { 'idempotency-key': 'twice' })
    const [first, second] = [seen(await again()), seen(await again())]
    expect(first).toEqual(seen(await all.ask('POST', '/v1/sessions', { token: 'x' })))
    expect(second.headers['idempotent-replayed']).toBe('true')
    expect(second.text).toBe(first.text)
  })

  it('guessing leads to 429, for right tokens too, which reveals nothing; another address goes on', async () => {
    const ip = freshIp()
    const guess = (token: string, from = ip) => all.ask('POST', '/v1/sessions', { token }, { 'x-forwarded-for': from })
    for (let i = 0; i < 20; i++) expect((await guess('x')).status).toBe(404)
    await all.user('patient@example.com')
    const { token } = await ask('sign-in', 'patient@example.com')
    const [wrong, right] = [await guess('x'), await guess(token)]
    for (const { status, body, headers } of [wrong, right]) {
      expect([status, body.code]).toEqual([429, 'too_many'])
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(800)
    }
    const alike = ({ body }: Answer) => ({ ...body, instance: '' })
    expect(alike(right)).toEqual(alike(wrong))
    expect((await guess(token, freshIp())).status).toBe(201)
  })

  it('guessing at one token is limited from all addresses together, and what was right is given back', async () => {
    const organization = await all.organization()
    const grace = await all.signedIn('limits@example.com')
    const { token } = await all.invite(organization.id, 'limits@example.com')
    const accept = (given: string) => grace.ask('POST', '/v1/invites/accept', { token: given })
    const wrong = token.replace(/.$/, (end: string) => (end === 'a' ? 'b' : 'a'))
    for (let i = 0; i < 9; i++) expect((await accept(wrong)).status).toBe(404)
    for (let i = 0; i < 5; i++) expect((await accept(token)).status).toBe(200)
    expect((await accept(wrong)).status).toBe(404)
    expect((await accept(token)).status).toBe(429)
  })

  it('tokens of sessions that have ended are nobody’s; guessing leads to 429, an open tab does not', async () => {
    const ada = await all.signedIn('ended@example.com')
    await ada.ask('POST', `/v1/sessions/${ada.session.id}/revoke`)
    const gone = await all.signedIn('gone@example.com')
    await forget(gone.session.id)
    const answers = [
      await ada.ask('GET', '/v1/sessions/current'),
      await gone.ask('GET', '/v1/sessions/current'),
      await all.ask('GET', '/v1/sessions/current'),
      await all.ask('GET', '/v1/sessions/current', undefined, { authorization: 'Bearer lps_session_x' }),
    ]
    for (const answer of answers) {
      expect({ ...answer.body, instance: '' }).toEqual({ ...answers[0]?.body, instance: '' })
      expect([answer.status, answer.body.code]).toEqual([401, 'signed_out'])
      expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="lapse"')
    }
    const ip = { 'x-forwarded-for': freshIp() }
    for (let i = 0; i < 31; i++) expect((await ada.ask('GET', '/v1/sessions/current', undefined, ip)).status).toBe(401)
    const guess = () =>
      all.ask('GET', '/v1/sessions/current', undefined, { ...ip, authorization: 'Bearer lps_session_x' })
    for (let i = 0; i < 30; i++) expect((await guess()).status).toBe(401)
    expect((await guess()).status).toBe(429)
  })

  it('whatever route refuses it, described or not', async () => {
    const app = Fastify()
    app.setErrorHandler(sendProblem)
    app.get('/', () => {
      throw new LapseError('token_not_valid', { detail: 'a reason that nobody is told' })
    })
    const { statusCode, headers, body } = await app.inject('/')
    const told = await all.ask('POST', '/v1/sessions', { token: 'x' })
    expect([statusCode, headers['content-type'], body]).toEqual([404, told.headers.get('content-type'), told.text])
    expect(headers['cache-control']).toBe('no-store')
  })

  it('every outcome is counted, under no address', async () => {
    const { text } = await api.call('GET', '/metrics')
    expect(text).toMatch(/lapse_redemptions_total\{kind="invite",outcome="denied"\} \d+/)
    expect(text).toMatch(/lapse_redemptions_total\{kind="invite",outcome="joined"\} \d+/)
    expect(text).toMatch(/lapse_redemptions_total\{kind="verification",outcome="denied"\} \d+/)
    expect(text).not.toContain('@example.com')
  })
})

const ask = async (purpose: string, email: string): Promise<Body> =>
  (await api.call('POST', '/v1/verifications', { purpose, email, deliver: 'return' })).body

const use = (token: string) => api.call('POST', '/v1/verifications/consume', { token, purpose: 'reset-password' })
