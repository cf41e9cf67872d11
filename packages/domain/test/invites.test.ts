import { describe, expect, it } from 'vitest'
import { testPeople } from './people.ts'
import { day, hour, minute, second } from './support.ts'

const stage = await testPeople()
const {
  age,
  company,
  domain,
  fresh,
  history,
  invited,
  invites,
  mailed,
  memberships,
  organizations,
  person,
  refusals,
  sql,
} = stage
const { statusOf, users } = stage
const nobody = '00000000-0000-0000-0000-000000000000'

const life = (resource: { issuedAt: Date; expiresAt: Date }) =>
  resource.expiresAt.getTime() - resource.issuedAt.getTime()

describe('an invite', () => {
  it('lives 72 hours, 24 for admins and owners, and 7 days at most', async () => {
    const { organization } = await company()
    const { id } = organization
    expect(life((await invited(id, fresh())).invite)).toBe(72 * hour)
    expect(life((await invited(id, fresh(), 'admin')).invite)).toBe(24 * hour)
    expect(life((await invited(id, fresh(), 'owner')).invite)).toBe(24 * hour)
    const long = (expiresInMs: number) =>
      invites.create({ organization: id, email: fresh(), role: 'member', deliver: 'return', expiresInMs })
    expect(life((await long(7 * day)).invite)).toBe(7 * day)
    await expect(long(7 * day + second)).rejects.toMatchObject({ code: 'lifetime_too_long', field: 'expires_in' })
  })

  it('is one for each organization and address, in any letter case', async () => {
    const [{ organization }, other] = [await company(), await company()]
    const email = fresh()
    await invited(organization.id, email)
    const again = invited(organization.id, email.toUpperCase())
    await expect(again).rejects.toMatchObject({ code: 'invite_live', field: 'email' })
    await invited(other.organization.id, email)
  })

  it("is never for a role above the inviter's, who has to be a member", async () => {
    const { organization, owner } = await company()
    const admin = await person()
    await memberships.add({ organization: organization.id, user: admin.id, role: 'admin' })
    await invited(organization.id, fresh(), 'admin', admin.id)
    await invited(organization.id, fresh(), 'owner', owner.id)
    const above = invited(organization.id, fresh(), 'owner', admin.id)
    await expect(above).rejects.toMatchObject({ code: 'role_too_high', field: 'role' })
    const stranger = invited(organization.id, fresh(), 'member', (await person()).id)
    await expect(stranger).rejects.toMatchObject({ code: 'role_too_high', field: 'invited_by' })
    const unknown = invited(organization.id, fresh(), 'member', 'no-such-user')
    await expect(unknown).rejects.toMatchObject({ code: 'unknown_user', field: 'invited_by' })
  })

  it('goes with the role of whoever sent it', async () => {
    const { organization } = await company()
    const admin = await person()
    const { id } = await memberships.add({ organization: organization.id, user: admin.id, role: 'admin' })
    const [high, low] = [
      await invited(organization.id, fresh(), 'admin', admin.id),
      await invited(organization.id, fresh(), 'member', admin.id),
    ]
    await memberships.setRole(id, 'member')
    expect([await statusOf(high.id), await statusOf(low.id)]).toEqual(['revoked', 'active'])
    await memberships.remove(id)
    expect(await statusOf(low.id)).toBe('revoked')
  })

  it('is not made for a member, nor in an organization that is unknown or not active', async () => {
    const { organization, owner } = await company()
    const member = invited(organization.id, owner.email)
    await expect(member).rejects.toMatchObject({ code: 'already_a_member', field: 'email' })
    await expect(invited('no-such', fresh())).rejects.toMatchObject({ code: 'unknown_organization' })
    await organizations.suspend(organization.id)
    await expect(invited(organization.id, fresh())).rejects.toMatchObject({ code: 'organization_not_active' })
  })

  it('mails its token sealed, and erases it when it is sent or when the invite ends', async () => {
    const { organization } = await company()
    const mailed = () => invites.create({ organization: organization.id, email: fresh(), role: 'member' })
    const first = await mailed()
    expect(first.token).toBeUndefined()
    const sealedOf = (id: string) =>
      sql(`SELECT sealed, status FROM delivery WHERE resource_id = $1 AND event = 'issued'`, [id])
    const [delivery] = await domain.deliveries.list({ resourceId: first.invite.id })
    const claimed = await domain.deliveries.claim(delivery?.id ?? '', 30_000)
    if (claimed.verdict !== 'claimed' || !('sealed' in claimed.claim.about)) throw new Error('not claimed')
    const { token = '' } = domain.secrets.open(first.invite.id, claimed.claim.about.sealed ?? Buffer.alloc(0))
    expect(token).toMatch(/^lps_invite_[0-9A-Za-z]{65}$/)
    expect(await invites.look(token)).toEqual({ state: 'signed-out' })
    await domain.deliveries.settle(delivery?.id ?? '', 1, 1, { status: 'sent' })
    expect(await sealedOf(first.invite.id)).toEqual([{ sealed: null, status: 'sent' }])

    const second = await mailed()
    await invites.revoke(second.invite.id)
    expect(await sealedOf(second.invite.id)).toEqual([{ sealed: null, status: 'cancelled' }])
    const third = await mailed()
    await age(third.invite.id, 73 * hour)
    await domain.advance({ trigger: 'sweep' })
    const [ended] = await sealedOf(third.invite.id)
    expect(ended).toEqual({ sealed: null, status: 'cancelled' })
  })
})

