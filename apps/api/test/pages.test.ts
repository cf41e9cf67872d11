import { stopwatch, until } from '@lapse/testkit'
import { beforeAll, describe, expect, it } from 'vitest'
import { contentSecurityPolicy } from '../src/pages/layout.ts'
import { type Answer, type Body, breakableWay, testApi } from './api.ts'
import { behindProxy, freshIp, people } from './people.ts'

let api: Awaited<ReturnType<typeof testApi>>
let all: ReturnType<typeof people>
const log: string[] = []
beforeAll(async () => {
  api = await testApi({ env: behindProxy, log: (line) => log.push(line) })
  all = people(api)
})

const name = '__Host-lapse_session'
const cookieOf = (token: string) => ({ cookie: `${name}=${token}` })
type Headers = Record<string, string | undefined>

/** Without those that are undefined. */
const given = (headers: Headers) => JSON.parse(JSON.stringify(headers))

/** As a browser opens a page. */
const open = (path: string, headers: Headers = {}, method = 'GET'): Promise<Answer> =>
  all.ask(method, path, undefined, given({ 'sec-fetch-site': 'none', ...headers }))

/** As a browser submits a form of ours. */
const submit = (path: string, fields: Record<string, string> = {}, headers: Headers = {}): Promise<Answer> => {
  const form = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' }
  return all.ask('POST', path, new URLSearchParams(fields).toString(), given({ ...form, ...headers }))
}

/** All that can be seen of an answer, but for when it was given, and for what only the connection is told. */
const seen = ({ status, headers, text }: Answer) => {
  const { date, connection, 'keep-alive': _, ...rest } = Object.fromEntries(headers)
  return { status, headers: rest, text }
}

const inviteUrl = (token: string) => `/invites/open?token=${token}`
const heading = (text: string) => /<h1[^>]*>(.*?)<\/h1>/s.exec(text)?.[1]?.replace(/<[^>]+>/g, '')
const everything = async () => JSON.stringify([await api.everything(), await api.directory()])

let last = 0
const fresh = () => `person-${++last}@example.com`

/** Somebody who is invited to an organization of their own, and signed in. */
const invited = async (more: object = {}) => {
  const email = fresh()
  const organization = await all.organization({ name: `Organization ${last}` })
  const [invite, person] = [await all.invite(organization.id, email, more), await all.signedIn(email)]
  return { organization, invite, person, email, url: inviteUrl(invite.token), cookie: cookieOf(person.token) }
}

const verification = async (purpose: 'sign-in' | 'confirm-email', email = fresh()) => {
  // Nobody signs in whom nobody knows.
  await api.call('POST', '/v1/users', { email, verified: true })
  const { token = '', verification: made } = await api.lapse.verifications.request({
    ...{ purpose, email, deliver: 'return' },
  })
  return { token, id: made.id, email, url: `${purpose === 'sign-in' ? '/sign-in/open' : '/confirm'}?token=${token}` }
}

const status = async (id: string) => (await api.lapse.get(id)).status

describe('I3: scanners that open a link use nothing up; only the click does', () => {
  const scan = (url: string, headers: Headers = {}) =>
    Promise.all(Array.from({ length: 20 }, (_, i) => open(url, headers, i % 2 ? 'HEAD' : 'GET')))

  it.each([
    [
      'an invite, to who is signed in',
      async () => (await invited()) as { url: string; cookie?: Headers; invite?: Body },
    ],
    ['a link to sign in', () => verification('sign-in')],
    ['a link to confirm an address', () => verification('confirm-email')],
  ])('%s', async (_, make) => {
    const made: Body = await make()
    const id = made.invite?.id ?? made.id
    const before = await everything()
    const answers = await scan(made.url, made.cookie)
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200))
    expect(new Set(answers.map(({ text }) => text))).toEqual(new Set([answers[0]?.text, '']))
    expect(await everything()).toBe(before)
    const used = await submit(made.url, { action: 'join' }, made.cookie)
    expect([200, 303]).toContain(used.status)
    expect(await status(id)).toBe('consumed')
  })

  it('an invite, to who is not', async () => {
    const { url, cookie, invite } = await invited()
    const before = await everything()
    const [first, ...others] = await scan(url)
    expect([first?.status, heading(first?.text ?? '')]).toEqual([200, 'You have been invited'])
    for (const { status } of others) expect(status).toBe(200)
    expect(await everything()).toBe(before)
    // Nor does the button, as long as nobody is signed in.
    expect((await submit(url, { action: 'join' })).text).toBe(first?.text)
    expect(await everything()).toBe(before)
    expect((await submit(url, { action: 'join' }, cookie)).status).toBe(200)
    expect(await status(invite.id)).toBe('consumed')
  })
})

