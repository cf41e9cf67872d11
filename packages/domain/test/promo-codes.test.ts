import { nowSql } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { promoCode } from '../src/index.ts'
import { testPeople } from './people.ts'
import { day, minute } from './support.ts'

const { age, company, domain, history, holding, people, promoCodes, sql } = await testPeople([promoCode])

const create = async (more: object = {}) => (await promoCodes.create(more)).promoCode
const redeem = async (code: string, holder = 'ada', organization?: string) => {
  const redeemed = await promoCodes.redeem({ code, holder, organization })
  return redeemed.redeemed ? 'redeemed' : redeemed.reason
}
const check = async (code: string, holder?: string) => {
  const checked = await promoCodes.check({ code, holder })
  return checked.redeemable ? 'redeemable' : checked.reason
}

describe('a code', () => {
  it('made up by us has ten characters that are taken for no other, and is never the same', async () => {
    const codes = await Promise.all(Array.from({ length: 50 }, async () => (await create()).payload.code))
    for (const code of codes) expect(code).toMatch(/^[2346789BCDFGHJKMPQRTWXY]{5}-[2346789BCDFGHJKMPQRTWXY]{5}$/)
    expect(new Set(codes).size).toBe(50)
  })

  it.each(['SUMMER-10L', 'summer10l', ' Summer – 1O1 ', 'SUMMERIOI', 'summer\u00a01ol', 'ＳＵＭＭＥＲ１０１'])(
    'is the same typed as %j',
    async (typed) => {
      await create({ code: 'Summer-10L' }).catch((error) => expect(error.code).toBe('code_taken'))
      expect(await check(typed)).toBe('redeemable')
      await expect(create({ code: 'SUMMER-IOL' })).rejects.toMatchObject({ code: 'code_taken', field: 'code' })
    },
  )

  it.each(['abc', '----', 'a--b', 'x'.repeat(33), 'half price', 'naïve', 'a_b_c'])('cannot be %j', async (code) => {
    await expect(create({ code })).rejects.toMatchObject({ code: 'invalid', field: 'code' })
  })

  it.each(['', '?', '\0', '\ud800abcd', 'x'.repeat(1_000), '-----'])('of which there is none: %j', async (typed) => {
    expect([await check(typed), await redeem(typed)]).toEqual(['unknown', 'unknown'])
  })

  it('may be chosen again when it has ended', async () => {
    const first = await create({ code: 'AGAIN' })
    await age(first.id, 31 * day)
    expect(await check('again')).toBe('expired')
    const second = await create({ code: 'again' })
    expect([second.payload.code, await redeem('AGAIN')]).toEqual(['AGAIN', 'redeemed'])
    expect(await history(first.id)).toEqual(['issued', 'expired'])
  })

  it('belongs to its organization: another may have the same, and none finds it outside', async () => {
    const [one, other] = [await company(), await company()]
    for (const { organization } of [one, other]) await create({ code: 'OURS', organization: organization.id })
    expect(await redeem('ours')).toBe('unknown')
    expect(await redeem('ours', 'ada', one.organization.id)).toBe('redeemed')
    expect(await redeem('ours', 'ada', one.organization.id)).toBe('used_up_by_holder')
    expect(await redeem('ours', 'ada', other.organization.id)).toBe('redeemed')
    await expect(redeem('ours', 'ada', 'nobody')).rejects.toMatchObject({ code: 'unknown_organization' })
    await expect(create({ organization: 'nobody' })).rejects.toMatchObject({ field: 'organization' })
  })
})

