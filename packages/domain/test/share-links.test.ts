import { describe, expect, it } from 'vitest'
import { HashedPassword, shareLink } from '../src/index.ts'
import { testPeople } from './people.ts'
import { day, minute, second } from './support.ts'
import { mixed } from './tokens.ts'

const { age, another, company, domain, history, people, refusals, shareLinks, sql } = await testPeople([shareLink])

const create = (more: object = {}) => shareLinks.create({ title: 'Quarterly report', scope: 'document-1', ...more })

const unlocked = async (token: string, password?: string) => {
  const result = await shareLinks.unlock(token, password)
  if (result.status !== 'unlocked') throw new Error(result.status)
  return result
}
const opens = async (pass: string) => (await shareLinks.checkPass(pass)) !== undefined
const outcome = async (token: string, password?: string) => (await shareLinks.unlock(token, password)).status

describe('a share link', () => {
  it('is looked at as often as one likes, and counts only who unlocks it', async () => {
    const { link, token } = await create({ url: 'https://docs.example.com/1', sharedBy: 'Ada' })
    for (let i = 0; i < 40; i++)
      expect(await shareLinks.look(token)).toEqual({ state: 'open', id: link.id, asksPassword: false })
    expect((await domain.resources.get(link.id)).uses).toBe(0)
    const viewing = await unlocked(token)
    expect(viewing.link).toMatchObject({
      uses: 1,
      scope: 'document-1',
      payload: { title: 'Quarterly report', url: 'https://docs.example.com/1', sharedBy: 'Ada', protected: false },
    })
    expect(viewing.expiresAt.getTime() - viewing.link.seenAt.getTime()).toBe(10 * minute)
    expect(await shareLinks.checkPass(viewing.pass)).toMatchObject({ expiresAt: viewing.expiresAt, link: { uses: 1 } })
    expect(await history(link.id)).toEqual(['issued', 'used'])
  })

  it('is open for ten minutes to who has unlocked it, and at the very end no more', async () => {
    const { token, link } = await create()
    const { pass, expiresAt } = await unlocked(token)
    const sealedFor = (ms: number) => shareLinks.passUntil(link.id, new Date(Date.now() + ms))
    expect([await opens(pass), await opens(sealedFor(minute)), await opens(sealedFor(-1))]).toEqual([true, true, false])
    expect(pass).not.toContain(link.id)
    expect(expiresAt.getTime()).toBeLessThanOrEqual(Date.now() + 10 * minute + second)
  })

  const endings: [string, (id: string, organization: string) => Promise<unknown>][] = [
    ['revoked', (id) => domain.resources.revoke('share-link', id)],
    ['expired', (id) => age(id, 7 * day)],
    ['expired by hand', (id) => domain.resources.expire('share-link', id)],
    ['deleted', (id) => sql('DELETE FROM resource WHERE id = $1', [id])],
    ['suspended with its organization', (_, organization) => people.organizations.suspend(organization)],
    ['deleted with its organization', (_, organization) => people.organizations.delete(organization)],
  ]
  it.each(endings)('that is %s is closed at once, with all its passes, its last one too', async (_, end) => {
    for (const maxViews of [undefined, 1]) {
      const { organization } = await company()
      const { link, token } = await create({ maxViews, organization: organization.id })
      const { pass } = await unlocked(token)
      expect(await opens(pass)).toBe(true)
      await end(link.id, organization.id)
      expect([await opens(pass), await outcome(token), await shareLinks.look(token)]).toEqual([
        ...[false, 'denied', { state: 'denied' }],
      ])
    }
  })

  it('has with its last view as long to live as that pass, and is not opened again', async () => {
    const { link, token } = await create({ maxViews: 2 })
    await unlocked(token)
    expect((await domain.resources.get(link.id)).expiresAt).toEqual(link.expiresAt)
    const { pass, expiresAt } = await unlocked(token)
    expect(await shareLinks.look(token)).toEqual({ state: 'used-up', id: link.id, asksPassword: false })
    expect([await outcome(token), await opens(pass)]).toEqual(['denied', true])
    expect(await domain.resources.get(link.id)).toMatchObject({ uses: 2, expiresAt })
    await age(link.id, 10 * minute)
    expect(await opens(pass)).toBe(false)
    await domain.advance({ trigger: 'sweep' })
    expect(await history(link.id)).toEqual(['issued', 'used', 'used', 'renewed', 'refused', 'expired'])
    expect(await refusals(link.id)).toEqual(['used_up'])
  })

  it('that ends sooner than a pass would takes it along', async () => {
    const { link, token } = await create({ expiresInMs: 5 * minute, maxViews: 1 })
    const { expiresAt } = await unlocked(token)
    expect(expiresAt).toEqual(link.expiresAt)
    expect(await history(link.id)).toEqual(['issued', 'used'])
  })

  it('can be ended sooner or later, up to 90 days', async () => {
    const { link, token } = await create()
    await shareLinks.renew(link.id, { expiresInMs: 89 * day })
    await age(link.id, 88 * day)
    expect(await outcome(token)).toBe('unlocked')
    await expect(create({ expiresInMs: 91 * day })).rejects.toMatchObject({ code: 'lifetime_too_long' })
  })

  it('answers the same for every token that is not good, and its events tell them apart', async () => {
    const [{ link, token }, { token: other }] = [await create(), await create()]
    const before = await refusals('00000000-0000-0000-0000-000000000000')
    for (const wrong of ['x', token.slice(0, -1), mixed(token, other), token.replace('share-link', 'invite')])
      expect([await outcome(wrong), await shareLinks.look(wrong)]).toEqual(['denied', { state: 'denied' }])
    await sql('DELETE FROM resource WHERE id = $1', [link.id])
    expect(await outcome(token)).toBe('denied')
    expect((await refusals('00000000-0000-0000-0000-000000000000')).slice(before.length)).toEqual([
      ...['malformed', 'malformed', 'wrong-secret', 'malformed', 'unknown'],
    ])
  })

  it('is not made without a key to seal its passes with', async () => {
    const keyless = another([shareLink], []).ownVerbs(async () => true)
    await expect(keyless.shareLinks.create({ title: 'Report' })).rejects.toMatchObject({ code: 'not_configured' })
  })

  it.each([
    ['title', { title: ' ' }],
    ['title', { title: 'two\nlines' }],
    ['shared_by', { sharedBy: 'x'.repeat(201) }],
    ['url', { url: 'http://example.com' }],
    ['url', { url: 'javascript:alert(1)' }],
    ['url', { url: 'https://ada:secret@example.com' }],
    ['url', { url: `https://example.com/${'x'.repeat(2_000)}` }],
    ['max_uses', { maxViews: 0 }],
    ['password', { password: '1234567' }],
    ['password', { password: '🔑'.repeat(7) }],
    ['password', { password: 'x'.repeat(201) }],
  ])('refuses a bad %s', async (field, bad) => {
    await expect(create(bad)).rejects.toMatchObject({ code: 'invalid', field })
  })
})

