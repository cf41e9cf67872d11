import { describe, expect, it } from 'vitest'
import { createDomain } from '../src/index.ts'
import { type Purpose, purposes, verification } from '../src/kinds/verification.ts'
import type { VerificationInput } from '../src/people/verifications.ts'
import { newToken } from '../src/secret.ts'
import { counting } from './counting.ts'
import { letterOf } from './letters.ts'
import { testPeople } from './people.ts'
import { day, hour, minute } from './support.ts'
import { mixed, provingHalf } from './tokens.ts'

const stage = await testPeople()
const { age, domain, fresh, history, person, refusals, sessions, sql, statusOf, url, users, verifications } = stage
const nobody = '00000000-0000-0000-0000-000000000000'
const denied = { status: 'denied' }
const all = { purposes }

/** A link whose token comes back. */
const linked = async (purpose: Exclude<Purpose, 'code'> = 'confirm-email', email = fresh()) => {
  const { verification: made, token = '' } = await verifications.request({ purpose, email, deliver: 'return' })
  return { id: made.id, token, email }
}
const coded = async (email = fresh()) => {
  const { verification: made, code = '' } = await verifications.request({ purpose: 'code', email, deliver: 'return' })
  return { id: made.id, code, email }
}
const wrongFor = (code: string): string => (code === '00000000' ? '00000001' : '00000000')
/** All reasons that were written down while `act` ran. */
const reasonsOf = async (act: () => Promise<unknown>): Promise<{ resourceId: string; reason: string | null }[]> => {
  const [before] = await domain.events({}, { limit: 1 })
  await act()
  const events = await domain.events({ type: 'refused' }, { limit: 200 })
  return events
    .filter((event) => BigInt(event.id) > BigInt(before?.id ?? 0))
    .map(({ resourceId, reason }) => ({ resourceId, reason }))
}

