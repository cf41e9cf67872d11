import { describe, expect, it } from 'vitest'
import { coupon, membership, plain } from './kinds.ts'
import { day, hour, second, testDomain } from './support.ts'

const { domain, age, history, sql } = await testDomain([plain, coupon, membership])
const { resources } = domain

const issue = async (kind: string, more: object = {}) => (await resources.issue({ kind, ...more })).resource

describe('issue', () => {
  it('gives the default lifetime, by the database’s clock, and an event that tells who', async () => {
    const { resource, timers, stale } = await resources.issue(
      { kind: 'plain', scope: 'acme' },
      { actor: 'ann', reason: 'asked' },
    )
    expect(resource).toMatchObject({ status: 'active', word: 'active', version: 1, uses: 0, maxUses: 1, scope: 'acme' })
    expect(resource.expiresAt.getTime() - resource.issuedAt.getTime()).toBe(14 * day)
    expect(resource.issuedAt).toEqual(resource.seenAt)
    expect(timers).toMatchObject([{ step: 'expire', version: 1, dueAt: resource.expiresAt.getTime() }])
    expect(stale).toEqual([])
    const [event] = await domain.events({ resourceId: resource.id })
    expect(event).toMatchObject({
      type: 'issued',
      trigger: 'manual',
      from: null,
      to: 'active',
      actor: 'ann',
      reason: 'asked',
    })
    expect(event?.at).toEqual(resource.issuedAt)
  })

  it('keeps an instant with an offset, and its milliseconds', async () => {
    const expiresAt = new Date(Date.now() + day + 123)
    expect((await issue('plain', { expiresAt })).expiresAt).toEqual(expiresAt)
  })

  it('F2: a two-day membership has no reminder of three days, a one-hour one has none', async () => {
    const steps = async (expiresInMs: number) =>
      (await resources.issue({ kind: 'membership', expiresInMs })).timers.map((timer) => timer.offset ?? timer.step)
    expect(await steps(14 * day)).toEqual([(3 * day) / second, day / second, 'expire'])
    expect(await steps(2 * day)).toEqual([day / second, 'expire'])
    expect(await steps(hour)).toEqual(['expire'])
  })
})

describe('A4: a lifetime out of range is refused, and nothing is written', () => {
  const year = 365 * day
  it.each([
    ['in the past', { expiresAt: new Date(Date.now() - second) }, 'lifetime_too_short', 'expires_at'],
    ['before our era', { expiresAt: new Date(-8e15) }, 'lifetime_too_short', 'expires_at'],
    ['of no length', { expiresInMs: 0 }, 'lifetime_too_short', 'expires_in'],
    ['negative', { expiresInMs: -8e15 }, 'lifetime_too_short', 'expires_in'],
    ['under the minimum', { expiresInMs: 999 }, 'lifetime_too_short', 'expires_in'],
    ['over the maximum', { expiresInMs: 60 * day + 1 }, 'lifetime_too_long', 'expires_in'],
    ['thousands of years long', { expiresInMs: 200_000 * year }, 'lifetime_too_long', 'expires_in'],
    ['no number', { expiresInMs: Number.NaN }, 'invalid', 'expires_in'],
    ['without end', { expiresInMs: Number.POSITIVE_INFINITY }, 'invalid', 'expires_in'],
    ['no date', { expiresAt: new Date('never') }, 'invalid', 'expires_at'],
    ['given twice', { expiresAt: new Date(Date.now() + day), expiresInMs: day }, 'invalid', 'expires_in'],
    ['with more grace than the kind has', { graceMs: 1 }, 'invalid', 'grace'],
    ['with a payload the kind does not know', { payload: { nonsense: 1 } }, 'invalid', 'payload.nonsense'],
    ['with a NUL in its payload', { payload: { note: 'a\0b' } }, 'invalid', 'payload'],
    ['with half a character in its payload', { payload: { note: '\ud800' } }, 'invalid', 'payload'],
    ['with a NUL in its reference', { reference: 'a\0b' }, 'invalid', 'reference'],
    ['with half a character in its scope', { scope: '\udfff' }, 'invalid', 'scope'],
    ['with a subject too long to be found by', { subject: 'x'.repeat(501) }, 'invalid', 'subject'],
  ])('%s', async (_, input, code, field) => {
    const before = await sql('SELECT (SELECT count(*) FROM resource) AS rows, (SELECT count(*) FROM event) AS events')
    await expect(resources.issue({ kind: 'plain', ...input })).rejects.toMatchObject({ code, field })
    expect(await sql('SELECT (SELECT count(*) FROM resource) AS rows, (SELECT count(*) FROM event) AS events')).toEqual(
      before,
    )
  })

  it('but 400 days ahead is no trouble where the kind allows it, and text that only looks like NUL is kept', async () => {
    expect((await issue('plain', { payload: { note: String.raw`\u0000 \ud800` } })).payload).toEqual({
      note: String.raw`\u0000 \ud800`,
    })
  })

  it('an unknown kind says which are configured', async () => {
    await expect(resources.issue({ kind: 'nope' })).rejects.toMatchObject({
      code: 'unknown_kind',
      detail: expect.stringContaining('plain, coupon, membership'),
    })
  })
})