describe('I4: a link that is not good shows one page, whatever the reason', () => {
  const forget = (id: string) => api.sql('DELETE FROM resource WHERE id = $1', [id])
  const spoil = (id: string) => api.sql('UPDATE resource SET verifier = sha256(verifier) WHERE id = $1', [id])
  const malformed = (token: string) => [
    ...['', 'x', token.slice(0, -1), `${token}0`, token.replace('lps_', 'lps_session_'), '%00', '%ZZ', '%F0%9F'],
    ...[`${token}&token=${token}`, 'a'.repeat(5_000)],
  ]

  const expectOne = (answers: Answer[], title: string) => {
    const [first] = answers
    expect([first?.status, heading(first?.text ?? '')]).toEqual([404, title])
    for (const answer of answers) expect(seen(answer)).toEqual(seen(first as Answer))
  }

  it('invites: opened by nobody and by their holder, joined, declined, and without any token', async () => {
    const email = fresh()
    const person = await all.signedIn(email)
    const cookie = cookieOf(person.token)
    const ended: [string, (invite: Body, organization: Body) => Promise<unknown>][] = [
      ['unknown', ({ id }) => forget(id)],
      ['wrong-secret', ({ id }) => spoil(id)],
      ['revoked', ({ id }) => api.call('POST', `/v1/invites/${id}/revoke`)],
      ['superseded', ({ id }) => api.call('POST', `/v1/invites/${id}/resend`)],
      ['declined', ({ token }) => submit(inviteUrl(token), { action: 'decline' }, cookie)],
      ['suspended', (_, { id }) => api.call('POST', `/v1/organizations/${id}/suspend`)],
      ['revoked', (_, { id }) => api.call('DELETE', `/v1/organizations/${id}`)],
    ]
    const answers: Answer[] = [await open('/invites/open'), await open('/invites/open?token')]
    const reasons: string[] = []
    const all4 = async (url: string, who: Headers) => {
      answers.push(await open(url), await open(url, who))
      answers.push(await submit(url, { action: 'join' }, who), await submit(url, { action: 'decline' }, who))
      answers.push(await submit(url, { action: 'join' }))
    }
    for (const [reason, end] of ended) {
      const organization = await all.organization()
      const invite = await all.invite(organization.id, email)
      await end(invite, organization)
      await all4(inviteUrl(invite.token), cookie)
      reasons.push(reason, reason)
    }
    const organization = await all.organization()
    const { id, token } = await all.invite(organization.id, email)
    for (const wrong of malformed(token)) {
      await all4(inviteUrl(wrong), cookie)
      reasons.push('malformed', 'malformed')
    }
    // Only its holder learns that it has expired, and that they are a member.
    await api.age(id, 4 * 86_400)
    answers.push(await open(inviteUrl(token)), await submit(inviteUrl(token), { action: 'join' }, cookie))
    const used = await invited()
    await submit(used.url, { action: 'join' }, used.cookie)
    answers.push(await open(used.url), await open(used.url, cookie), await submit(used.url, { action: 'join' }))
    expectOne(answers, 'This invitation does not work')
    const events = (await all.reasons('invite')).slice(-reasons.length - 1)
    expect(events).toEqual([...reasons, 'expired'])
    // A page is the same in HEAD, without its text.
    const head = await open('/invites/open', {}, 'HEAD')
    expect({ ...seen(head), text: '' }).toEqual({ ...seen(answers[0] as Answer), text: '' })
  })

  it.each(['sign-in', 'confirm-email'] as const)('links to %s, opened and clicked', async (purpose) => {
    const other = purpose === 'sign-in' ? 'confirm-email' : 'sign-in'
    const path = purpose === 'sign-in' ? '/sign-in/open' : '/confirm'
    const answers: Answer[] = [await open(path), await submit(path)]
    const both = async (token: string) => {
      answers.push(await open(`${path}?token=${token}`), await submit(`${path}?token=${token}`))
    }
    const ends: ((made: Awaited<ReturnType<typeof verification>>) => Promise<unknown>)[] = [
      ({ id }) => forget(id),
      ({ id }) => spoil(id),
      ({ id }) => api.age(id, 2 * 86_400),
      ({ id }) => api.call('POST', `/v1/resources/${id}/revoke`),
      ({ url }) => submit(url),
      ({ email }) => verification(purpose, email),
    ]
    for (const end of ends) {
      const made = await verification(purpose)
      await end(made)
      await both(made.token)
    }
    await both((await verification(other)).token)
    for (const wrong of malformed((await verification(purpose)).token)) await both(wrong)
    expectOne(answers, 'This link does not work')
  })

  it('an invite that ended after the account was shown, and one of somebody else', async () => {
    const [mine, others] = [await invited(), await invited()]
    await api.call('POST', `/v1/invites/${mine.invite.id}/revoke`)
    const ids = [mine.invite.id, others.invite.id, '019abcde-0000-7000-8000-000000000001', 'x']
    const answers = await Promise.all(
      ids.flatMap((id) => ['join', 'decline'].map((action) => submit(`/invites/${id}`, { action }, mine.cookie))),
    )
    expectOne(answers, 'This invitation has ended')
    expect(await status(others.invite.id)).toBe('active')
  })

  it('guessing leads to 429, for right ones too', async () => {
    const { url, cookie } = await invited()
    const ip = { 'x-forwarded-for': freshIp() }
    const guess = inviteUrl('lps_invite_guess')
    for (let i = 0; i < 20; i++)
      expect((await submit(guess, { action: 'join' }, { ...cookie, ...ip })).status).toBe(404)
    const refused = [
      await submit(guess, { action: 'join' }, { ...cookie, ...ip }),
      await submit(url, { action: 'join' }, { ...cookie, ...ip }),
      await submit('/sign-in/open?token=x', {}, ip),
      await submit('/confirm?token=x', {}, ip),
    ]
    for (const answer of refused) {
      expect([answer.status, heading(answer.text)]).toEqual([429, 'Please wait a little'])
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(800)
      expect(answer.text).toMatch(/try again in about 1[45] minutes/)
    }
    // Looking is not redeeming, and is limited by itself.
    expect((await open(url, { ...cookie, ...ip })).status).toBe(200)
    await Promise.all(Array.from({ length: 200 }, () => open(guess, ip)))
    for (const one of [guess, url]) {
      const { status, text } = await open(one, ip)
      expect([status, heading(text)]).toEqual([429, 'Please wait a little'])
    }
    expect((await open(url, { 'x-forwarded-for': freshIp() })).status).toBe(200)
  })
})

