import { describe, expect, it } from 'vitest'
import { type Kind, session, verification } from '../src/index.ts'
import { newToken } from '../src/secret.ts'
import { counting } from './counting.ts'
import { letterOf } from './letters.ts'
import { testPeople } from './people.ts'
import { day, minute } from './support.ts'

const stage = await testPeople()
const { age, another, company, domain, fresh, history, invited, invites, person, refusals, sessions, signIn } = stage
const { sql, statusOf, url, users, verifications } = stage
const denied = { status: 'denied' }

/** What was sent to this address to sign in with. */
const sentTo = async (email: string) => {
  const [made] = await domain.resources.list({ kind: 'verification', reference: `sign-in:${email.toLowerCase()}` })
  const mail = made && (await letterOf(stage, made.id))
  return made && mail && { ...mail, id: made.id, token: mail.secrets.token ?? '' }
}
const requested = async (email: string, more: { invite?: string } = {}) => {
  await signIn.request(email, more)
  const sent = await sentTo(email)
  if (!sent) throw new Error('nothing was sent')
  return sent
}

describe('a request', () => {
  it('sends a link to a user, at the address that we know', async () => {
    const email = `Ada.${fresh()}`
    await users.create({ email })
    expect(await signIn.request(email.toUpperCase())).toBeUndefined()
    const { to, letter, token } = (await sentTo(email)) ?? {}
    expect(to).toBe(email)
    expect(letter?.action?.url).toBe(`https://lapse.example/sign-in/open?token=${token}`)
  })

  it('sends one to somebody who is invited, for as long as they are', async () => {
    const { organization } = await company()
    const [open, over, withdrawn] = [fresh(), fresh(), fresh()]
    await invited(organization.id, open)
    await age((await invited(organization.id, over)).id, 7 * day)
    await invites.revoke((await invited(organization.id, withdrawn)).id)
    for (const email of [open, over, withdrawn]) expect(await signIn.request(email)).toBeUndefined()
    expect(await sentTo(open)).toMatchObject({ to: open })
    expect([await sentTo(over), await sentTo(withdrawn)]).toEqual([undefined, undefined])
  })

  it('by anybody else leaves an event and nothing more, and is answered by as many statements', async () => {
    const [known, unknown] = [(await person()).email, fresh()]
    const { people, statements, close } = counting(url, [verification()])
    const [before] = await domain.events({}, { limit: 1 })
    expect(await people.signIn.request(unknown)).toBeUndefined()
    const ignored = statements()
    expect(await domain.events({}, { limit: 1 })).toMatchObject([{ type: 'refused', reason: 'unknown-address' }])
    expect(BigInt((await domain.events({}, { limit: 1 }))[0]?.id ?? 0) - BigInt(before?.id ?? 0)).toBe(1n)
    const [row] = await sql('SELECT count(*)::int AS n FROM resource WHERE subject = $1', [unknown])
    expect(row).toEqual({ n: 0 })
    await people.signIn.request(known)
    expect(statements()).toBe(2 * ignored)
    await close()
  })

  it("for an account of the host's whose address is not proven sends nothing: it may be somebody else's", async () => {
    const { email } = await users.create({ email: fresh(), reference: fresh() })
    expect(await signIn.request(email)).toBeUndefined()
    expect(await sentTo(email)).toBeUndefined()
    expect(await domain.events({}, { limit: 1 })).toMatchObject([{ type: 'refused', reason: 'unverified-user' }])
  })

  it('of no address is refused', async () => {
    await expect(signIn.request('nobody')).rejects.toMatchObject({ code: 'invalid', field: 'email' })
  })

  it('brings the invite along that was about to be opened, if it looks like one', async () => {
    const { email } = await person()
    const { token: invite } = newToken('invite')
    const { letter } = await requested(email, { invite })
    expect(letter.action?.url).toMatch(new RegExp(`\\?token=[0-9A-Za-z_]+&invite=${invite}$`))
    for (const wrong of ['', 'nonsense', newToken('session').token])
      expect((await requested(email, { invite: wrong })).letter.action?.url).not.toContain('&')
  })

  it('supersedes the one before', async () => {
    const { email } = await person()
    const [first, second] = [await requested(email), await requested(email)]
    expect(await signIn.open(first.token)).toEqual(denied)
    expect(await refusals(first.id)).toEqual(['superseded'])
    expect(await signIn.open(second.token)).toMatchObject({ status: 'signed-in' })
  })
})

