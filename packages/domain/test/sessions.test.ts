import { describe, expect, it } from 'vitest'
import { session } from '../src/index.ts'
import { newToken } from '../src/secret.ts'
import { counting } from './counting.ts'
import { testPeople } from './people.ts'
import { day, hour, minute } from './support.ts'
import { mixed } from './tokens.ts'

const { age, another, domain, fresh, history, person, sessions, statusOf, url, users } = await testPeople()
const denied = { status: 'denied', known: true }

const signedIn = async (userId?: string) => {
  const { token, session: made, user } = await sessions.issue({ userId: userId ?? (await person()).id })
  return { token, id: made.id, user, made }
}
const remaining = ({ endsAt, seenAt }: { endsAt: Date; seenAt: Date }) => endsAt.getTime() - seenAt.getTime()
const used = async (token: string) => {
  const answer = await sessions.authenticate(token)
  return answer.status === 'valid' ? answer.session : undefined
}

describe('a session', () => {
  it('is issued for seven days, with a token that is shown once', async () => {
    const user = await person()
    const { token, session: made, timer } = await sessions.issue({ userId: user.id, agent: 'Firefox' })
    expect(made).toMatchObject({ kind: 'session', subject: user.id, payload: { agent: 'Firefox' }, status: 'active' })
    expect([made.expiresAt.getTime() - made.issuedAt.getTime(), timer]).toEqual([7 * day, 'armed'])
    expect(await sessions.authenticate(token)).toMatchObject({ status: 'valid', session: { id: made.id }, user })
  })

  it('is for users that there are', async () => {
    const { id } = await users.delete((await person()).id)
    for (const userId of [id, 'nonsense'])
      await expect(sessions.issue({ userId })).rejects.toMatchObject({ code: 'unknown_user', field: 'user' })
  })

  it('remembers of the browser what can be stored', async () => {
    const { session: made } = await sessions.issue({ userId: (await person()).id, agent: `\0\ud800${'x'.repeat(300)}` })
    expect(made.payload.agent).toBe('x'.repeat(198))
  })

  it('is denied to any other token, once revoked, once over, and with its user gone; no event comes of it', async () => {
    const [live, revoked, over, swept, orphan] = [
      await signedIn(),
      await signedIn(),
      await signedIn(),
      await signedIn(),
      await signedIn(),
    ]
    await sessions.revoke(revoked.user.id, revoked.id)
    await age([over.id, swept.id], 7 * day)
    await domain.advance({ trigger: 'sweep' }, { ids: [swept.id] })
    await users.delete(orphan.user.id)
    const before = await domain.events({}, { limit: 1 })
    const { people, statements, close } = counting(url, [session()])
    const foreign = ['', 'nonsense', newToken('session').token, newToken('invite').token]
    foreign.push(mixed(live.token, newToken('session').token))
    const ended = [revoked, over, swept, orphan].map(({ token }) => token)
    for (const [n, token] of [...foreign, ...ended].entries()) {
      const answer = await people.sessions.authenticate(token)
      expect(answer).toEqual({ status: 'denied', known: n >= foreign.length })
      expect(statements()).toBe(n + 1)
    }
    expect(await domain.events({}, { limit: 1 })).toEqual(before)
    expect(await used(live.token)).toMatchObject({ id: live.id })
    await close()
  })
})