describe('what an invitation shows', () => {
  it('I5: nothing about it to who is signed out, has another address, or an unverified one', async () => {
    const { url, organization, email, invite } = await invited()
    const other = await all.signedIn(fresh())
    const hidden = new RegExp(`${organization.name}|${organization.id}|${email}|${invite.id}|member|admin|owner`)
    const signedOut = await open(url)
    expect([signedOut.status, signedOut.text.match(hidden)]).toEqual([200, null])
    for (const answer of [
      await open(url, cookieOf(other.token)),
      await submit(url, { action: 'join' }, cookieOf(other.token)),
      await submit(url, { action: 'decline' }, cookieOf(other.token)),
    ]) {
      expect([answer.status, heading(answer.text)]).toEqual([403, 'This invitation was sent to another address'])
      expect([answer.text.includes(other.user.email), answer.text.match(hidden)]).toEqual([true, null])
    }
    expect(await status(invite.id)).toBe('active')
    for (const reference of [undefined, 'of-the-host']) {
      const person = await all.signedIn(fresh(), { verified: false, reference })
      const waiting = await all.invite(organization.id, person.user.email)
      const [address, cookie] = [inviteUrl(waiting.token), cookieOf(person.token)]
      for (const answer of [await open(address, cookie), await submit(address, { action: 'join' }, cookie)]) {
        expect([answer.status, heading(answer.text)]).toEqual([403, 'Your address is not confirmed yet'])
        expect(answer.text).toContain(reference ? 'where you have your account' : 'we send you a link')
        expect(answer.text).not.toContain(organization.name)
      }
      expect(await status(waiting.id)).toBe('active')
    }
  })

  it('who invites, to what, as what and until when to whom it is for; then that they are in', async () => {
    const inviter = await all.user(fresh(), { name: 'Olga Owner' })
    const { id } = await all.organization({ name: 'Meridian & Sons' })
    await all.member(id, inviter.id, 'owner')
    const person = await all.signedIn(fresh())
    const invite = await all.invite(id, person.user.email, {
      invited_by: inviter.id,
      message: 'Do come.',
      role: 'admin',
    })
    const [url, cookie] = [inviteUrl(invite.token), cookieOf(person.token)]
    const shown = await open(url, cookie)
    expect(heading(shown.text)).toBe('Olga Owner invites you to join Meridian &amp; Sons')
    expect(shown.text).toContain(`<time datetime="${invite.expires_at}">`)
    for (const text of ['Do come.', 'expires in 24 hours']) expect(shown.text).toContain(text)
    expect(shown.text).toContain('<dd>an admin</dd>')
    const joined = await submit(url, { action: 'join' }, cookie)
    expect([joined.status, heading(joined.text)]).toEqual([200, 'Welcome to Meridian &amp; Sons'])
    expect(joined.text).toContain('an admin')
    for (const again of [await submit(url, { action: 'join' }, cookie), await open(url, cookie)])
      expect([again.status, heading(again.text)]).toEqual([200, 'You are already a member of Meridian &amp; Sons'])
  })

  it('I2: without a free seat it is not burned', async () => {
    const organization = await all.organization({ seat_limit: 1 })
    await all.member(organization.id, (await all.user(fresh())).id)
    const person = await all.signedIn(fresh())
    const { id, token } = await all.invite(organization.id, person.user.email)
    const cookie = cookieOf(person.token)
    expect((await open(inviteUrl(token), cookie)).text).not.toContain('value="join"')
    for (const path of [inviteUrl(token), `/invites/${id}`]) {
      const full = await submit(path, { action: 'join' }, cookie)
      expect([full.status, heading(full.text)]).toEqual([409, 'No seat is free just now in Acme'])
    }
    await api.call('PATCH', `/v1/organizations/${organization.id}`, { seat_limit: 2 })
    expect((await submit(`/invites/${id}`, { action: 'join' }, cookie)).status).toBe(200)
  })

  it('that it has expired, to its holder alone; asking for a new one always reads the same, after the same time', async () => {
    const inviter = await all.user(fresh())
    const { id } = await all.organization({ name: 'Late' })
    await all.member(id, inviter.id, 'owner')
    const person = await all.signedIn(fresh())
    const invite = await all.invite(id, person.user.email, { invited_by: inviter.id })
    // Of one that the host mails itself, the inviter would hear nothing from us; see packages/domain/test/invites.test.ts.
    await api.sql(`UPDATE resource SET payload = payload || '{"mail": true}' WHERE id = $1`, [invite.id])
    await api.age(invite.id, 4 * 86_400)
    const shown = await open(inviteUrl(invite.token), cookieOf(person.token))
    expect([shown.status, heading(shown.text)]).toEqual([200, 'This invitation has expired'])
    expect((await open(inviteUrl(invite.token))).status).toBe(404)
    const asked: Answer[] = []
    for (const token of [invite.token, invite.token, 'lps_invite_none', (await invited()).invite.token, '']) {
      const start = performance.now()
      asked.push(await submit(inviteUrl(token), { action: 'request' }))
      expect(performance.now() - start).toBeGreaterThanOrEqual(249)
    }
    expect([asked[0]?.status, heading(asked[0]?.text ?? '')]).toEqual([202, 'Thank you'])
    for (const answer of asked) expect(seen(answer)).toEqual(seen(asked[0] as Answer))
    const mails = await api.lapse.deliveries.list({ resourceId: invite.id })
    expect(mails.filter(({ event }) => event === 'requested').map(({ target }) => target)).toEqual([inviter.email])
  })
})