describe('check', () => {
  it('C1: what is over is denied, and lapsed on the way with trigger lazy, its side effects written once', async () => {
    const { id } = await issue('membership', { payload: { email: 'a@example.com' } })
    await age(id, 16 * day)
    expect(await resources.check('membership', id)).toMatchObject({ allowed: false, reason: 'expired' })
    expect(await resources.check('membership', id)).toMatchObject({ allowed: false, reason: 'expired' })
    const events = await domain.events({ resourceId: id, type: 'expired' })
    expect(events).toMatchObject([{ trigger: 'lazy', from: 'active', to: 'expired' }])
    expect(events[0]?.latenessMs).toBeGreaterThanOrEqual(day)
    expect(await domain.deliveries.list({ resourceId: id })).toHaveLength(2)
  })

  it('says which end it was, and unknown for what is no id, or of another kind', async () => {
    const [used, stopped, other] = [await issue('plain'), await issue('plain'), await issue('coupon')]
    await resources.consume('plain', used.id)
    await resources.revoke('plain', stopped.id)
    expect(await resources.check('plain', used.id)).toMatchObject({ allowed: false, reason: 'consumed' })
    expect(await resources.check('plain', stopped.id)).toMatchObject({ allowed: false, reason: 'revoked' })
    for (const id of [other.id, 'nonsense', '00000000-0000-7000-8000-000000000000', { reference: 'nobody' }])
      expect(await resources.check('plain', id)).toEqual({ allowed: false, reason: 'unknown' })
  })

  it('changes nothing while it is live', async () => {
    const { id } = await issue('plain')
    expect(await resources.check('plain', id)).toMatchObject({ allowed: true, phase: 'active' })
    expect(await history(id)).toEqual(['issued'])
  })
})

describe('grace', () => {
  it('E1: in grace it is allowed and flagged with its end, after it denied; one event each way', async () => {
    const { id, endsAt } = await issue('membership')
    await age(id, 14 * day)
    const resource = { status: 'grace', endsAt: new Date(endsAt.getTime() - 14 * day) }
    expect(await resources.check('membership', id)).toMatchObject({ allowed: true, phase: 'grace', resource })
    const { rows } = await domain.advance({ trigger: 'sweep' })
    expect(rows).toMatchObject([{ id, type: 'grace', status: 'grace', nextStep: 'end-grace' }])
    await age(id, day)
    expect(await resources.check('membership', id)).toMatchObject({ allowed: false, resource: { word: 'lapsed' } })
    expect(await history(id)).toEqual(['issued', 'grace', 'expired'])
  })

  it('E2: renewed in grace it is active with no final event; revoked in grace it is denied at once', async () => {
    const [saved, stopped] = [await issue('membership'), await issue('membership')]
    for (const { id } of [saved, stopped]) await age(id, 14 * day)
    await domain.advance({ trigger: 'sweep' })
    await resources.renew('membership', saved.id, { expiresInMs: day })
    await resources.revoke('membership', stopped.id)
    expect(await resources.check('membership', saved.id)).toMatchObject({ allowed: true, phase: 'active' })
    expect(await resources.check('membership', stopped.id)).toMatchObject({ allowed: false, reason: 'revoked' })
    expect(await history(saved.id)).toEqual(['issued', 'grace', 'renewed'])
    expect(await history(stopped.id)).toEqual(['issued', 'grace', 'revoked'])
  })

  it('may be shorter for one resource than for its kind', async () => {
    const { expiresAt, endsAt } = await issue('membership', { graceMs: 1_000 })
    expect(endsAt.getTime() - expiresAt.getTime()).toBe(1_000)
  })
})