describe('request', () => {
  it.each([
    ['sign-in', 10 * minute],
    ['confirm-email', 24 * hour],
    ['reset-password', 30 * minute],
    ['code', 10 * minute],
  ] as const)('%s: good for so long, once, and bound to the address in any letter case', async (purpose, ms) => {
    const email = fresh()
    const { verification: made } = await verifications.request({
      ...{ purpose, email: email.toUpperCase(), deliver: 'return' },
    })
    expect(made).toMatchObject({
      ...{ kind: 'verification', subject: email, reference: `${purpose}:${email}`, maxUses: 1, status: 'active' },
      payload: { purpose, email: email.toUpperCase(), mail: false },
    })
    expect(made.expiresAt.getTime() - made.issuedAt.getTime()).toBe(ms)
    expect(purposes).toContain(purpose)
  })

  it('is good for as long as the application says, a day at most; what it does not say stays', async () => {
    const own = stage.another([verification({ 'sign-in': '5m' })]).ownVerbs(async () => true).verifications
    for (const [purpose, ms] of [
      ['sign-in', 5 * minute],
      ['code', 10 * minute],
    ] as const) {
      const { verification: made } = await own.request({ purpose, email: fresh(), deliver: 'return' })
      expect(made.expiresAt.getTime() - made.issuedAt.getTime()).toBe(ms)
    }
    for (const code of ['25h', 0] as const)
      expect(() => verification({ code })).toThrow('verifications.code has to be from a second to a day')
    expect(() => verification({ code: 'soon' as '1h' })).toThrow('verifications.code is not a duration')
  })

  it('gives the secret back, or mails it, and never both', async () => {
    const back = await verifications.request({ purpose: 'confirm-email', email: fresh(), deliver: 'return' })
    expect(back).toMatchObject({ token: expect.stringMatching(/^lps_verification_/), timer: 'armed' })
    expect(await letterOf(stage, back.verification.id)).toBeUndefined()
    for (const purpose of ['confirm-email', 'code'] as const) {
      const mailed = await verifications.request({ purpose, email: fresh(), deliver: 'mail' })
      expect(Object.keys(mailed).sort()).toEqual(['timer', 'verification'])
      expect(await letterOf(stage, mailed.verification.id)).toBeDefined()
    }
  })

  it('supersedes the one before for the same purpose and address, and no other', async () => {
    const email = fresh()
    const [first, other, code, elsewhere] = [
      await linked('confirm-email', email),
      await linked('sign-in', email),
      await coded(email),
      await linked('confirm-email'),
    ]
    const second = await linked('confirm-email', email.toUpperCase())
    expect(await Promise.all([first, other, code, elsewhere, second].map(({ id }) => statusOf(id)))).toEqual([
      ...['revoked', 'active', 'active', 'active', 'active'],
    ])
    expect(await domain.events({ resourceId: first.id, type: 'revoked' })).toMatchObject([
      { reason: 'superseded', trigger: 'cascade' },
    ])
    expect(await verifications.consume(first.token, all)).toEqual(denied)
    expect(await verifications.consume(second.token, all)).toMatchObject({ status: 'verified' })
  })

  it('takes the place of one that is over and not swept', async () => {
    const { id, email } = await linked()
    await age(id, day)
    await linked('confirm-email', email)
    expect(await history(id)).toEqual(['issued', 'expired'])
  })

  it.each<[string, string, Partial<VerificationInput>]>([
    ['an address that is none', 'email', { email: 'nobody' }],
    ['an unknown purpose', 'purpose', { purpose: 'fun' as Purpose }],
    ['a new password by mail without a page for it', 'link', { purpose: 'reset-password', deliver: 'mail' }],
    ['a link without a place for the token', 'link', { link: 'https://host.example/confirm' }],
    ['a link that is no address', 'link', { link: 'host.example/{token}' }],
    ['a relative link', 'link', { link: '/confirm?token={token}' }],
    ['a script for a link', 'link', { link: 'javascript:alert("{token}")' }],
    ['a link beyond measure', 'link', { link: `https://host.example/{token}${'x'.repeat(500)}` }],
    ['a link that cannot be stored', 'link', { link: 'https://host.example/{token}\0' }],
    ['a link for a code', 'link', { purpose: 'code', link: 'https://host.example/{token}' }],
  ])('refuses %s', async (_, field, wrong) => {
    const request = verifications.request({ purpose: 'confirm-email', email: fresh(), deliver: 'mail', ...wrong })
    await expect(request).rejects.toMatchObject({ code: 'invalid', field })
  })

  it('without a key mails nothing, and makes no code', async () => {
    const keyless = createDomain({ url, kinds: [verification()] })
    const { verifications: at } = keyless.ownVerbs(async () => true)
    const refused = { code: 'not_configured' }
    const email = fresh()
    await expect(at.request({ purpose: 'sign-in', email, deliver: 'mail' })).rejects.toMatchObject(refused)
    await expect(at.request({ purpose: 'code', email, deliver: 'return' })).rejects.toMatchObject(refused)
    await expect(at.ignore({ purpose: 'sign-in', email }, 'x')).rejects.toMatchObject(refused)
    expect(await at.request({ purpose: 'sign-in', email, deliver: 'return' })).toHaveProperty('token')
    await keyless.close()
  })
})

describe('the mail', () => {
  const mailed = async (input: Partial<VerificationInput> & { purpose: Purpose }) => {
    const { verification: made } = await verifications.request({ email: fresh(), deliver: 'mail', ...input })
    const mail = await letterOf(stage, made.id)
    if (!mail) throw new Error('no mail')
    return { id: made.id, ...mail }
  }

  it('goes to the address as it was given', async () => {
    const email = `Ada.${fresh()}`
    expect((await mailed({ purpose: 'sign-in', email })).to).toBe(email)
  })

  it.each([
    ['sign-in', '/sign-in/open'],
    ['confirm-email', '/confirm'],
  ] as const)('of %s leads to our own page', async (purpose, path) => {
    const { letter, secrets } = await mailed({ purpose })
    expect(letter.action?.url).toBe(`https://lapse.example${path}?token=${secrets.token}`)
  })

  it('brings the invite along that was about to be opened', async () => {
    const { letter, secrets } = await mailed({ purpose: 'sign-in', next: { invite: 'a&b' } })
    expect(letter.action?.url).toBe(`https://lapse.example/sign-in/open?token=${secrets.token}&invite=a%26b`)
  })

  it("leads to the host's own page", async () => {
    const link = 'https://host.example/reset/{token}?again={token}#top'
    const { letter, secrets } = await mailed({ purpose: 'reset-password', link })
    expect(letter.action?.url).toBe(`https://host.example/reset/${secrets.token}?again=${secrets.token}#top`)
  })

  it('of a code has it in its text and nowhere else', async () => {
    const { letter, secrets } = await mailed({ purpose: 'code' })
    expect(letter.lines?.join()).toContain(secrets.code)
    expect(letter.subject).not.toContain(secrets.code)
    expect(letter).not.toHaveProperty('action')
  })

  it.each(['sign-in', 'code'] as const)(
    'takes its secret with it when %s is used, superseded or over',
    async (purpose) => {
      const ends: ((mail: Awaited<ReturnType<typeof mailed>>) => Promise<unknown>)[] = [
        ({ to, secrets }) =>
          purpose === 'code'
            ? verifications.consumeCode({ email: to }, secrets.code ?? '')
            : verifications.consume(secrets.token ?? '', all),
        ({ to }) => mailed({ purpose, email: to }),
        async ({ id }) => {
          await age(id, hour)
          await domain.advance({ trigger: 'sweep' })
        },
      ]
      for (const end of ends) {
        const mail = await mailed({ purpose })
        await end(mail)
        const rows = await sql('SELECT status, sealed FROM delivery WHERE resource_id = $1', [mail.id])
        expect(rows).toEqual([{ status: 'cancelled', sealed: null }])
      }
    },
  )
})