describe('signing in', () => {
  it('asking for a link reads the same for known and unknown addresses, after the same time', async () => {
    const { email } = await all.user(fresh())
    for (const path of ['/sign-in', inviteUrl((await invited()).invite.token), inviteUrl('x')]) {
      const answers: Answer[] = []
      for (const address of [email, fresh()]) {
        const start = performance.now()
        answers.push(await submit(path, { action: 'sign-in', email: address }))
        expect(performance.now() - start).toBeGreaterThanOrEqual(249)
      }
      expect([answers[0]?.status, heading(answers[0]?.text ?? '')]).toEqual([202, 'Check your mail'])
      expect(seen(answers[1] as Answer)).toEqual(seen(answers[0] as Answer))
    }
    const mails = await api.lapse.deliveries.list({ kind: 'verification' }, { limit: 200 })
    expect(mails.filter(({ target }) => target === email).length).toBeGreaterThan(0)
  })

  it.each(['', 'ada', 'ada@@example.com', '<b>@example.com', `${'x'.repeat(300)}@example.com`, 'x'.repeat(2_000)])(
    'an address that is none, such as %j, is asked for again',
    async (email) => {
      for (const path of ['/sign-in', inviteUrl((await invited()).invite.token)]) {
        const answer = await submit(path, { action: 'sign-in', email })
        expect([answer.status, answer.text.includes('aria-invalid="true"')]).toEqual([422, true])
        expect(answer.text).not.toContain('<b>')
      }
    },
  )

  it('the click sets a cookie for this host alone that no script sees, and leads on to the invite', async () => {
    const { invite, email } = await invited()
    const link = await verification('sign-in', email)
    const headers = { 'user-agent': `Browser ${'x'.repeat(300)}` }
    const shown = await open(`${link.url}&invite=${invite.token}`)
    expect([shown.status, shown.headers.get('set-cookie')]).toEqual([200, null])
    const clicked = await submit(`${link.url}&invite=${invite.token}`, {}, headers)
    expect([clicked.status, clicked.headers.get('location')]).toEqual([303, inviteUrl(invite.token)])
    const [cookie, ...attributes] = (clicked.headers.get('set-cookie') ?? '').split('; ')
    expect(cookie).toMatch(/^__Host-lapse_session=lps_session_[0-9A-Za-z]{65}$/)
    expect(attributes.sort()).toEqual(['HttpOnly', 'Max-Age=2592000', 'Path=/', 'SameSite=Lax', 'Secure'])
    const page = await open('/account', { cookie: cookie ?? '' })
    expect([page.status, page.text.includes(email)]).toEqual([200, true])
    const user = await api.lapse.users.find({ email })
    const [session] = await api.lapse.sessions.list(user?.id ?? '')
    expect(session?.payload.agent).toBe(headers['user-agent'].slice(0, 200))
  })

  it.each([
    ...['https://evil.example', '//evil.example', '/account', 'lps_invite_x', 'lps_session_', '\n'],
    `lps_invite_${'0'.repeat(64)}/`,
    `lps_invite_${'0'.repeat(65)}%0d%0aX: y`,
  ])('nothing but an invite is taken along: not %j', async (invite) => {
    const link = await verification('sign-in')
    const clicked = await submit(`${link.url}&invite=${encodeURIComponent(invite)}`)
    expect([clicked.status, clicked.headers.get('location')]).toEqual([303, '/account'])
  })

  it('anew in the same browser, the session before is ended', async () => {
    const { person, email, cookie } = await invited()
    const clicked = await submit((await verification('sign-in', email)).url, {}, cookie)
    expect(clicked.status).toBe(303)
    expect(await status(person.session.id)).toBe('revoked')
  })

  it('a session that has ended is forgotten by the browser', async () => {
    const { person, cookie } = await invited()
    expect((await open('/sign-in', cookie)).headers.get('location')).toBe('/account')
    await api.call('POST', `/v1/sessions/${person.session.id}/revoke`)
    const answer = await open('/account', cookie)
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/sign-in'])
    expect(answer.headers.get('set-cookie')).toMatch(/^__Host-lapse_session=; Max-Age=0; Path=\/; HttpOnly; Secure/)
    expect((await open('/sign-in', cookie)).status).toBe(200)
  })

  it('an address is confirmed by the click', async () => {
    const user = await all.user(fresh(), { verified: false })
    const { url } = await verification('confirm-email', user.email)
    expect(heading((await open(url)).text)).toBe('Confirm your address')
    expect((await api.lapse.users.get(user.id)).verifiedAt).toBe(null)
    const confirmed = await submit(url)
    expect([confirmed.status, heading(confirmed.text)]).toEqual([200, 'Your address is confirmed'])
    expect((await api.lapse.users.get(user.id)).verifiedAt).not.toBe(null)
  })
})

