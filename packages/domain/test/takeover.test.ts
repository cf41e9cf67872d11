import { makeDue } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { defineKind } from '../src/index.ts'
import { plain } from './kinds.ts'
import { testPeople } from './people.ts'
import { minute } from './support.ts'

const brittle = defineKind({
  ...{ name: 'brittle', payload: plain.payload, lifetime: { default: '1d', max: '2d' }, reminders: [] },
  hooks: {
    suspended: () => {
      // With what no text of PostgreSQL holds.
      throw new Error('out\0of order')
    },
    revoked: async (tx) => void (await tx.$executeRaw`SELECT 1 / 0`),
  },
})

const stage = await testPeople([brittle])
const { age, company, domain, fresh, history, invited, invites, memberships, organizations, person, refusals } = stage
const { readyIn, sessions, signIn, sql, statusOf, users, verifications } = stage

/** A link to sign in by, as the mail would bring it. */
const linkFor = async (email: string): Promise<string> => {
  const { token = '' } = await verifications.request({ purpose: 'sign-in', email, deliver: 'return' })
  return token
}

describe('whoever has the address, and nobody who has only claimed it', () => {
  it('is signed in: sessions from before the address was proven end with the proof', async () => {
    const claimed = await users.create({ email: fresh() })
    const { token: mallorys } = await sessions.issue({ userId: claimed.id })
    const opened = await signIn.open(await linkFor(claimed.email))
    expect(opened).toMatchObject({ status: 'signed-in', user: { id: claimed.id, verifiedAt: expect.any(Date) } })
    expect(await sessions.authenticate(mallorys)).toEqual({ status: 'denied', known: true })
    const { token = '' } = opened as { token?: string }
    expect(await sessions.authenticate(token)).toMatchObject({ status: 'valid' })
    // The next sign-in proves nothing new, and ends nothing.
    await signIn.open(await linkFor(claimed.email))
    expect(await sessions.authenticate(token)).toMatchObject({ status: 'valid' })
  })

  it("is not let into a host's account whose address is not proven", async () => {
    const { organization } = await company()
    const claimed = await users.create({ email: fresh(), reference: fresh() })
    const { id } = await invited(organization.id, claimed.email)
    expect(await signIn.open(await linkFor(claimed.email))).toEqual({ status: 'denied' })
    await signIn.request(claimed.email)
    const sent = await domain.resources.list({ kind: 'verification', subject: claimed.canonical, live: true })
    expect(sent.map(({ payload }) => payload.mail)).toEqual([])
    expect((await users.get(claimed.id)).verifiedAt).toBeNull()
    // When the host has had it confirmed, it works.
    const { token = '' } = await verifications.request({
      ...{ purpose: 'confirm-email', email: claimed.email, deliver: 'return' },
    })
    await verifications.consume(token, { purposes: ['confirm-email'] })
    expect(await signIn.open(await linkFor(claimed.email))).toMatchObject({ status: 'signed-in' })
    expect(await statusOf(id)).toBe('active')
  })

  it('keeps what was sent to it from proving it for somebody who has taken it over', async () => {
    const address = fresh()
    const link = await linkFor(address)
    const mallory = await person()
    await users.update(mallory.id, { email: address })
    expect(await signIn.open(link)).toEqual({ status: 'denied' })
    expect((await users.get(mallory.id)).verifiedAt).toBeNull()
  })
})

describe('a link does not outlive the right to it', () => {
  it('of an invite that was withdrawn meanwhile nobody is made a user', async () => {
    const { organization } = await company()
    const email = fresh()
    const { id } = await invited(organization.id, email)
    const link = await linkFor(email)
    await invites.revoke(id)
    expect(await signIn.open(link)).toEqual({ status: 'denied' })
    expect(await users.find({ email })).toBeUndefined()
  })

  it('of a member who was added by the host and removed, the invite is gone', async () => {
    const { organization } = await company()
    const user = await person()
    const { id, token } = await invited(organization.id, user.email, 'admin')
    const { id: membership } = await memberships.add({ organization: organization.id, user: user.id, role: 'member' })
    expect(await statusOf(id)).toBe('revoked')
    const moved = await users.update(user.id, { email: fresh(), verified: true })
    await memberships.remove(membership)
    const heir = await person(user.email)
    for (const who of [moved, heir]) expect(await invites.accept({ token }, who)).toEqual({ status: 'denied' })
  })

  it('of a user who is deleted, invites to the address go too', async () => {
    const { organization } = await company()
    const user = await person()
    const { id } = await invited(organization.id, user.email)
    await users.delete(user.id)
    expect(await statusOf(id)).toBe('revoked')
  })
})