describe('redeeming', () => {
  it('says why it is refused, and check says the same without counting', async () => {
    const { organization } = await company()
    const ended: Record<string, (id: string, code: string) => Promise<unknown>> = {
      expired: (id) => age(id, 31 * day),
      revoked: (id) => domain.resources.revoke('promo-code', id),
      used_up: (_, code) => redeem(code, 'somebody'),
    }
    for (const [reason, end] of Object.entries(ended)) {
      const { id, payload } = await create({ maxUses: 1 })
      await end(id, payload.code)
      expect([await check(payload.code), await redeem(payload.code)]).toEqual([reason, reason])
    }
    const each = await create()
    expect([await redeem(each.payload.code), await redeem(each.payload.code)]).toEqual([
      'redeemed',
      'used_up_by_holder',
    ])
    expect([await check(each.payload.code, 'ada'), await check(each.payload.code, 'grace')]).toEqual([
      ...['used_up_by_holder', 'redeemable'],
    ])
    const later = await create({ startsInMs: 10 * minute })
    expect([await check(later.payload.code), await redeem(later.payload.code)]).toEqual(['scheduled', 'scheduled'])
    const ours = await create({ organization: organization.id })
    await people.organizations.suspend(organization.id)
    expect(await redeem(ours.payload.code, 'ada', organization.id)).toBe('suspended')
  })

  it('begins at its beginning, and lives its default life from there', async () => {
    const later = await create({ startsInMs: 60 * day })
    expect(later.expiresAt.getTime() - (later.startsAt?.getTime() ?? 0)).toBe(30 * day)
    const dated = await create({ startsAt: new Date(Date.now() + 60 * day) })
    expect(dated.expiresAt.getTime() - (dated.startsAt?.getTime() ?? 0)).toBe(30 * day)
    await age(later.id, 60 * day)
    expect(await redeem(later.payload.code)).toBe('redeemed')
    await age(later.id, 30 * day)
    expect(await redeem(later.payload.code, 'grace')).toBe('expired')
  })

  it('counts who, how often and when; a page goes on where the last one ended', async () => {
    const { id, payload } = await create({ maxUsesEach: null, benefit: { percent: 20 }, description: 'For friends' })
    for (const holder of ['cy', 'ada', 'bo', 'ada']) expect(await redeem(payload.code, holder)).toBe('redeemed')
    const first = await promoCodes.redemptions(id, { limit: 2 })
    expect(first).toMatchObject([
      { holder: 'ada', uses: 2 },
      { holder: 'bo', uses: 1 },
    ])
    expect(first[0]?.lastAt.getTime()).toBeGreaterThanOrEqual(first[0]?.firstAt.getTime() ?? Number.NaN)
    expect(await promoCodes.redemptions(id, { after: 'bo' })).toMatchObject([{ holder: 'cy', uses: 1 }])
    expect(await promoCodes.check({ code: payload.code })).toMatchObject({
      promoCode: { uses: 4, payload: { benefit: { percent: 20 }, description: 'For friends' } },
    })
  })

  it('can be ended sooner or later', async () => {
    const { id, payload } = await create()
    await promoCodes.renew(id, { expiresInMs: 100 * day })
    await age(id, 99 * day)
    expect(await redeem(payload.code)).toBe('redeemed')
    await expect(promoCodes.renew(id, { expiresInMs: 300 * day })).rejects.toMatchObject({ code: 'lifetime_too_long' })
    await promoCodes.renew(id, { expiresInMs: minute })
    await age(id, minute)
    expect(await redeem(payload.code, 'grace')).toBe('expired')
  })
})

describe('a code that 50,000 people have redeemed', async () => {
  const redeemedBy = async (people: number) => {
    const { id, payload } = await create({ maxUses: 100_000 })
    await sql(
      `INSERT INTO redemption SELECT $1, 'holder ' || i, 1, ${nowSql}, ${nowSql} FROM generate_series(1, $2::int) i`,
      [id, people],
    )
    await sql('UPDATE resource SET uses = $2 WHERE id = $1', [id, people])
    return { id, code: payload.code }
  }
  const redemptions = async (id: string, which = 'true') =>
    (await sql(`SELECT count(*)::int AS n FROM redemption WHERE resource_id = $1 AND ${which}`, [id]))[0]?.n

  it('ends at one instant: one transition, one event, not one redemption written or locked', async () => {
    const { id, code } = await redeemedBy(50_000)
    await age(id, 30 * day)
    const { rows } = await domain.advance({ trigger: 'sweep' })
    expect(rows.map((row) => row.id)).toEqual([id])
    expect(await history(id)).toEqual(['issued', 'expired'])
    expect([await redeem(code, 'one more'), await redeem(code, 'holder 1')]).toEqual(['expired', 'expired'])
    // Whoever locks or changes a row leaves the number of their transaction in it.
    expect([await redemptions(id), await redemptions(id, 'xmax <> 0')]).toEqual([50_000, 0])
    expect((await sql('SELECT DISTINCT xmin FROM redemption WHERE resource_id = $1', [id])).length).toBe(1)
  })

  it('keeps nobody else waiting, whoever is at it', async () => {
    const { id } = await redeemedBy(50_000)
    const { id: other } = await create()
    await age([id, other], 30 * day)
    await holding(id, async () => {
      const { rows } = await domain.advance({ trigger: 'sweep' })
      expect(rows.map((row) => row.id)).toEqual([other])
    })
  })

  it('takes its redemptions along when it is purged', async () => {
    const { id } = await redeemedBy(50_000)
    await age(id, 30 * day)
    await domain.advance({ trigger: 'sweep' })
    await age(id, 31 * day)
    expect(await domain.cleanUp()).toMatchObject({ removed: { 'promo-code': 1 } })
    expect(await redemptions(id)).toBe(0)
  })
})