describe('the link', () => {
  it('signs a user in, and verifies their address', async () => {
    const user = await users.create({ email: fresh() })
    const { token, id } = await requested(user.email)
    const opened = await signIn.open(token, { agent: 'Firefox' })
    if (opened.status === 'denied') throw new Error('denied')
    expect(opened).toMatchObject({
      ...{ status: 'signed-in', token: expect.stringMatching(/^lps_session_/) },
      ...{
        session: { subject: user.id, payload: { agent: 'Firefox' } },
        user: { id: user.id, verifiedAt: expect.any(Date) },
      },
    })
    expect(await sessions.authenticate(opened.token)).toMatchObject({ status: 'valid', user: { id: user.id } })
    expect(await history(id)).toEqual(['issued', 'consumed'])
    expect(await domain.events({ resourceId: opened.session.id, type: 'issued' })).toMatchObject([
      { actor: `user:${user.id}` },
    ])
  })

  it('makes a user of somebody who is invited', async () => {
    const { organization } = await company()
    const email = `Ada.${fresh()}`
    await invited(organization.id, email)
    const { token } = await requested(email.toLowerCase())
    const opened = await signIn.open(token)
    expect(opened).toMatchObject({ user: { canonical: email.toLowerCase(), verifiedAt: expect.any(Date) } })
    expect(await users.find({ email })).toMatchObject({ canonical: email.toLowerCase() })
  })

  it('I3: opened by twenty scanners is not used; the click that comes after them counts', async () => {
    const { token, id } = await requested((await person()).email)
    for (let n = 0; n < 20; n++)
      expect(await verifications.look(token, { purposes: ['sign-in'] })).toEqual({ valid: true })
    expect(await history(id)).toEqual(['issued'])
    expect(await signIn.open(token)).toMatchObject({ status: 'signed-in' })
  })

  it('I4: once used, over, revoked or made for something else it is denied like any other, and signs nobody in', async () => {
    const sent = async () => requested((await person()).email)
    const [used, over, revoked] = [await sent(), await sent(), await sent()]
    const reset = await verifications.request({
      purpose: 'reset-password',
      email: (await person()).email,
      deliver: 'return',
    })
    await signIn.open(used.token)
    await age(over.id, 10 * minute)
    await domain.resources.revoke('verification', revoked.id)
    const count = () => domain.resources.count({ kind: 'session' })
    const before = await count()
    for (const token of [used.token, over.token, revoked.token, reset.token ?? '', newToken('verification').token, ''])
      expect(await signIn.open(token)).toEqual(denied)
    expect(await count()).toBe(before)
    expect(await statusOf(reset.verification.id)).toBe('active')
    expect(await Promise.all([used, over, revoked, reset.verification].map(({ id }) => refusals(id)))).toEqual([
      ...[['consumed'], ['expired'], ['revoked'], ['wrong-purpose']],
    ])
  })

  it('I1: is not used, and makes no user, when the session cannot be issued', async () => {
    const failing: Kind = {
      ...session(),
      hooks: {
        issued: () => {
          throw new Error('no')
        },
      },
    }
    const { signIn: at } = another([failing, verification()]).ownVerbs(async () => true)
    const { organization } = await company()
    const email = fresh()
    await invited(organization.id, email)
    const { token, id } = await requested(email)
    await expect(at.open(token)).rejects.toThrow('no')
    expect([await statusOf(id), await users.find({ email })]).toEqual(['active', undefined])
    expect(await signIn.open(token)).toMatchObject({ status: 'signed-in' })
  })

  it('of somebody whose invite is withdrawn meanwhile signs nobody in', async () => {
    const { organization } = await company()
    const email = fresh()
    const { id: inviteId } = await invited(organization.id, email)
    const { token, id } = await requested(email)
    await invites.revoke(inviteId)
    expect(await signIn.open(token)).toEqual(denied)
    expect([await refusals(id), await users.find({ email })]).toEqual([['unknown-address'], undefined])
  })

  it("leaves an account of the host's alone until its address is proven, and is not used by that", async () => {
    const { organization } = await company()
    const email = fresh()
    await invited(organization.id, email)
    const { token, id } = await requested(email)
    const { id: userId } = await users.create({ email, reference: fresh() })
    expect(await signIn.open(token)).toEqual(denied)
    expect([await statusOf(id), await refusals(id)]).toEqual(['active', ['unverified-user']])
    await users.update(userId, { verified: true })
    expect(await signIn.open(token)).toMatchObject({ status: 'signed-in', user: { id: userId } })
  })

  it('of somebody who is deleted meanwhile is dead', async () => {
    const { id: userId, email } = await person()
    const { token, id } = await requested(email)
    await users.delete(userId)
    expect(await signIn.open(token)).toEqual(denied)
    expect([await refusals(id), await users.find({ email })]).toEqual([['revoked'], undefined])
  })
})