describe('sliding', () => {
  it('is written at most once an hour', async () => {
    const { id, token } = await signedIn()
    await age(id, hour - minute)
    for (let n = 0; n < 3; n++) expect(await used(token)).toMatchObject({ version: 1 })
    await age(id, 2 * minute)
    const slid = await used(token)
    expect(slid).toMatchObject({ id, version: 2 })
    expect(slid && remaining(slid)).toBeGreaterThan(7 * day - minute)
    const { people, statements, close } = counting(url, [session()])
    for (let n = 1; n <= 3; n++) {
      expect(await people.sessions.authenticate(token)).toMatchObject({ session: { version: 2 } })
      // The session and its user are read, and nothing else.
      expect(statements()).toBe(2 * n)
    }
    await close()
    expect(await history(id)).toEqual(['issued', 'renewed'])
    expect(await domain.events({ resourceId: id, type: 'renewed' })).toMatchObject([{ actor: 'session' }])
  })

  it('of a kind with a shorter life is written once in a tenth of it, and ends with the longest that was said', async () => {
    const short = another([session({ idle: '10m', longest: '25m' })]).ownVerbs(async () => true)
    const { token, session: made } = await short.sessions.issue({ userId: (await person()).id })
    expect(made.expiresAt.getTime() - made.issuedAt.getTime()).toBe(10 * minute)
    const usedAfter = async (ms: number) => {
      await age(made.id, ms)
      const answer = await short.sessions.authenticate(token)
      return answer.status === 'valid' ? answer.session : undefined
    }
    expect(await usedAfter(minute / 2)).toMatchObject({ version: 1 })
    const slid = await usedAfter(9 * minute)
    expect(slid).toMatchObject({ version: 2 })
    expect(slid && remaining(slid)).toBeGreaterThan(9 * minute)
    const last = await usedAfter(9 * minute)
    expect(last && last.expiresAt.getTime() - last.issuedAt.getTime()).toBe(25 * minute)
    expect(await usedAfter(7 * minute)).toBeUndefined()
    expect(() => session({ idle: '31d' })).toThrow('sessions: longest is below idle')
    expect(() => session({ idle: 'soon' as '1h' })).toThrow('sessions.idle is not a duration')
  })

  it('keeps one that is used alive for thirty days, and not a moment longer', async () => {
    const { id, token, made } = await signedIn()
    for (let days = 6; days <= 24; days += 6) {
      await age(id, 6 * day)
      const slid = await used(token)
      expect(slid && remaining(slid)).toBeGreaterThan(Math.min(7, 30 - days) * day - minute)
    }
    await age(id, 6 * day - minute)
    const versions: (number | undefined)[] = []
    for (let n = 0; n < 3; n++) versions.push((await used(token))?.version)
    // At the maximum there is nothing to be written any more.
    expect(new Set(versions)).toEqual(new Set([5]))
    const { issuedAt, endsAt } = await domain.resources.get(id)
    expect(endsAt.getTime() - issuedAt.getTime()).toBe(30 * day)
    await age(id, minute)
    expect(await sessions.authenticate(token)).toEqual(denied)
    expect(made.version).toBe(1)
  })

  it('does not wake one that was idle for seven days', async () => {
    const { id, token } = await signedIn()
    await age(id, 7 * day)
    expect(await sessions.authenticate(token)).toEqual(denied)
    expect(await history(id)).toEqual(['issued'])
  })
})

describe('my sessions', () => {
  it('are the live ones, newest first, and nobody else’s', async () => {
    const user = await person()
    const [one, over, revoked, last] = [
      await signedIn(user.id),
      await signedIn(user.id),
      await signedIn(user.id),
      await signedIn(user.id),
    ]
    await signedIn()
    await age(over.id, 7 * day)
    await sessions.revoke(user.id, revoked.id)
    expect((await sessions.list(user.id)).map(({ id }) => id)).toEqual([last.id, one.id])
    expect(await sessions.list(user.id, { limit: 1 })).toMatchObject([{ id: last.id }])
    expect(await sessions.list(fresh())).toEqual([])
  })

  it('are revoked one by one, with effect on the next request, quietly the second time', async () => {
    const { id, token, user } = await signedIn()
    const other = await signedIn(user.id)
    const revoked = await sessions.revoke(user.id, id, { actor: `user:${user.id}`, reason: 'lost my phone' })
    expect(revoked).toMatchObject({ id, status: 'revoked', word: 'signed out' })
    expect(await sessions.revoke(user.id, id)).toMatchObject({ status: 'revoked' })
    expect([await used(token), (await used(other.token))?.id]).toEqual([undefined, other.id])
    expect(await domain.events({ resourceId: id, type: 'revoked' })).toMatchObject([{ reason: 'lost my phone' }])
  })

  it('are not somebody else’s to revoke', async () => {
    const [mine, theirs] = [await signedIn(), await signedIn()]
    for (const id of [theirs.id, 'nonsense', mine.user.id])
      await expect(sessions.revoke(mine.user.id, id)).rejects.toMatchObject({ code: 'not_found' })
    expect(await statusOf(theirs.id)).toBe('active')
  })

  it('are revoked all at once, or all but one', async () => {
    const user = await person()
    const mine = [await signedIn(user.id), await signedIn(user.id), await signedIn(user.id)]
    const other = await signedIn()
    const kept = mine[1]?.id ?? ''
    expect(await sessions.revokeAll(user.id, { except: kept }, { reason: 'signed out' })).toBe(2)
    expect((await sessions.list(user.id)).map(({ id }) => id)).toEqual([kept])
    expect(await domain.events({ resourceId: mine[0]?.id ?? '', type: 'revoked' })).toMatchObject([
      { trigger: 'cascade', reason: 'signed out' },
    ])
    expect(await sessions.revokeAll(user.id, { except: 'nonsense' })).toBe(1)
    expect(await sessions.revokeAll(user.id)).toBe(0)
    expect(await sessions.revokeAll('nonsense')).toBe(0)
    expect(await statusOf(other.id)).toBe('active')
  })
})
