import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'
import { behindProxy, people } from './people.ts'

let api: Awaited<ReturnType<typeof testApi>>
let all: ReturnType<typeof people>
beforeAll(async () => {
  api = await testApi({ env: { ...behindProxy, LAPSE_PUBLIC_URL: 'https://app.example.com' } })
  all = people(api)
})

let organization: Body
beforeEach(async () => {
  organization = await all.organization()
})

let count = 0
const fresh = (): string => `guest-${++count}@example.com`

const create = (body: object, headers?: Record<string, string>) =>
  api.call(
    'POST',
    '/v1/invites',
    { organization: organization.id, role: 'member', deliver: 'return', ...body },
    headers,
  )
const look = async (id: string): Promise<Body> => (await api.call('GET', `/v1/invites/${id}`)).body
const hours = ({ issued_at, expires_at }: Body) => (Date.parse(expires_at) - Date.parse(issued_at)) / 3_600_000
const members = async (): Promise<Body[]> =>
  (await api.call('GET', `/v1/memberships?organization=${organization.id}`)).body.items

describe('inviting', () => {
  it('gives the invite, and with deliver=return the token and its page, once', async () => {
    const { status, headers, body } = await create({ email: 'Grace@Example.com', message: 'Join us!' })
    expect([status, headers.get('location')]).toEqual([201, `/v1/invites/${body.id}`])
    expect(body).toMatchObject({
      status: 'active',
      word: 'pending',
      organization_id: organization.id,
      organization: 'Acme',
      email: 'Grace@Example.com',
      role: 'member',
      invited_by: null,
      message: 'Join us!',
      deliver: 'return',
      timer: 'armed',
    })
    expect(body.token).toMatch(/^lps_invite_[0-9A-Za-z]{65}$/)
    expect(body.url).toBe(`https://app.example.com/invites/open?token=${body.token}`)
    const { token, url, timer, ...rest } = body
    expect(await look(body.id)).toEqual(rest)
  })

  it('lives 72 hours, 24 for those who become powerful, 7 days at most', async () => {
    expect(hours((await create({ email: fresh() })).body)).toBe(72)
    expect(hours((await create({ email: fresh(), role: 'admin' })).body)).toBe(24)
    expect(hours((await create({ email: fresh(), role: 'owner' })).body)).toBe(24)
    expect(hours((await create({ email: fresh(), expires_in: 3_600 })).body)).toBe(1)
    const { body } = await create({ email: fresh(), expires_in: 7 * 86_400 + 1 })
    expect(body).toMatchObject({ status: 422, code: 'lifetime_too_long', field: 'expires_in' })
  })

  it('I6: repeated under its Idempotency-Key it comes without the token, which is stored nowhere', async () => {
    const key = { 'idempotency-key': 'invite' }
    const body = { email: fresh() }
    const [first, second] = [await create(body, key), await create(body, key)]
    expect([second.status, second.headers.get('idempotent-replayed')]).toEqual([201, 'true'])
    const { token, url, ...rest } = first.body
    expect(second.body).toEqual(rest)
    const stored = JSON.stringify([
      await api.everything(),
      await api.sql('SELECT * FROM idempotency_key'),
      await api.sql('SELECT * FROM resource'),
    ])
    for (const part of [token, token.slice(11 + 16, -6)]) expect(stored).not.toContain(part)
  })

  it('mails it, and the answer has no token; what the mail leads to is good', async () => {
    const email = fresh()
    const { body } = await create({ email, deliver: 'mail' })
    expect(body).toMatchObject({ deliver: 'mail', timer: 'armed' })
    expect(Object.keys(body)).not.toContain('token')
    const mail = (await all.mail()).find(({ to }) => to.includes(email))
    expect(mail?.subject).toContain('Acme')
    const [token = ''] = /lps_invite_\w+/.exec(mail?.text ?? '') ?? []
    const guest = await all.signedIn(email)
    expect((await guest.ask('POST', '/v1/invites/accept', { token })).status).toBe(200)
  })

  it('no more than 200 mails an hour for one organization; others go on, and so does what is not mailed', async () => {
    const twenty = (more: object) =>
      Promise.all(Array.from({ length: 20 }, () => create({ email: fresh(), deliver: 'mail', ...more })))
    // What is refused sends nothing, and counts for nothing.
    await twenty({ invited_by: 'x' })
    const repeated = { 'idempotency-key': 'mailed-once' }
    const once = { organization: organization.id, email: fresh(), role: 'member' }
    for (let i = 0; i < 3; i++) expect((await api.call('POST', '/v1/invites', once, repeated)).status).toBe(201)
    const sent = []
    for (let i = 0; i < 200; i += 20) sent.push(...(await twenty({})))
    expect(sent.filter((one) => one.status === 201).length).toBeGreaterThan(190)
    const { status, headers, body } = await create({ email: fresh(), deliver: 'mail' })
    expect([status, body.code]).toEqual([429, 'too_many'])
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(3_000)
    expect((await create({ email: fresh() })).status).toBe(201)
    organization = await all.organization()
    expect((await create({ email: fresh(), deliver: 'mail' })).status).toBe(201)
  })

  it('one live invite for an organization and an address, however it is spelled; D5: again after its end', async () => {
    const { body } = await create({ email: 'Twice@Example.com' })
    const again = await create({ email: 'twice@example.com' })
    expect(again.body).toMatchObject({ status: 409, code: 'invite_live', field: 'email' })
    await api.age(body.id, 80 * 3_600)
    const second = await create({ email: 'twice@example.com' })
    expect([second.status, second.body.token === body.token]).toEqual([201, false])
    expect((await look(body.id)).status).toBe('expired')
    const guest = await all.signedIn('twice@example.com')
    await guest.ask('POST', '/v1/invites/decline', { token: second.body.token })
    expect((await create({ email: 'twice@example.com' })).status).toBe(201)
  })

  it('by a user: named in the invite and the audit, and never to a role above theirs', async () => {
    const ada = await all.user(fresh(), { name: 'Ada', reference: `ada-${++count}` })
    const stranger = await create({ email: fresh(), invited_by: ada.id })
    expect(stranger.body).toMatchObject({ status: 403, code: 'role_too_high', field: 'invited_by' })
    await all.member(organization.id, ada.id, 'admin')
    const { body } = await create({ email: fresh(), role: 'admin', invited_by: ada.reference })
    expect(body.invited_by).toEqual({ id: ada.id, name: 'Ada', email: ada.email })
    const { items } = (await api.call('GET', `/v1/resources/${body.id}/events`)).body
    expect(items).toMatchObject([{ type: 'issued', actor: `user:${ada.id}` }])
    const above = await create({ email: fresh(), role: 'owner', invited_by: ada.id })
    expect(above.body).toMatchObject({ status: 403, code: 'role_too_high', field: 'role' })
  })

  it.each([
    ['an unknown organization', { organization: 'nowhere' }, 422, 'unknown_organization', 'organization'],
    ['an unknown inviter', { invited_by: 'nobody' }, 422, 'unknown_user', 'invited_by'],
    ['no address', { email: 'grace' }, 422, 'invalid', 'email'],
    ['no role', { role: 'king' }, 422, 'invalid', 'role'],
    ['a long message', { message: 'x'.repeat(501) }, 422, 'invalid', 'message'],
    ['both ends', { expires_in: 60, expires_at: '2030-01-01T00:00:00Z' }, 422, 'invalid', 'expires_in'],
    ['an unknown field', { token: 'x' }, 422, 'invalid', 'token'],
  ])('%s is refused, and nothing is written', async (_, wrong, status, code, field) => {
    const before = await api.everything()
    const { body } = await create({ email: fresh(), ...wrong })
    expect(body).toMatchObject({ status, code, field })
    expect(await api.everything()).toEqual(before)
  })

  it('whoever is a member already, or an organization that is not active, is a 409', async () => {
    const ada = await all.user(fresh())
    await all.member(organization.id, ada.id)
    expect((await create({ email: ada.email })).body).toMatchObject({ status: 409, code: 'already_a_member' })
    await api.call('POST', `/v1/organizations/${organization.id}/suspend`)
    expect((await create({ email: fresh() })).body).toMatchObject({ status: 409, code: 'organization_not_active' })
  })

  it('takes the root token: nobody gets 401, and a session 403', async () => {
    const guest = await all.signedIn(fresh())
    const { id } = (await create({ email: fresh() })).body
    for (const [method, path, body] of [
      ['POST', '/v1/invites', { organization: organization.id, email: fresh(), role: 'member' }],
      ['GET', '/v1/invites', undefined],
      ['GET', `/v1/invites/${id}`, undefined],
      ['POST', `/v1/invites/${id}/resend`, undefined],
      ['POST', `/v1/invites/${id}/revoke`, undefined],
    ] as const) {
      expect((await all.ask(method, path, body)).body).toMatchObject({ status: 401, code: 'unauthorized' })
      expect((await guest.ask(method, path, body)).body).toMatchObject({ status: 403, code: 'forbidden' })
    }
    expect((await look(id)).status).toBe('active')
  })
})

