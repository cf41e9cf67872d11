import { describe, expect, it } from 'vitest'
import { coupon, membership, plain } from './kinds.ts'
import { day, hour, second, testDomain } from './support.ts'

const { domain, age, history } = await testDomain([plain, coupon, membership])
const { resources } = domain

const issue = async (kind: string, more: object = {}) => (await resources.issue({ kind, ...more })).resource

/** As PostgreSQL's JSON has it. */
const inUtc = (instant: Date) => instant.toISOString().replace(/\.?0*Z$/, '+00:00')

describe('renew', () => {
  it('B1: ends at the new instant and no more at the old one', async () => {
    const { id } = await issue('plain', { expiresInMs: hour })
    const { resource } = await resources.renew('plain', id, { expiresInMs: 2 * hour })
    expect(resource).toMatchObject({ status: 'active', version: 2 })
    await age(id, hour)
    expect(await domain.advance({ trigger: 'sweep' })).toMatchObject({ rows: [] })
    expect(await resources.check('plain', id)).toMatchObject({ allowed: true })
    await age(id, hour)
    expect(await resources.check('plain', id)).toMatchObject({ allowed: false, reason: 'expired' })
    expect(await history(id)).toEqual(['issued', 'renewed', 'expired'])
  })

  it('B3: what has ended stays ended, however it ended', async () => {
    const [expired, revoked, consumed] = [await issue('plain'), await issue('plain'), await issue('plain')]
    await age(expired.id, 14 * day)
    await resources.revoke('plain', revoked.id)
    await resources.consume('plain', consumed.id)
    for (const { id } of [expired, revoked, consumed])
      await expect(resources.renew('plain', id, { expiresInMs: day })).rejects.toMatchObject({ code: 'already_ended' })
    expect(await history(expired.id)).toEqual(['issued', 'expired'])
    const detail = expect.stringContaining('lapsed')
    const { id } = await issue('membership')
    await age(id, 15 * day)
    await expect(resources.renew('membership', id, { expiresInMs: day })).rejects.toMatchObject({ detail })
  })

  it('B4: may bring the end nearer', async () => {
    const { id } = await issue('plain')
    const { resource } = await resources.renew('plain', id, { expiresInMs: 5 * second })
    expect(resource.expiresAt.getTime() - resource.seenAt.getTime()).toBe(5 * second)
    await age(id, 5 * second)
    expect(await resources.check('plain', id)).toMatchObject({ allowed: false })
  })

  it('B5: names the old version’s timers to stop and the new one’s to arm, each once', async () => {
    const { id } = await issue('membership')
    const { timers, stale } = await resources.renew('membership', id, { expiresInMs: 20 * day })
    expect(timers.map(({ step, version, offset }) => [step, version, offset])).toEqual([
      ['remind', 2, (3 * day) / second],
      ['remind', 2, day / second],
      ['expire', 2, undefined],
    ])
    expect(new Set(stale.map(({ version }) => version))).toEqual(new Set([1]))
    expect(stale.map(({ step, offset }) => offset ?? step)).toEqual([259_200, 86_400, 'expire', 'end-grace'])
  })

  it('B7: never past the maximum life, counted from the issue, and says how far it may go', async () => {
    const { id, issuedAt } = await issue('plain', { expiresInMs: hour })
    const latest = new Date(issuedAt.getTime() + 60 * day)
    await expect(resources.renew('plain', id, { expiresAt: new Date(latest.getTime() + 1) })).rejects.toMatchObject({
      code: 'lifetime_too_long',
      detail: expect.stringContaining(latest.toISOString()),
    })
    expect(await history(id)).toEqual(['issued'])
    expect((await resources.renew('plain', id, { expiresAt: latest })).resource.expiresAt).toEqual(latest)
  })

  it('asked only to extend, does not shorten', async () => {
    const { id, expiresAt } = await issue('plain')
    const extend = (end: Date) => resources.renew('plain', id, { expiresAt: end, laterByMs: 0 })
    await expect(extend(expiresAt)).rejects.toMatchObject({ code: 'not_later', field: 'expires_at' })
    expect(await extend(new Date(expiresAt.getTime() + 1))).toMatchObject({ resource: { version: 2 } })
    expect(await history(id)).toEqual(['issued', 'renewed'])
  })

  it('J1: its event tells the end before and after', async () => {
    const { id, expiresAt } = await issue('plain')
    const { resource } = await resources.renew('plain', id, { expiresInMs: hour }, { actor: 'ann' })
    const [event] = await domain.events({ resourceId: id, type: 'renewed' })
    expect(event).toMatchObject({ actor: 'ann', from: 'active', to: 'active', version: 2 })
    expect(event?.data).toEqual({
      before: { expires_at: inUtc(expiresAt), version: 1 },
      after: { expires_at: inUtc(resource.expiresAt), version: 2 },
    })
  })

  it('F3: starts the reminders anew, and needs to be told an end', async () => {
    const { id } = await issue('membership', { expiresInMs: 2 * day })
    await age(id, day)
    expect((await domain.advance({ trigger: 'job' })).rows).toMatchObject([{ id, type: 'reminded' }])
    const { resource } = await resources.renew('membership', id, { expiresInMs: 2 * day })
    await age(id, day + second)
    expect((await domain.advance({ trigger: 'job' })).rows).toMatchObject([{ id, type: 'reminded' }])
    const owed = await domain.deliveries.list({ resourceId: id })
    expect(resource.version).toBe(2)
    expect(owed).toEqual([])
    await expect(resources.renew('membership', id, {})).rejects.toMatchObject({ code: 'invalid', field: 'expires_at' })
  })
})