describe('the account', () => {
  it('is for who is signed in', async () => {
    for (const answer of [
      await open('/account'),
      await submit('/invites/019abcde-0000-7000-8000-000000000001', { action: 'join' }),
      await submit('/sessions/019abcde-0000-7000-8000-000000000001/revoke'),
      await submit('/sessions/revoke'),
      await submit('/sign-out'),
    ])
      expect([answer.status, answer.headers.get('location')]).toEqual([303, '/sign-in'])
  })

  it('is where one comes to who goes back to where a form was sent, or to no page in particular', async () => {
    const { person, cookie } = await invited()
    for (const path of ['/', '/invites/x', '/sign-out', '/sessions/revoke', `/sessions/${person.session.id}/revoke`])
      for (const who of [{}, cookie]) {
        const answer = await open(path, who)
        expect([answer.status, answer.headers.get('location')]).toEqual([303, '/account'])
      }
    expect(await status(person.session.id)).toBe('active')
  })

  it('shows what waits, to be joined or declined, without the link', async () => {
    const { organization, invite, email, cookie } = await invited()
    const second = await all.organization({ name: 'Second' })
    const other = await all.invite(second.id, email)
    const shown = await open('/account', cookie)
    for (const text of [organization.name, 'Second', email]) expect(shown.text).toContain(text)
    const joined = await submit(`/invites/${invite.id}`, { action: 'join' }, cookie)
    expect([joined.status, heading(joined.text)]).toEqual([200, `Welcome to ${organization.name}`])
    const declined = await submit(`/invites/${other.id}`, { action: 'decline' }, cookie)
    expect([declined.status, heading(declined.text)]).toEqual([200, 'You have declined'])
    expect([await status(invite.id), await status(other.id)]).toEqual(['consumed', 'revoked'])
    const left = (await open('/account', cookie)).text
    expect(left).toContain('None are waiting for you.')
    expect(left).toMatch(new RegExp(`Where you are a member.*${organization.name}.*As a member`, 's'))
    expect(left).not.toContain('Second')
  })

  it('says that an address has to be confirmed before what waits is shown', async () => {
    const { id } = await all.organization({ name: 'Hidden' })
    for (const reference of [undefined, 'an-id-of-the-host']) {
      const person = await all.signedIn(fresh(), { verified: false, reference })
      await all.invite(id, person.user.email)
      const { text } = await open('/account', cookieOf(person.token))
      expect(text).toContain('Your address is not confirmed yet')
      expect(text).toContain(reference ? 'where you have your account' : 'we send you a link')
      expect(text).not.toMatch(/Hidden|None are waiting/)
    }
  })

  it('signs out there, here and everywhere; not others', async () => {
    const { person, cookie } = await invited()
    const sessionFor = async () => (await api.lapse.sessions.issue({ userId: person.user.id })).session
    const [there, elsewhere, others] = [await sessionFor(), await sessionFor(), (await invited()).person.session]
    const revoke = (id: string) => submit(`/sessions/${id}/revoke`, {}, cookie)
    expect((await revoke(others.id)).status).toBe(404)
    expect((await revoke('x')).status).toBe(404)
    expect((await revoke(there.id)).headers.get('location')).toBe('/account')
    expect([await status(there.id), await status(elsewhere.id)]).toEqual(['revoked', 'active'])
    const everywhere = await submit('/sessions/revoke', {}, cookie)
    expect([everywhere.headers.get('location'), everywhere.headers.get('set-cookie')]).toEqual([
      '/sign-in',
      expect.stringContaining('Max-Age=0'),
    ])
    expect([await status(elsewhere.id), await status(person.session.id)]).toEqual(['revoked', 'revoked'])
    expect(await status(others.id)).toBe('active')
    for (const end of ['/sign-out', undefined]) {
      const again = await invited()
      const path = end ?? `/sessions/${again.person.session.id}/revoke`
      const answer = await submit(path, {}, again.cookie)
      expect([answer.headers.get('location'), answer.headers.get('set-cookie')]).toEqual([
        '/sign-in',
        expect.stringContaining('Max-Age=0'),
      ])
      expect(await status(again.person.session.id)).toBe('revoked')
    }
  })

  it('from the wrong account one signs out where the invite is, and is asked to sign in', async () => {
    const [{ url }, other] = [await invited(), await invited()]
    const answer = await submit(url, { action: 'sign-out' }, other.cookie)
    expect([answer.status, heading(answer.text)]).toEqual([200, 'You have been invited'])
    expect(answer.headers.get('set-cookie')).toContain('Max-Age=0')
    expect(await status(other.person.session.id)).toBe('revoked')
  })
})