describe('listing', () => {
  it('filters by organization, address, status and life, counts, and turns pages', async () => {
    const reference = `org-${++count}`
    organization = await all.organization({ reference })
    const [first, second, third] = [fresh(), fresh(), fresh()]
    for (const email of [first, second, third]) await create({ email })
    const list = async (query: string) => (await api.call('GET', `/v1/invites?organization=${reference}&${query}`)).body
    const page = await list('limit=2&count=true')
    expect([page.count, page.items.map((item: Body) => item.email)]).toEqual([3, [third, second]])
    const rest = await list(`limit=2&cursor=${page.next_cursor}`)
    expect([rest.next_cursor, rest.items.map((item: Body) => item.email)]).toEqual([null, [first]])
    expect((await list(`email=${first.toUpperCase()}`)).items).toMatchObject([{ email: first }])
    await api.age(page.items[0].id, 80 * 3_600)
    expect((await list('status=expired')).items).toMatchObject([{ email: third, status: 'expired' }])
    expect((await list('live=true')).items).toHaveLength(2)
    const unknown = await api.call('GET', '/v1/invites?organization=nowhere')
    expect(unknown.body).toMatchObject({ status: 422, code: 'unknown_organization', field: 'organization' })
    const trial = await api.call('POST', '/v1/trials', {})
    expect((await api.call('GET', `/v1/invites/${trial.body.id}`)).body).toMatchObject({ status: 404 })
  })

  it('my own: live ones for my verified address, and no others', async () => {
    const email = fresh()
    const { body } = await create({ email })
    await create({ email: fresh() })
    const guest = await all.signedIn(email)
    const mine = async () => (await guest.ask('GET', '/v1/invites/mine')).body.items
    expect(await mine()).toMatchObject([{ id: body.id, organization: 'Acme' }])
    await api.call('PATCH', `/v1/users/${guest.user.id}`, { verified: false })
    expect(await mine()).toEqual([])
    await api.call('PATCH', `/v1/users/${guest.user.id}`, { verified: true })
    // That signs them out: somebody else may have claimed the address before.
    expect(await mine()).toBeUndefined()
    const { token } = (await api.call('POST', '/v1/sessions', { user: guest.user.id })).body
    const again = async () =>
      (await all.ask('GET', '/v1/invites/mine', undefined, { authorization: `Bearer ${token}` })).body.items
    expect(await again()).toMatchObject([{ id: body.id }])
    await api.call('POST', `/v1/invites/${body.id}/revoke`)
    expect(await again()).toEqual([])
  })
})