describe('accepting', () => {
  it('makes the member and uses the invite; again by the same user it says so, by another it is denied', async () => {
    const { organization } = await company()
    const user = await person()
    const { id, token } = await invited(organization.id, user.email, 'admin')
    expect(await invites.accept({ token }, user)).toMatchObject({
      ...{ status: 'joined', organization: { id: organization.id }, membership: { userId: user.id, role: 'admin' } },
    })
    expect(await invites.accept({ token }, user)).toMatchObject({ status: 'already-member' })
    expect(await invites.accept({ token }, await person())).toEqual({ status: 'denied' })
    expect(await history(id)).toEqual(['issued', 'consumed', 'refused'])
    const [event] = await domain.events({ resourceId: id, type: 'consumed' })
    expect(event).toMatchObject({ actor: `user:${user.id}`, trigger: 'manual' })
  })

  it('I5: another address and an unverified one are blocked, other letter case is not; nothing is burned before', async () => {
    const { organization } = await company()
    const email = fresh()
    const { id, token } = await invited(organization.id, email.toUpperCase())
    expect(await invites.look(token)).toEqual({ state: 'signed-out' })
    const stranger = await person()
    expect(await invites.look(token, stranger)).toEqual({ state: 'other-address' })
    expect(await invites.accept({ token }, stranger)).toEqual({ status: 'other-address' })
    const unverified = await users.create({ email })
    expect(await invites.look(token, unverified)).toEqual({ state: 'unverified' })
    expect(await invites.accept({ token }, unverified)).toEqual({ status: 'unverified' })
    expect([await statusOf(id), await memberships.find(organization.id, unverified.id)]).toEqual(['active', undefined])
    const verified = await users.update(unverified.id, { verified: true })
    expect(await invites.look(token, verified)).toMatchObject({ state: 'open', organization: { name: 'Acme' } })
    expect(await invites.accept({ token }, verified)).toMatchObject({ status: 'joined' })
  })

  it('by its id is for whoever has the address, and tells nobody else that it is there', async () => {
    const { organization } = await company()
    const [user, stranger] = [await person(), await person()]
    const { id } = await invited(organization.id, user.email)
    expect((await invites.mine(user)).map(({ invite }) => invite.id)).toEqual([id])
    expect(await invites.mine(stranger)).toEqual([])
    expect(await invites.accept({ id }, stranger)).toEqual({ status: 'denied' })
    expect(await invites.accept({ id: nobody }, user)).toEqual({ status: 'denied' })
    expect(await invites.accept({ id: 'no id' }, user)).toEqual({ status: 'denied' })
    expect(await invites.accept({ id }, user)).toMatchObject({ status: 'joined' })
    expect(await invites.mine(user)).toEqual([])
  })

  it('I2: a full organization leaves the invite unburned; it works once a seat is free', async () => {
    const { organization, owner } = await company({ seatLimit: 2 })
    const [first, second] = [await person(), await person()]
    const [one, two] = [await invited(organization.id, first.email), await invited(organization.id, second.email)]
    expect(await invites.accept(one, first)).toMatchObject({ status: 'joined' })
    expect(await invites.look(two.token, second)).toMatchObject({ state: 'open', full: true })
    expect(await invites.accept(two, second)).toMatchObject({ status: 'full' })
    expect(await statusOf(two.id)).toBe('active')
    const membership = await memberships.find(organization.id, first.id)
    await memberships.remove(membership?.id ?? '')
    expect(await invites.accept(two, second)).toMatchObject({ status: 'joined' })
    expect(await memberships.find(organization.id, owner.id)).toBeDefined()
  })

  it('for a user whom the host vouches for makes the user, and only for the address it was sent to', async () => {
    const { organization } = await company()
    const email = fresh()
    const { token } = await invited(organization.id, email)
    const other = fresh()
    expect(await invites.acceptFor(token, { email: other })).toEqual({ status: 'other-address' })
    expect(await users.find({ email: other })).toBeUndefined()
    expect(await invites.acceptFor(token, { email, name: 'Ada', reference: email })).toMatchObject({ status: 'joined' })
    expect(await users.get(email)).toMatchObject({ name: 'Ada', verifiedAt: expect.any(Date) })
    expect(await invites.acceptFor('lps_invite_nonsense', { email: fresh() })).toEqual({ status: 'denied' })
  })

  it('after removal an old link is dead, and so is one that was never used', async () => {
    const { organization } = await company()
    const user = await person()
    const used = await invited(organization.id, user.email)
    await invites.accept(used, user)
    const membership = await memberships.find(organization.id, user.id)
    await memberships.remove(membership?.id ?? '')
    expect(await invites.accept(used, user)).toEqual({ status: 'denied' })
    expect(await invites.look(used.token, user)).toEqual({ state: 'denied' })

    const unused = await invited(organization.id, user.email)
    const again = await memberships.add({ organization: organization.id, user: user.id, role: 'member' })
    await memberships.remove(again.id)
    expect(await invites.accept(unused, user)).toEqual({ status: 'denied' })
  })

  it('a member who comes by another way is told so, and no invite is left for them', async () => {
    const { organization } = await company()
    const user = await person()
    const { id, token } = await invited(organization.id, user.email, 'owner')
    await memberships.add({ organization: organization.id, user: user.id, role: 'member' })
    expect(await statusOf(id)).toBe('revoked')
    expect(await invites.look(token, user)).toMatchObject({ state: 'member' })
    expect(await invites.accept({ token }, user)).toMatchObject({
      ...{ status: 'already-member', membership: { role: 'member' } },
    })
    expect(await invites.look(token)).toEqual({ state: 'denied' })
  })

  it('B10: suspended and restored, its invites work again if in date; deleted and restored, never again', async () => {
    const { organization } = await company()
    const [early, late] = [await person(), await person()]
    const [inDate, overdue] = [await invited(organization.id, early.email), await invited(organization.id, late.email)]
    await organizations.suspend(organization.id, { actor: 'ops', reason: 'unpaid' })
    expect(await statusOf(inDate.id)).toBe('suspended')
    expect(await invites.look(inDate.token)).toEqual({ state: 'denied' })
    expect(await invites.accept(inDate, early)).toEqual({ status: 'denied' })
    await age(overdue.id, 73 * hour)
    await organizations.restore(organization.id)
    expect(await invites.accept(inDate, early)).toMatchObject({ status: 'joined' })
    expect(await invites.accept(overdue, late)).toEqual({ status: 'denied' })
    expect(await history(inDate.id)).toEqual(['issued', 'suspended', 'refused', 'restored', 'consumed'])

    const third = await person()
    const gone = await invited(organization.id, third.email)
    await organizations.delete(organization.id)
    await organizations.restore(organization.id)
    expect(await invites.accept(gone, third)).toEqual({ status: 'denied' })
    const [event] = await domain.events({ resourceId: gone.id, type: 'revoked' })
    expect(event).toMatchObject({ trigger: 'cascade', from: 'active', to: 'revoked' })
  })
})

