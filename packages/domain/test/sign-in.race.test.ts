import { nowSql } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { type Kind, session, verification } from '../src/index.ts'
import { purposes } from '../src/kinds/verification.ts'
import { letterOf } from './letters.ts'
import { testPeople } from './people.ts'
import { day, tally } from './support.ts'

const stage = await testPeople()
const { age, another, domain, fresh, history, holding, lockWaiters, people, person, refusals, sql, statusOf } = stage
const { sessions, users, verifications } = people
const other = stage.elsewhere()
const forty = <T>(act: (at: typeof people, i: number) => Promise<T>) =>
  Promise.all(Array.from({ length: 40 }, (_, i) => act(i % 2 ? people : other, i)))
const statusesOf = (answers: readonly { status: string }[]) => tally(answers.map(({ status }) => status))

const linked = async (purpose: 'sign-in' | 'reset-password', email: string) => {
  const { verification: made, token = '' } = await verifications.request({ purpose, email, deliver: 'return' })
  return { id: made.id, token }
}
const coded = async (email = fresh()) => {
  const { verification: made, code = '' } = await verifications.request({ purpose: 'code', email, deliver: 'return' })
  return { id: made.id, code, email, wrong: code === '00000000' ? '00000001' : '00000000' }
}
const attemptsOf = async (id: string) =>
  (await sql<{ attempts: number }>('SELECT attempts FROM resource WHERE id = $1', [id]))[0]?.attempts
const lives = (kind: string, subject: string) => domain.resources.count({ kind, subject, live: true })

describe('a link to sign in', () => {
  it.each(['a user', 'somebody new'])(
    'I1: opened 40 times at once by %s: one session, one use, one user',
    async (who) => {
      for (let round = 0; round < 3; round++) {
        const email = who === 'a user' ? (await person()).email : fresh()
        if (who !== 'a user') await stage.invited((await stage.company()).organization.id, email)
        const { id, token } = await linked('sign-in', email)
        const answers = await forty((at) => at.signIn.open(token))
        expect(statusesOf(answers)).toEqual({ 'signed-in': 1, denied: 39 })
        const user = await users.find({ email })
        expect(await lives('session', user?.id ?? '')).toBe(1)
        expect(tally(await history(id))).toEqual({ issued: 1, consumed: 1, refused: 39 })
        expect(await refusals(id)).toEqual(Array(39).fill('consumed'))
      }
    },
  )

  it('asked for 40 times at once for one address: all are answered, and one is live', async () => {
    const { email } = await person()
    await forty((at) => at.signIn.request(email))
    const reference = `sign-in:${email}`
    const all = await domain.resources.list({ kind: 'verification', reference }, { limit: 200 })
    expect(tally(all.map(({ status }) => status))).toEqual({ active: 1, revoked: 39 })
    const live = all.find(({ status }) => status === 'active')
    const mail = await letterOf(stage, live?.id ?? '')
    expect(await people.signIn.open(mail?.secrets.token ?? '')).toMatchObject({ status: 'signed-in' })
  })

  it('opened while another is asked for: signed in, or superseded; never both', async () => {
    const emails = await forty(async () => (await person()).email)
    const links = await forty((_, i) => linked('sign-in', emails[i] ?? ''))
    const answers = await forty(async (at, i) => {
      const [opened] = await Promise.all([at.signIn.open(links[i]?.token ?? ''), other.signIn.request(emails[i] ?? '')])
      return opened.status
    })
    for (const [i, status] of answers.entries()) {
      const ends = (await history(links[i]?.id ?? '')).filter((type) => type !== 'issued')
      expect(ends).toEqual(status === 'signed-in' ? ['consumed'] : ['revoked', 'refused'])
    }
  })

  it('opened while its user is deleted: nobody is signed in as somebody who is gone', async () => {
    const gone = await forty(async () => {
      const user = await person()
      return { user, ...(await linked('sign-in', user.email)) }
    })
    const answers = await forty(async (at, i) => {
      const { user, token } = gone[i] as (typeof gone)[number]
      const acts = [() => at.signIn.open(token), () => other.users.delete(user.id)] as const
      const [one, two] = i % 4 < 2 ? acts : acts.toReversed()
      await Promise.all([one?.(), two?.()])
      return (await lives('session', user.id)) + ((await users.find({ email: user.email })) ? 1 : 0)
    })
    expect(tally(answers.map(String))).toEqual({ 0: 40 })
  })
})