describe('another site', () => {
  const posts = async (): Promise<[string, Record<string, string>, Headers][]> => {
    const { url, cookie, invite, person } = await invited()
    return [
      ...['join', 'decline', 'request', 'sign-out'].map((action) => [url, { action }, cookie] as never),
      [url, { action: 'sign-in', email: person.user.email }, {}],
      [`/invites/${invite.id}`, { action: 'join' }, cookie],
      [`/sessions/${person.session.id}/revoke`, {}, cookie],
      ['/sessions/revoke', {}, cookie],
      ['/sign-out', {}, cookie],
      ['/sign-in', { email: person.user.email }, {}],
      [(await verification('sign-in')).url, {}, {}],
      [(await verification('confirm-email')).url, {}, {}],
    ]
  }

  it.each([
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
    { 'sec-fetch-site': 'cross-site', origin: 'null' },
    { 'sec-fetch-site': undefined, origin: 'https://evil.example' },
    { 'sec-fetch-site': undefined, origin: 'http://127.0.0.1:1' },
    { 'sec-fetch-site': undefined, origin: 'nonsense' },
  ])('makes no browser do anything: %j', async (site) => {
    const all = await posts()
    const before = await everything()
    for (const [path, fields, who] of all) {
      const answer = await submit(path, fields, { ...who, ...site })
      expect([path.split('?')[0], answer.status, heading(answer.text)]).toEqual([
        ...[path.split('?')[0], 403, 'Nothing was done'],
      ])
    }
    expect(await everything()).toBe(before)
  })

  it('our own pages do, in browsers old and new', async () => {
    for (const site of [
      { 'sec-fetch-site': 'same-origin', origin: 'null' },
      { 'sec-fetch-site': undefined, origin: 'null' },
      { 'sec-fetch-site': undefined, origin: api.url },
      { 'sec-fetch-site': undefined },
    ] as Headers[]) {
      const { url, cookie } = await invited()
      expect((await submit(url, { action: 'join' }, { ...cookie, ...site })).status).toBe(200)
    }
  })
})