describe('failing tokens', () => {
  it('I4: are denied alike, and the events tell the reasons apart', async () => {
    const { organization } = await company()
    const user = await person()
    const make = () => invited(organization.id, fresh())
    const [expired, revoked, stolen, live] = [await make(), await make(), await make(), await make()]
    await age(expired.id, 73 * hour)
    await invites.revoke(revoked.id)
    const wrong = `${stolen.token.slice(0, 30)}${live.token.slice(30)}`
    for (const token of ['', 'x', 'lps_invite_', expired.token, revoked.token, wrong, `${live.token}x`])
      expect(await invites.accept({ token }, user)).toEqual({ status: 'denied' })
    expect([await refusals(expired.id), await refusals(revoked.id)]).toEqual([['expired'], ['revoked']])
    expect(await refusals(nobody)).toEqual(expect.arrayContaining(['malformed']))
    expect(await statusOf(live.id)).toBe('active')
  })

  it('one bad character anywhere makes it worthless', async () => {
    const { organization } = await company()
    const { token } = await invited(organization.id, fresh())
    for (const at of [4, 11, 20, 26, 27, 50, 69, 70, 75]) {
      const bent = `${token.slice(0, at)}${token[at] === 'a' ? 'b' : 'a'}${token.slice(at + 1)}`
      expect(await invites.look(bent)).toEqual({ state: 'denied' })
    }
    expect(await invites.look(token)).toEqual({ state: 'signed-out' })
  })
})