describe('consume', () => {
  it('verifies whoever has the address, once', async () => {
    const { id, email } = await users.create({ email: fresh() })
    const { token, id: used } = await linked('confirm-email', email.toUpperCase())
    const verified = await verifications.consume(token, { purposes: ['confirm-email'] })
    expect(verified).toMatchObject({
      ...{ status: 'verified', purpose: 'confirm-email', email: email.toUpperCase(), canonical: email },
      ...{ user: { id, verifiedAt: expect.any(Date) }, resource: { id: used, status: 'consumed', word: 'verified' } },
    })
    expect((await users.get(id)).verifiedAt).toEqual(expect.any(Date))
    expect(await domain.events({ resourceId: used, type: 'consumed' })).toMatchObject([{ actor: `user:${id}` }])
    const again = await linked('sign-in', email)
    await verifications.consume(again.token, all, { actor: 'host' })
    expect(await history(id)).toEqual(['created', 'verified'])
    expect(await domain.events({ resourceId: again.id, type: 'consumed' })).toMatchObject([{ actor: 'host' }])
  })

  it('of an address that nobody has verifies just that', async () => {
    const { token, email } = await linked()
    const verified = await verifications.consume(token, all)
    expect(verified).toMatchObject({ status: 'verified', email })
    expect(verified).not.toHaveProperty('user')
    expect(await users.find({ email })).toBeUndefined()
  })

  it('of a new password ends every session, and what else was sent to the address; of other users nothing', async () => {
    const [user, other] = [await person(), await person()]
    const mine = [await sessions.issue({ userId: user.id }), await sessions.issue({ userId: user.id })]
    const theirs = await sessions.issue({ userId: other.id })
    const [link, code, foreign] = [
      await linked('sign-in', user.email),
      await coded(user.email),
      await linked('sign-in'),
    ]
    const { token } = await linked('reset-password', user.email)
    await verifications.consume(token, { purposes: ['reset-password'] })
    expect(
      await Promise.all([...mine.map(({ session }) => session), link, code].map(({ id }) => statusOf(id))),
    ).toEqual(Array(4).fill('revoked'))
    expect(await domain.events({ resourceId: mine[0]?.session.id ?? '', type: 'revoked' })).toMatchObject([
      { reason: 'password reset', trigger: 'cascade', actor: `user:${user.id}` },
    ])
    expect([await statusOf(theirs.session.id), await statusOf(foreign.id)]).toEqual(['active', 'active'])
    for (const purpose of ['sign-in', 'confirm-email'] as const) {
      const { session } = await sessions.issue({ userId: user.id })
      await verifications.consume((await linked(purpose, user.email)).token, all)
      expect(await statusOf(session.id)).toBe('active')
    }
  })

  it('is over with the address that it was sent to', async () => {
    const user = await person()
    const { token, id } = await linked('sign-in', user.email)
    await users.update(user.id, { email: fresh() })
    expect(await verifications.consume(token, all)).toEqual(denied)
    expect(await refusals(id)).toEqual(['revoked'])
  })

  const failing: [string, () => Promise<{ token: string; id?: string }>][] = [
    ['unknown', async () => newToken('verification')],
    ['malformed', async () => ({ token: 'nonsense' })],
    ['malformed', async () => ({ token: newToken('invite').token })],
    [
      'wrong-secret',
      async () => {
        const { id, token } = await linked('sign-in')
        return { id, token: mixed(token, newToken('verification').token) }
      },
    ],
    ['wrong-purpose', () => linked('confirm-email')],
    [
      'expired',
      async () => {
        const made = await linked('sign-in')
        await age(made.id, 10 * minute)
        return made
      },
    ],
    [
      'expired',
      async () => {
        const made = await linked('sign-in')
        await age(made.id, 10 * minute)
        await domain.advance({ trigger: 'sweep' })
        return made
      },
    ],
    [
      'revoked',
      async () => {
        const made = await linked('sign-in')
        await domain.resources.revoke('verification', made.id, { reason: 'a private note' })
        return made
      },
    ],
    [
      'superseded',
      async () => {
        const made = await linked('sign-in')
        await linked('sign-in', made.email)
        return made
      },
    ],
    [
      'consumed',
      async () => {
        const made = await linked('sign-in')
        await verifications.consume(made.token, all)
        return made
      },
    ],
  ]

  it.each(failing)(
    'I4: %s: the one answer, one event with its own reason, as many statements',
    async (reason, make) => {
      const { token, id = nobody } = await make()
      const { people, statements, close } = counting(url, [verification()])
      const answers: unknown[] = []
      const reasons = await reasonsOf(async () =>
        answers.push(await people.verifications.consume(token, { purposes: ['sign-in'] })),
      )
      expect(answers).toEqual([denied])
      expect(reasons).toEqual([{ resourceId: id, reason }])
      expect(statements()).toBe(2)
      await close()
    },
  )
})