describe('a pass', () => {
  it('that was made up, changed, or sealed for something else is good for nothing', async () => {
    const [{ token, link }, other] = [await create(), await create()]
    const { pass } = await unlocked(token)
    const otherId = other.link.id.replaceAll('-', '')
    const changed = [
      ...['', 'x', 'lps_pass_', pass.toUpperCase(), `${pass}00`, pass.slice(0, -2)],
      `lps_pass_${otherId}${pass.slice(9 + 32)}`,
      pass.replace(/.$/, (end) => (end === '0' ? '1' : '0')),
      `lps_pass_${'0'.repeat(150)}`,
    ]
    for (const one of changed) expect([one, await opens(one)]).toEqual([one, false])
    const sealed = domain.secrets.seal(link.id, { until: String(Date.now() + minute) })
    expect(await opens(`lps_pass_${link.id.replaceAll('-', '')}${sealed.toString('hex')}`)).toBe(false)
    expect(await opens(pass)).toBe(true)
  })
})

describe('a password', () => {
  const password = 'correct horse battery'

  it('opens the link, however its accents are typed; a wrong one is said to be wrong and counts no view', async () => {
    const { link, token } = await create({ password: 'caf\u00e9 au lait' })
    expect(await shareLinks.look(token)).toMatchObject({ state: 'open', asksPassword: true })
    expect([await outcome(token), await outcome(token, ''), await outcome(token, 'cafe au lait')]).toEqual([
      ...['password-required', 'password-required', 'wrong-password'],
    ])
    expect((await domain.resources.get(link.id)).uses).toBe(0)
    expect(await outcome(token, 'cafe\u0301 au lait')).toBe('unlocked')
    expect(await refusals(link.id)).toEqual(['wrong-password'])
    expect(await outcome(token, 'x'.repeat(100_000))).toBe('wrong-password')
  })

  it('is compared only when the token is good, and not when whoever guards it says no', async () => {
    const { link, token } = await create({ password })
    const asked: unknown[] = []
    const guard = async (about: object) => {
      asked.push(about)
      throw new Error('too many')
    }
    await expect(shareLinks.unlock(token, password, guard)).rejects.toThrow('too many')
    expect(await outcome(token.slice(0, -1), password)).toBe('denied')
    expect((await shareLinks.unlock((await create()).token, password, guard)).status).toBe('unlocked')
    expect(asked).toEqual([{ id: link.id }])
  })

  it('is kept as argon2id with 19 MiB, twice over; no two alike, and nowhere in plain text', async () => {
    const hashed = await HashedPassword.of(password)
    const links = [await create({ password }), await create({ password }), await create({ password: hashed })]
    for (const { token } of links) {
      expect(await outcome(token, password)).toBe('unlocked')
      expect(await outcome(token, `${password}!`)).toBe('wrong-password')
    }
    const rows = await sql<{ password: string }>('SELECT password FROM resource WHERE password IS NOT NULL')
    for (const { password } of rows) expect(password).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(new Set(rows.map((row) => row.password)).size).toBe(rows.length)
    const everything = JSON.stringify(
      await Promise.all(
        ['resource', 'event', 'delivery', 'idempotency_key'].map((table) => sql(`SELECT t::text FROM ${table} t`)),
      ),
    )
    expect([everything.includes(links[0]?.link.id ?? ''), everything.includes(password)]).toEqual([true, false])
    const seen = JSON.stringify([await domain.resources.get(links[0]?.link.id ?? ''), await domain.events({})])
    expect(seen).not.toContain('argon2')
  })
})