describe('sending again and withdrawing', () => {
  it('I7: a new token, the old one dead, one live invite; role and address may be other ones', async () => {
    const [email, other] = [fresh(), fresh()]
    const first = (await create({ email, message: 'Hello' })).body
    const { status, headers, body: second } = await api.call('POST', `/v1/invites/${first.id}/resend`)
    expect([status, headers.get('location')]).toEqual([201, `/v1/invites/${second.id}`])
    expect(second).toMatchObject({ email, message: 'Hello', resend_of: first.id, deliver: 'return' })
    expect(second.token).not.toBe(first.token)
    const third = (await api.call('POST', `/v1/invites/${second.id}/resend`, { role: 'admin', email: other })).body
    expect(third).toMatchObject({ email: other, role: 'admin', resend_of: second.id })
    const { items } = (await api.call('GET', `/v1/invites?organization=${organization.id}&live=true`)).body
    expect(items).toMatchObject([{ id: third.id }])
    const guest = await all.signedIn(email)
    for (const { token } of [first, second])
      expect((await guest.ask('POST', '/v1/invites/accept', { token })).status).toBe(404)
    const again = await api.call('POST', `/v1/invites/${first.id}/resend`)
    expect(again.body).toMatchObject({ status: 409, code: 'already_ended' })
  })

  it('three an hour; the fourth says when', async () => {
    let { id } = (await create({ email: fresh() })).body
    for (let i = 0; i < 3; i++) ({ id } = (await api.call('POST', `/v1/invites/${id}/resend`)).body)
    const { status, headers, body } = await api.call('POST', `/v1/invites/${id}/resend`)
    expect([status, body.code]).toEqual([429, 'too_soon'])
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(3_000)
    expect((await look(id)).status).toBe('active')
  })

  it('under one Idempotency-Key it is sent again once, and the token is not repeated', async () => {
    const { id } = (await create({ email: fresh() })).body
    const resend = () => api.call('POST', `/v1/invites/${id}/resend`, undefined, { 'idempotency-key': 'resend' })
    const [first, second] = [await resend(), await resend()]
    const { token, url, ...rest } = first.body
    expect(second.body).toEqual(rest)
  })

  it('withdrawn it is dead at once; again it is quiet; another kind’s id is a 404', async () => {
    const email = fresh()
    const { id, token } = (await create({ email })).body
    const withdraw = (body?: object) => api.call('POST', `/v1/invites/${id}/revoke`, body)
    expect((await withdraw({ reason: 'a mistake' })).body).toMatchObject({ status: 'revoked', word: 'withdrawn' })
    expect((await withdraw()).body).toMatchObject({ status: 'revoked' })
    const guest = await all.signedIn(email)
    expect((await guest.ask('POST', '/v1/invites/accept', { token })).status).toBe(404)
    const pass = (await api.call('POST', '/v1/resources', { kind: 'pass' })).body
    for (const verb of ['revoke', 'resend'])
      expect((await api.call('POST', `/v1/invites/${pass.id}/${verb}`)).body).toMatchObject({ status: 404 })
    expect((await api.call('GET', `/v1/resources/${pass.id}`)).body.status).toBe('active')
  })
})