describe('a code', () => {
  it('40 wrong ones at once: five are counted, it is locked, and the right one comes too late', async () => {
    for (const email of [fresh(), (await person()).email]) {
      const { id, code, wrong } = await coded(email)
      const answers = await forty((at) => at.verifications.consumeCode({ email }, wrong))
      expect(statusesOf(answers)).toEqual({ denied: 40 })
      expect([await attemptsOf(id), await statusOf(id)]).toEqual([5, 'revoked'])
      expect(tally(await refusals(id))).toEqual({ 'wrong-code': 5, locked: 35 })
      expect(await verifications.consumeCode({ email }, code)).toEqual({ status: 'denied' })
    }
  })

  it('right among nine wrong ones that have all seen it live: judged before the fifth wrong one, or too late', async () => {
    for (let round = 0; round < 10; round++) {
      const { id, code, email, wrong } = await coded()
      const waiting: Promise<{ status: string }>[] = []
      // They meet at the row's lock for certain; in which order they get it is PostgreSQL's affair.
      await holding(id, async () => {
        for (let n = 0; n < 10; n++) {
          const guess = n === round ? code : wrong
          waiting.push((n % 2 ? people : other).verifications.consumeCode({ email }, guess))
        }
        // Three of each process; the others wait for their turn there.
        await lockWaiters(6)
      })
      const { verified = 0 } = statusesOf(await Promise.all(waiting))
      const { 'wrong-code': judged = 0, ...rest } = tally(await refusals(id))
      expect([await attemptsOf(id), judged < 5 ? verified : 0]).toEqual([judged, verified])
      if (verified) expect([await statusOf(id), rest]).toEqual(['consumed', judged < 9 ? { consumed: 9 - judged } : {}])
      else expect([await statusOf(id), judged, rest]).toEqual(['revoked', 5, { locked: 5 }])
    }
  })

  it('guessed at while it is revoked is judged as what it has become', async () => {
    const { id, email, wrong } = await coded()
    const waiting: Promise<unknown>[] = []
    await holding(id, async (holder) => {
      waiting.push(verifications.consumeCode({ email }, wrong))
      await lockWaiters(1)
      await holder.query(
        `UPDATE resource SET status = 'revoked', ended_at = ${nowSql}, next_step = 'purge' WHERE id = $1`,
        [id],
      )
    })
    expect(await Promise.all(waiting)).toEqual([{ status: 'denied' }])
    expect([await attemptsOf(id), await refusals(id)]).toEqual([0, ['revoked']])
  })

  it('right 40 times at once is used once', async () => {
    const { code, email } = await coded()
    const answers = await forty((at) => at.verifications.consumeCode({ email }, code))
    expect(statusesOf(answers)).toEqual({ verified: 1, denied: 39 })
  })
})

describe('a session', () => {
  const signedIn = async () => {
    const { token, session: made, user } = await sessions.issue({ userId: (await person()).id })
    return { token, id: made.id, user }
  }

  it('used 40 times at once slides once, and all 40 see its new end', async () => {
    const { token, id } = await signedIn()
    await age(id, 2 * day)
    const answers = await forty((at) => at.sessions.authenticate(token))
    expect(statusesOf(answers)).toEqual({ valid: 40 })
    expect(await history(id)).toEqual(['issued', 'renewed'])
    const { expiresAt } = await domain.resources.get(id)
    for (const answer of answers) expect(answer).toMatchObject({ session: { expiresAt, version: 2 } })
  })

  it('used while it is revoked, in whatever order, stays revoked', async () => {
    const made = await forty(signedIn)
    await age(
      made.map(({ id }) => id),
      2 * day,
    )
    await forty(async (at, i) => {
      const { token, id, user } = made[i] as (typeof made)[number]
      const acts = [() => at.sessions.authenticate(token), () => other.sessions.revoke(user.id, id)] as const
      const [one, two] = i % 4 < 2 ? acts : acts.toReversed()
      await Promise.all([one?.(), two?.()])
      expect(await statusOf(id)).toBe('revoked')
      expect(await at.sessions.authenticate(token)).toMatchObject({ status: 'denied' })
      expect((await history(id)).at(-1)).toBe('revoked')
    })
  })

  it('that waits to slide behind its revocation is denied', async () => {
    const { token, id, user } = await signedIn()
    await age(id, 2 * day)
    const waiting: Promise<unknown>[] = []
    await holding(id, async () => {
      waiting.push(sessions.revoke(user.id, id))
      await lockWaiters(1)
      waiting.push(other.sessions.authenticate(token))
      await lockWaiters(2)
    })
    expect((await Promise.all(waiting))[1]).toMatchObject({ status: 'denied' })
    expect(await history(id)).toEqual(['issued', 'revoked'])
  })
})