describe('revoke', () => {
  it('B8: takes effect at once; a second one is quiet and changes nothing', async () => {
    const { id } = await issue('plain')
    const first = await resources.revoke('plain', id, { actor: 'ann', reason: 'left' })
    expect(await resources.check('plain', id)).toMatchObject({ allowed: false, reason: 'revoked' })
    const again = await resources.revoke('plain', id, { actor: 'bob' })
    expect(again).toMatchObject({
      resource: { status: 'revoked', endedAt: first.resource.endedAt },
      timers: [],
      owed: [],
    })
    await age(id, 14 * day)
    expect((await domain.advance({ trigger: 'sweep' })).rows).toEqual([])
    expect(await domain.events({ resourceId: id, type: 'revoked' })).toMatchObject([{ actor: 'ann', reason: 'left' }])
    expect(await history(id)).toEqual(['issued', 'revoked'])
  })

  it('of what is over by the clock is too late: it has expired', async () => {
    const { id } = await issue('plain')
    await age(id, 14 * day)
    expect((await resources.revoke('plain', id)).resource.status).toBe('expired')
    expect(await history(id)).toEqual(['issued', 'expired'])
  })

  it('of nothing says so', async () => {
    for (const id of ['nonsense', '00000000-0000-7000-8000-000000000000', { reference: 'nobody' }])
      await expect(resources.revoke('plain', id)).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('expire by hand', () => {
  it('ends it now, without grace, once', async () => {
    const { id } = await issue('membership')
    const { resource } = await resources.expire('membership', id, { actor: 'ann' })
    expect(resource).toMatchObject({ status: 'expired', endsAt: resource.seenAt, endedAt: resource.seenAt })
    expect((await resources.expire('membership', id)).resource.endedAt).toEqual(resource.endedAt)
    expect(await domain.events({ resourceId: id, type: 'expired' })).toMatchObject([
      { trigger: 'manual', actor: 'ann' },
    ])
  })
})

describe('consume', () => {
  it('counts uses, and the last one ends it', async () => {
    const { id } = await issue('coupon')
    const states: unknown[] = []
    for (let n = 0; n < 4; n++) {
      const result = await resources.consume('coupon', id)
      states.push(result.consumed ? [result.resource.uses, result.resource.status] : result.reason)
    }
    expect(states).toEqual([[1, 'active'], [2, 'active'], [3, 'consumed'], 'consumed'])
    expect(await history(id)).toEqual(['issued', 'used', 'used', 'consumed'])
  })

  it('uses nothing once it is over, and lapses it', async () => {
    const { id } = await issue('coupon')
    await age(id, 14 * day)
    expect(await resources.consume('coupon', id)).toMatchObject({ consumed: false, reason: 'expired' })
    expect((await resources.get(id)).uses).toBe(0)
    expect(await history(id)).toEqual(['issued', 'expired'])
  })
})