describe('accepting', () => {
  it('I5: nobody signed in, another address, an unverified one: refused, nothing burned; other letter case: accepted', async () => {
    const { id, token } = (await create({ email: 'Linus@Example.com', role: 'admin' })).body
    const nobody = await all.ask('POST', '/v1/invites/accept', { token })
    expect(nobody.body).toMatchObject({ status: 401, code: 'signed_out' })
    const other = await all.signedIn(fresh())
    const refused = await other.ask('POST', '/v1/invites/accept', { token })
    expect(refused.body).toMatchObject({ status: 403, code: 'other_address' })
    const linus = await all.signedIn('linus@example.COM', { verified: false })
    const unverified = await linus.ask('POST', '/v1/invites/accept', { token })
    expect(unverified.body).toMatchObject({ status: 403, code: 'unverified_address' })
    // Organization and role stay hidden.
    for (const { text } of [nobody, refused, unverified]) expect(text).not.toMatch(/Acme|admin|linus/i)
    expect(await look(id)).toMatchObject({ status: 'active' })
    expect(await members()).toEqual([])

    await api.call('PATCH', `/v1/users/${linus.user.id}`, { verified: true })
    // Who was signed in before the address was proven is signed out by that.
    expect((await linus.ask('POST', '/v1/invites/accept', { token })).status).toBe(401)
    const { token: session } = (await api.call('POST', '/v1/sessions', { user: linus.user.id })).body
    const { status, body } = await all.ask(
      'POST',
      '/v1/invites/accept',
      { token },
      { authorization: `Bearer ${session}` },
    )
    expect([status, body.status]).toEqual([200, 'joined'])
    expect(body.organization).toMatchObject({ id: organization.id, name: 'Acme' })
    expect(body.membership).toMatchObject({ user_id: linus.user.id, role: 'admin' })
    expect(await look(id)).toMatchObject({ status: 'consumed', word: 'accepted' })
    expect((await api.call('GET', `/v1/memberships/${body.membership.id}`)).body).toEqual(body.membership)
  })

  it('whoever is a member already is told so, which is a success', async () => {
    const guest = await all.signedIn(fresh())
    const { token } = (await create({ email: guest.user.email })).body
    await guest.ask('POST', '/v1/invites/accept', { token })
    const again = await guest.ask('POST', '/v1/invites/accept', { token })
    expect([again.status, again.body.status]).toEqual([200, 'already-member'])
    expect(await members()).toHaveLength(1)
  })

  it('I2: the last seat: the loser’s invite is unburned, and works once a seat is free, under the same key', async () => {
    organization = await all.organization({ seat_limit: 1 })
    const guests = await Promise.all([all.signedIn(fresh()), all.signedIn(fresh())])
    const invites = await Promise.all(guests.map(({ user }) => create({ email: user.email })))
    const accept = (i: number) =>
      guests[i]?.ask('POST', '/v1/invites/accept', { token: invites[i]?.body.token }, { 'idempotency-key': 'seat' })
    const answers = await Promise.all([accept(0), accept(1)])
    expect(answers.map((answer) => answer?.status).sort()).toEqual([200, 409])
    const loser = answers.findIndex((answer) => answer?.status === 409)
    expect(answers[loser]?.body).toMatchObject({ code: 'seats_taken' })
    expect(await look(invites[loser]?.body.id)).toMatchObject({ status: 'active' })
    expect(await members()).toHaveLength(1)
    await api.call('PATCH', `/v1/organizations/${organization.id}`, { seat_limit: 2 })
    expect((await accept(loser))?.body).toMatchObject({ status: 'joined' })
    expect(await members()).toHaveLength(2)
  })

  it('I1: 20 at once by one user: one membership, one use; each is told that they are a member', async () => {
    const guest = await all.signedIn(fresh())
    const { id, token } = (await create({ email: guest.user.email })).body
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => guest.ask('POST', '/v1/invites/accept', { token })),
    )
    const statuses = answers.map(({ body }) => body.status).filter((status) => status !== 429)
    expect(statuses.filter((status) => status === 'joined')).toHaveLength(1)
    expect(new Set(statuses)).toEqual(new Set(['joined', 'already-member']))
    expect(await members()).toHaveLength(1)
    const { items } = (await api.call('GET', `/v1/resources/${id}/events?type=consumed`)).body
    expect(items).toMatchObject([{ actor: `user:${guest.user.id}` }])
  })

  it('under one Idempotency-Key it is done once, and keys of others are others', async () => {
    const [one, two] = [await all.signedIn(fresh()), await all.signedIn(fresh())]
    const key = { 'idempotency-key': 'mine' }
    for (const { user, ask } of [one, two]) {
      const { token } = (await create({ email: user.email })).body
      const accept = () => ask('POST', '/v1/invites/accept', { token }, key)
      const [first, second] = [await accept(), await accept()]
      expect([first.status, second.status, second.text]).toEqual([200, 200, first.text])
      expect(second.body.status).toBe('joined')
      expect(second.headers.get('idempotent-replayed')).toBe('true')
    }
  })

  it('by its id, for whom it is for: reading the mailbox is what proves the right to it', async () => {
    const guest = await all.signedIn(fresh())
    const { id } = (await create({ email: guest.user.email })).body
    expect((await all.ask('POST', `/v1/invites/${id}/accept`)).body).toMatchObject({ status: 401, code: 'signed_out' })
    expect((await api.call('POST', `/v1/invites/${id}/accept`)).body).toMatchObject({ status: 403, code: 'forbidden' })
    expect((await guest.ask('POST', `/v1/invites/${id}/accept`)).body).toMatchObject({ status: 'joined' })
  })

  it('the host application accepts for a user whom it vouches for, known or not', async () => {
    const email = fresh()
    const { token } = (await create({ email })).body
    const missing = await api.call('POST', '/v1/invites/accept', { token })
    expect(missing.body).toMatchObject({ status: 422, field: 'email' })
    const other = await api.call('POST', '/v1/invites/accept', { token, email: fresh() })
    expect(other.body).toMatchObject({ status: 403, code: 'other_address' })
    const vouched = { token, email: email.toUpperCase(), name: 'Margaret', reference: email }
    const { status, body } = await api.call('POST', '/v1/invites/accept', vouched)
    expect([status, body.status]).toEqual([200, 'joined'])
    const user = (await api.call('GET', `/v1/users/${encodeURIComponent(email)}`)).body
    expect(user).toMatchObject({ id: body.membership.user_id, name: 'Margaret', verified_at: expect.any(String) })
    const guest = await all.signedIn(fresh())
    const foreign = await guest.ask('POST', '/v1/invites/accept', { token, email })
    expect(foreign.body).toMatchObject({ status: 422, field: 'email' })
  })
})