describe('a new password, and the end of all sessions', () => {
  /** People of a process whose hook on this kind's event waits for `open`, its transaction with it. */
  const gated = (kind: Kind, event: 'issued' | 'consumed') => {
    const gate = { open: () => {}, reached: () => {} }
    const opened = new Promise<void>((resolve) => Object.assign(gate, { open: resolve }))
    const reached = new Promise<void>((resolve) => Object.assign(gate, { reached: resolve }))
    const hooks = {
      [event]: async () => {
        gate.reached()
        await opened
      },
    }
    const rest = [session(), verification()].filter(({ name }) => name !== kind.name)
    return { at: another([{ ...kind, hooks }, ...rest]).ownVerbs(async () => true), open: () => gate.open(), reached }
  }

  const ends = {
    'a new password': async (user: { email: string; id: string }) => {
      const { token } = await linked('reset-password', user.email)
      return () => verifications.consume(token, { purposes })
    },
    'signing out everywhere': async (user: { id: string }) => () => sessions.revokeAll(user.id),
  }

  it.each(Object.entries(ends))('%s waits for a session that is being issued, and ends it', async (_, prepare) => {
    const user = await person()
    const end = await prepare(user)
    const { at, open, reached } = gated(session(), 'issued')
    const issuing = at.sessions.issue({ userId: user.id })
    await reached
    const ending = end()
    await lockWaiters(1)
    open()
    const { session: made, token } = await issuing
    await ending
    expect(await statusOf(made.id)).toBe('revoked')
    expect(await sessions.authenticate(token)).toMatchObject({ status: 'denied' })
  })

  it('lets a session that comes meanwhile wait, and leaves it alone: it is newer than the new password', async () => {
    const user = await person()
    const { id, token } = await linked('reset-password', user.email)
    const { at, open, reached } = gated(verification(), 'consumed')
    const ending = at.verifications.consume(token, { purposes })
    await reached
    const issuing = sessions.issue({ userId: user.id })
    await lockWaiters(1)
    open()
    await ending
    const { session: made } = await issuing
    expect(await statusOf(made.id)).toBe('active')
    const [consumed] = await domain.events({ resourceId: id, type: 'consumed' })
    expect(made.issuedAt.getTime()).toBeGreaterThanOrEqual(consumed?.at.getTime() ?? Number.POSITIVE_INFINITY)
  })

  it('40 sessions issued at once with a new password: each is revoked, or newer than it', async () => {
    const user = await person()
    const { id, token } = await linked('reset-password', user.email)
    const answers = await forty<unknown>((at, i) =>
      i === 20 ? at.verifications.consume(token, { purposes }) : at.sessions.issue({ userId: user.id }),
    )
    const [consumed] = await domain.events({ resourceId: id, type: 'consumed' })
    const all = await domain.resources.list({ kind: 'session', subject: user.id }, { limit: 200 })
    expect([answers.length, all.length]).toEqual([40, 39])
    for (const made of all)
      if (made.issuedAt.getTime() < (consumed?.at.getTime() ?? 0)) expect(made.status).toBe('revoked')
  })

  it('consumed 20 times at once while a link to sign in is opened 20 times: whoever is first, no session is left', async () => {
    const user = await person()
    const reset = await linked('reset-password', user.email)
    const link = await linked('sign-in', user.email)
    const answers = await forty<{ status: string }>((at, i) =>
      i % 2 ? at.verifications.consume(reset.token, { purposes }) : at.signIn.open(link.token),
    )
    const { verified, 'signed-in': signedIn = 0 } = statusesOf(answers)
    expect(verified).toBe(1)
    // Before the new password: the session is ended by it. After it: the link was.
    expect([signedIn <= 1, await lives('session', user.id)]).toEqual([true, 0])
  })
})