it('25 wrong codes an hour for one address, however many codes were sent to it', async () => {
  const email = fresh()
  const next = async () => {
    const { code = '', verification } = await verifications.request({ purpose: 'code', email, deliver: 'return' })
    return { code, wrong: code === '00000000' ? '11111111' : '00000000', id: verification.id }
  }
  for (let i = 0; i < 6; i++) {
    const { wrong } = await next()
    for (let tries = 0; tries < 4; tries++) await verifications.consumeCode({ email }, wrong)
  }
  const { code, wrong } = await next()
  expect(await verifications.consumeCode({ email }, wrong)).toEqual({ status: 'denied' })
  expect(await verifications.consumeCode({ email }, code)).toEqual({ status: 'denied' })
  const elsewhere = await person()
  const { code: theirs = '' } = await verifications.request({
    ...{ purpose: 'code', email: elsewhere.email, deliver: 'return' },
  })
  expect(await verifications.consumeCode({ email: elsewhere.email }, theirs)).toMatchObject({ status: 'verified' })
  await sql(`UPDATE resource SET issued_at = issued_at - interval '1 hour' WHERE reference = $1`, [`code:${email}`])
  const again = await next()
  expect(await verifications.consumeCode({ email }, again.code)).toMatchObject({ status: 'verified' })
  const reasons = (await refusals('00000000-0000-0000-0000-000000000000')).filter((one) => one === 'too-many-guesses')
  expect(reasons).toHaveLength(1)
})

describe('a suspended organization', () => {
  it('is suspended, and deleted, whatever the hooks of a kind do', async () => {
    const { organization } = await company()
    const issue = async () =>
      (await domain.resources.issue({ kind: 'brittle', organization: organization.id })).resource.id
    const ids = [await issue(), await issue()]
    expect(await organizations.suspend(organization.id)).toMatchObject({ affected: 2 })
    for (const id of ids)
      expect([await statusOf(id), await history(id)]).toEqual(['suspended', ['issued', 'suspended', 'hook-failed']])
    expect(await organizations.delete(organization.id)).toMatchObject({ affected: 2 })
    for (const id of ids)
      expect(await history(id)).toEqual(['issued', 'suspended', 'hook-failed', 'revoked', 'hook-failed'])
    const [event] = await domain.events({ resourceId: ids[0] ?? '', type: 'hook-failed' })
    expect(event).toMatchObject({ trigger: 'cascade', reason: expect.stringContaining('division by zero') })
  })

  it('sends no token that could not be used; when it is restored, it is sent', async () => {
    const { organization } = await company()
    const { invite } = await invites.create({ organization: organization.id, email: fresh(), role: 'member' })
    const [delivery] = await domain.deliveries.list({ resourceId: invite.id })
    const claim = () => domain.deliveries.claim(delivery?.id ?? '', 30_000)
    await organizations.suspend(organization.id)
    expect(await claim()).toEqual({ verdict: 'later', inMs: 5 * minute })
    expect(await readyIn('email')).not.toContainEqual(expect.objectContaining({ id: delivery?.id }))
    await organizations.restore(organization.id)
    await makeDue(sql, delivery?.id)
    expect(await claim()).toMatchObject({ verdict: 'claimed' })
  })
})

it('the audit keeps no address of whom something with a token was for', async () => {
  const { organization } = await company()
  const email = fresh()
  const { id } = await invited(organization.id, email)
  await linkFor(email)
  await age(id, 1)
  const [{ found } = { found: -1 }] = await sql<{ found: number }>(
    'SELECT count(*)::int AS found FROM event e WHERE e::text LIKE $1',
    [`%${email}%`],
  )
  expect(found).toBe(0)
})