describe('sending again', () => {
  it('I7: makes a new token and kills the old; role and address may change with it; one live invite', async () => {
    const { organization } = await company()
    const user = await person()
    const old = await invited(organization.id, user.email)
    const again = await invites.resend(old.id, { role: 'admin' })
    expect(again.invite).toMatchObject({ status: 'active', payload: { role: 'admin', resendOf: old.id } })
    expect(await statusOf(old.id)).toBe('revoked')
    expect(await invites.accept(old, user)).toEqual({ status: 'denied' })
    const [event] = await domain.events({ resourceId: old.id, type: 'revoked' })
    expect(event?.reason).toBe('superseded')
    const elsewhere = await invites.resend(again.invite.id, { email: fresh() })
    expect(await invites.accept({ token: again.token ?? '' }, user)).toEqual({ status: 'denied' })
    expect(await invites.mine(user)).toEqual([])
    const live = await domain.resources.list({ kind: 'invite', organizationId: organization.id, live: true })
    expect(live.map(({ id }) => id)).toEqual([elsewhere.invite.id])
    await expect(invites.resend(old.id)).rejects.toMatchObject({ code: 'already_ended' })
    await expect(invites.resend(nobody)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('three an hour, and says when again', async () => {
    const { organization } = await company()
    let { id } = await invited(organization.id, fresh())
    for (let i = 0; i < 3; i++) id = (await invites.resend(id)).invite.id
    const refused = invites.resend(id)
    await expect(refused).rejects.toMatchObject({ code: 'too_soon', status: 429, retryAfter: expect.any(Number) })
    await sql(
      `UPDATE resource SET issued_at = issued_at - interval '61 minutes' WHERE reference = (SELECT reference FROM resource WHERE id = $1)`,
      [id],
    )
    expect((await invites.resend(id)).invite.status).toBe('active')
  })

  it('D5: an expired or declined address is invited again, with a new token', async () => {
    const { organization } = await company()
    const user = await person()
    const first = await invited(organization.id, user.email)
    await age(first.id, 73 * hour)
    const second = await invited(organization.id, user.email)
    expect(await history(first.id)).toContain('expired')
    expect(await invites.decline(second, user)).toEqual({ status: 'declined' })
    expect((await domain.events({ resourceId: second.id }))[0]).toMatchObject({ type: 'revoked', reason: 'declined' })
    const third = await invited(organization.id, user.email)
    expect(new Set([first.token, second.token, third.token]).size).toBe(3)
    expect(await invites.accept(second, user)).toEqual({ status: 'denied' })
    expect(await invites.accept(third, user)).toMatchObject({ status: 'joined' })
  })

  it('an expired one can be sent again', async () => {
    const { organization } = await company()
    const { id } = await invited(organization.id, fresh())
    await age(id, 73 * hour)
    expect((await invites.resend(id)).invite.status).toBe('active')
    expect(await statusOf(id)).toBe('expired')
  })
})

describe('asking for a new invite', () => {
  const mailsAbout = async (resourceId: string) =>
    (await domain.deliveries.list({ resourceId })).filter(({ event }) => event === 'requested')

  it('is written down and tells the inviter, once', async () => {
    const { organization, owner } = await company()
    const { id, token } = await mailed(organization.id, fresh(), 'member', owner.id)
    await invites.requestNew(token)
    expect(await history(id)).toEqual(['issued'])
    await age(id, 73 * hour)
    for (let i = 0; i < 3; i++) await invites.requestNew(token)
    expect(await history(id)).toEqual(['issued', 'requested'])
    expect(await mailsAbout(id)).toMatchObject([{ target: owner.email }])
    await invites.requestNew('lps_invite_nothing')
  })

  it('is written down, once, where no inviter is to be mailed: none, one who has left, or by the host itself', async () => {
    const { organization, owner } = await company()
    const left = await person()
    const membership = await memberships.add({ organization: organization.id, user: left.id, role: 'admin' })
    const theirs = await mailed(organization.id, fresh(), 'member', left.id)
    await memberships.remove(membership.id)
    const nobodys = await mailed(organization.id, fresh())
    const hosts = await invited(organization.id, fresh(), 'member', owner.id)
    for (const { id, token } of [theirs, nobodys, hosts]) {
      await age(id, 73 * hour)
      for (let i = 0; i < 3; i++) await invites.requestNew(token)
      expect((await history(id)).filter((type) => type === 'requested')).toHaveLength(1)
      expect(await mailsAbout(id)).toEqual([])
    }
  })
})

it('C1: one that has just expired is denied and shown as over, though nobody has swept', async () => {
  const { organization } = await company()
  const user = await person()
  const { id, token } = await invited(organization.id, user.email)
  await age(id, 72 * hour + minute)
  expect(await invites.look(token)).toEqual({ state: 'denied' })
  expect(await invites.look(token, user)).toMatchObject({ state: 'expired' })
  expect(await invites.accept({ token }, user)).toEqual({ status: 'denied' })
})