describe('look', () => {
  it('I3: twenty scanners change nothing and write nothing; the click that comes after them counts', async () => {
    const { id, token } = await linked('sign-in')
    const reasons = await reasonsOf(async () => {
      for (let i = 0; i < 20; i++) expect(await verifications.look(token)).toEqual({ valid: true })
      expect(await verifications.look(newToken('verification').token)).toEqual({ valid: false })
    })
    expect(reasons).toEqual([])
    expect(await history(id)).toEqual(['issued'])
    expect(await verifications.consume(token, all)).toMatchObject({ status: 'verified' })
    expect(await verifications.look(token)).toEqual({ valid: false })
  })

  it('is about the purposes that were asked for', async () => {
    const { token } = await linked('confirm-email')
    expect(await verifications.look(token, { purposes: ['sign-in'] })).toEqual({ valid: false })
    expect(await verifications.look(token, { purposes: ['confirm-email'] })).toEqual({ valid: true })
  })
})

describe('a code', () => {
  const attemptsOf = async (id: string) =>
    (await sql<{ attempts: number }>('SELECT attempts FROM resource WHERE id = $1', [id]))[0]?.attempts

  it('is good for its address, once, as people type it', async () => {
    const { id: userId, email } = await users.create({ email: fresh() })
    const { code, id } = await coded(email)
    const typed = ` ${code.slice(0, 4)} ${code.slice(4)}`
    const verified = await verifications.consumeCode({ email: email.toUpperCase() }, typed)
    expect(verified).toMatchObject({ status: 'verified', purpose: 'code', user: { id: userId }, resource: { id } })
    expect((await users.get(userId)).verifiedAt).toEqual(expect.any(Date))
    expect(await verifications.consumeCode({ email }, code)).toEqual(denied)
    expect(await refusals(id)).toEqual(['consumed'])
  })

  it('wrong four times is still good', async () => {
    const { id, code, email } = await coded()
    for (let n = 1; n <= 4; n++) {
      expect(await verifications.consumeCode({ email }, wrongFor(code))).toEqual(denied)
      expect(await attemptsOf(id)).toBe(n)
    }
    expect(await verifications.consumeCode({ email }, code)).toMatchObject({ status: 'verified' })
    expect(await refusals(id)).toEqual(Array(4).fill('wrong-code'))
  })

  it('wrong five times is locked, for the right one as well, until there is another', async () => {
    const { id, code, email } = await coded()
    for (let n = 1; n <= 5; n++) await verifications.consumeCode({ email }, wrongFor(code))
    expect(await statusOf(id)).toBe('revoked')
    expect(await domain.events({ resourceId: id, type: 'revoked' })).toMatchObject([{ reason: 'locked' }])
    for (let n = 1; n <= 3; n++) expect(await verifications.consumeCode({ email }, code)).toEqual(denied)
    expect(await attemptsOf(id)).toBe(5)
    expect(await refusals(id)).toEqual([...Array(5).fill('wrong-code'), ...Array(3).fill('locked')])
    const next = await coded(email)
    expect(await attemptsOf(next.id)).toBe(0)
    expect(await verifications.consumeCode({ email }, next.code)).toMatchObject({ status: 'verified' })
  })

  it('wrong 25 times within the hour locks the address, whatever number of codes was sent', async () => {
    const email = fresh()
    const ids: string[] = []
    for (let n = 0; n < 5; n++) {
      const { id, code } = await coded(email)
      ids.push(id)
      for (let guess = 0; guess < 5; guess++) await verifications.consumeCode({ email }, wrongFor(code))
    }
    const { code, id } = await coded(email)
    const reasons = await reasonsOf(async () =>
      expect(await verifications.consumeCode({ email }, code)).toEqual(denied),
    )
    expect(reasons).toEqual([{ resourceId: nobody, reason: 'too-many-guesses' }])
    expect([await statusOf(id), await attemptsOf(id)]).toEqual(['active', 0])
    const other = await coded()
    expect(await verifications.consumeCode(other, other.code)).toMatchObject({ status: 'verified' })
    await age(ids, hour)
    expect(await verifications.consumeCode({ email }, code)).toMatchObject({ status: 'verified' })
  })

  it('is no token, and a token no code', async () => {
    const email = fresh()
    const { code } = await coded(email)
    expect(await verifications.consume(code, all)).toEqual(denied)
    const { token } = await linked('sign-in', email)
    expect(await verifications.consumeCode({ email }, token)).toEqual(denied)
  })

  const failing: [string, () => Promise<{ email: string; code: string; id?: string }>][] = [
    ['unknown', async () => ({ email: fresh(), code: '12345678' })],
    [
      'wrong-code',
      async () => {
        const made = await coded()
        return { ...made, code: wrongFor(made.code) }
      },
    ],
    [
      'wrong-code',
      async () => {
        const made = await coded()
        for (let n = 1; n <= 4; n++) await verifications.consumeCode(made, wrongFor(made.code))
        return { ...made, code: wrongFor(made.code) }
      },
    ],
    [
      'expired',
      async () => {
        const made = await coded()
        await age(made.id, 10 * minute)
        return made
      },
    ],
    [
      'superseded',
      async () => {
        const made = await coded()
        await domain.resources.revoke('verification', made.id, { reason: 'superseded' })
        return made
      },
    ],
    [
      'consumed',
      async () => {
        const made = await coded()
        await verifications.consumeCode(made, made.code)
        return made
      },
    ],
  ]

  it.each(failing)(
    'I4: %s: the one answer, one event with its own reason, as many statements',
    async (reason, make) => {
      const { email, code, id = nobody } = await make()
      const { people, statements, close } = counting(url, [verification()])
      const answers: unknown[] = []
      const reasons = await reasonsOf(async () => answers.push(await people.verifications.consumeCode({ email }, code)))
      expect(answers).toEqual([denied])
      expect(reasons).toEqual([{ resourceId: id, reason }])
      expect(statements()).toBe(7)
      await close()
    },
  )
})

it('I6: no token and no code is anywhere in the database', async () => {
  const email = fresh()
  const [link, code] = [await linked('sign-in', email), await coded(email)]
  const { verification: made } = await verifications.request({ purpose: 'confirm-email', email, deliver: 'mail' })
  const mail = await letterOf(stage, made.id)
  await verifications.consume(link.token, { purposes: ['confirm-email'] })
  await verifications.consumeCode({ email }, wrongFor(code.code))
  const dump = (
    await Promise.all(
      ['resource', 'event', 'delivery'].map((table) => sql<{ row: string }>(`SELECT t::text AS row FROM ${table} t`)),
    )
  )
    .flat()
    .map(({ row }) => row)
    .join('\n')
  expect(dump).toContain(made.id)
  const halves = (token = '') => [token, provingHalf(token)]
  for (const secret of [...halves(link.token), ...halves(mail?.secrets.token), code.code])
    expect([secret.length > 7, dump.includes(secret), dump.includes(Buffer.from(secret).toString('hex'))]).toEqual([
      ...[true, false, false],
    ])
})