describe('every page', () => {
  const guards = {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': contentSecurityPolicy,
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
  }

  it('is guarded, and errors are pages too', async () => {
    const { url, cookie, person } = await invited()
    const form = 'application/x-www-form-urlencoded'
    const html = { accept: 'text/html,*/*;q=0.8' }
    const answers: [number, Answer][] = [
      [200, await open(url)],
      [200, await open(url, cookie)],
      [200, await open('/account', cookie)],
      [200, await open('/sign-in')],
      [202, await submit('/sign-in', { email: fresh() })],
      [404, await open('/invites/open')],
      [404, await open('/sign-in/open')],
      [404, await open('/confirm')],
      [404, await open('/nothing/here', html)],
      [404, await submit(`/sessions/x/revoke`, {}, cookie)],
      [403, await submit(url, { action: 'join' }, { ...cookie, 'sec-fetch-site': 'cross-site' })],
      [405, await all.ask('PUT', '/account', undefined, { 'sec-fetch-site': 'same-origin' })],
      [405, await all.ask('DELETE', '/sign-out', undefined, { 'sec-fetch-site': 'same-origin' })],
      [413, await submit('/sign-in', { email: 'x'.repeat(20_000) })],
      [415, await all.ask('POST', '/sign-in', '{}', { 'content-type': 'application/json' })],
      [422, await submit(url, { action: 'nothing' }, cookie)],
      [422, await submit(url, {}, cookie)],
      [422, await all.ask('POST', url, 'action=join&action=decline', { ...cookie, 'content-type': form })],
      [422, await submit('/sign-in', { email: 'x' })],
    ]
    for (const [status, answer] of answers)
      expect([answer.status, Object.fromEntries(answer.headers), answer.text]).toEqual([
        status,
        expect.objectContaining(guards),
        expect.stringContaining('<h1'),
      ])
    expect(await status(person.session.id)).toBe('active')
    const refused = answers.filter(([status]) => status === 405).map(([, { headers }]) => headers.get('allow'))
    expect(refused).toEqual(['GET, HEAD', 'GET, HEAD, POST'])
    // Everybody else is told as before.
    expect((await all.ask('GET', '/nothing/here')).body).toMatchObject({ code: 'no_such_address' })
  })

  it('is in no description of the API', async () => {
    const { paths } = (await api.call('GET', '/openapi.json')).body
    for (const path of Object.keys(paths)) expect(path).toMatch(/^\/(v1\/|healthz|readyz|metrics)/)
  })

  it('I6: no token stands in what is answered, but for the cookie and the way on to an invite; nor in the log', async () => {
    const secrets: string[] = []
    const answers: Answer[] = []
    const { url, invite, cookie, person, email } = await invited()
    const link = await verification('sign-in')
    const confirm = await verification('confirm-email')
    secrets.push(invite.token, link.token, confirm.token, person.token)
    const other = cookieOf((await invited()).person.token)
    for (const who of [{}, cookie, other, cookieOf(`${person.token}x`)]) {
      for (const path of [url, `${link.url}&invite=${invite.token}`, confirm.url, '/account', '/sign-in'])
        answers.push(await open(path, who), await open(path, who, 'HEAD'))
      answers.push(await submit(url, { action: 'sign-in', email }, who))
      answers.push(await submit(url, { action: 'request' }, who), await submit(url, { action: 'x' }, who))
      answers.push(await submit(url, { action: 'join' }, { ...who, 'sec-fetch-site': 'cross-site' }))
    }
    const clicked = await submit(`${link.url}&invite=${invite.token}`)
    secrets.push(/lps_session_\w+/.exec(clicked.headers.get('set-cookie') ?? '')?.[0] ?? 'none')
    answers.push(await submit(link.url), await submit(confirm.url), await submit(url, { action: 'join' }, cookie))
    answers.push(await open(url, cookie), await submit(url, { action: 'sign-out' }, cookie))
    const told = answers.map(({ headers, text }) => {
      const { 'set-cookie': _, ...rest } = Object.fromEntries(headers)
      return JSON.stringify(rest) + text
    })
    const { 'set-cookie': _, location, ...rest } = Object.fromEntries(clicked.headers)
    told.push(JSON.stringify(rest) + clicked.text)
    expect([location, secrets.length]).toEqual([url, 5])
    expect(log.length).toBeGreaterThan(50)
    // Not even where one stood.
    for (const line of log) expect(line).not.toMatch(/lps_|token=/)
    for (const secret of secrets)
      for (const text of [...told, ...log])
        for (const part of [secret, secret.slice(-49)]) expect(text).not.toContain(part)
  })
})