describe('declining', () => {
  it('ends it, by the token or the id; it is for whom it is for', async () => {
    const guest = await all.signedIn(fresh())
    const other = await all.signedIn(fresh())
    const first = (await create({ email: guest.user.email })).body
    expect((await all.ask('POST', '/v1/invites/decline', { token: first.token })).status).toBe(401)
    const refused = await other.ask('POST', '/v1/invites/decline', { token: first.token })
    expect(refused.body).toMatchObject({ status: 403, code: 'other_address' })
    const declined = await guest.ask('POST', '/v1/invites/decline', { token: first.token })
    expect([declined.status, declined.body]).toEqual([200, { status: 'declined' }])
    expect((await look(first.id)).status).toBe('revoked')
    const second = (await create({ email: guest.user.email })).body
    expect((await guest.ask('POST', `/v1/invites/${second.id}/decline`)).body).toEqual({ status: 'declined' })
    expect((await guest.ask('POST', `/v1/invites/${second.id}/decline`)).status).toBe(404)
    expect(await members()).toEqual([])
  })
})

it('I3: nothing of an invite is done by looking', async () => {
  const guest = await all.signedIn(fresh())
  const { id, token } = (await create({ email: guest.user.email })).body
  const before = await api.everything()
  for (const path of ['accept', 'decline', `${id}/accept`, `${id}/decline`])
    for (const method of ['GET', 'HEAD'])
      expect((await guest.ask(method, `/v1/invites/${path}?token=${token}`)).status).toBe(405)
  for (const path of ['', '/mine', `/${id}`])
    for (const { ask } of [guest, all]) await ask('HEAD', `/v1/invites${path}`)
  expect(await api.everything()).toEqual(before)
})

it('what stands in for these verbs elsewhere is closed: an invite is not issued or used as a resource', async () => {
  const issued = await api.call('POST', '/v1/resources', { kind: 'invite' })
  expect(issued.body).toMatchObject({ status: 422, code: 'kind_has_verbs', field: 'kind' })
  const { id } = (await create({ email: fresh() })).body
  expect((await api.call('POST', `/v1/resources/${id}/consume`)).body).toMatchObject({ code: 'kind_has_verbs' })
})