describe('without PostgreSQL', () => {
  it('every page says so within 6.5 s, and nothing is logged about its link', async () => {
    const way = breakableWay()
    const lines: string[] = []
    const frozen = await testApi({ databaseUrl: way.to, log: (line) => lines.push(line) })
    const organization = await people(frozen).organization()
    const { token } = await people(frozen).invite(organization.id, fresh())
    way.freeze()
    const clock = stopwatch()
    const headers = { authorization: '', 'sec-fetch-site': 'same-origin' }
    const form = { ...headers, 'content-type': 'application/x-www-form-urlencoded' }
    const answers = await Promise.all([
      frozen.call('GET', inviteUrl(token), undefined, headers),
      frozen.call('GET', '/account', undefined, { ...headers, ...cookieOf(token) }),
      frozen.call('POST', inviteUrl(token), 'action=request', form),
      frozen.call('POST', '/sign-in', 'email=ada@example.com', form),
      frozen.call('POST', `/sign-in/open?token=${token}`, '', form),
    ])
    expect(clock.ms()).toBeLessThan(6_500)
    for (const answer of answers) {
      expect([answer.status, heading(answer.text)]).toEqual([503, 'We cannot answer just now'])
      expect(answer.text.includes('Try again</a>')).toBe(answers.indexOf(answer) < 2)
      expect(answer.headers.get('retry-after')).toBe('2')
    }
  })

  it('what comes too late is told to nobody, and not to the log', async () => {
    const { url, cookie, invite } = await invited()
    const hold = api.sql('BEGIN; LOCK TABLE resource IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(6.5); COMMIT')
    await until(async () => (await api.sql(`SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted`))[0])
    const from = log.length
    const answers = await Promise.all([open(url), open(url, cookie), submit(url, { action: 'join' }, cookie)])
    expect(answers.map((answer) => answer.status)).toEqual([503, 503, 503])
    await hold
    expect((await open(url, cookie)).status).toBe(200)
    expect(await status(invite.id)).toBe('active')
    const lines = log.slice(from)
    expect(lines.length).toBeGreaterThan(3)
    for (const secret of [invite.token, cookie.cookie].map((text) => text.slice(-49)))
      expect(lines.filter((line) => line.includes(secret))).toEqual([])
    expect(lines.filter((line) => line.includes('already sent'))).toEqual([])
  })
})
