import { describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'

const api = await testApi()
const { call } = api

const created = async (body: object = {}): Promise<Body> => {
  const answer = await call('POST', '/v1/promo-codes', body)
  if (answer.status !== 201) throw new Error(answer.text)
  return answer.body
}
const redeem = async (code: string, holder: string, headers: Record<string, string> = {}) =>
  call('POST', '/v1/promo-codes/redeem', { code, holder }, headers)

describe('a promo code', () => {
  it('is created as it was asked for, found however it is typed, and redeemed once by each', async () => {
    const answer = await call('POST', '/v1/promo-codes', {
      ...{ code: 'Summer-26', description: 'A fifth off', benefit: { percent: 20, plans: ['pro'] } },
      ...{ max_uses: 2, expires_in: 3_600 },
    })
    expect(answer.status).toBe(201)
    const { id, issued_at, expires_at, ...rest } = answer.body
    expect(answer.headers.get('location')).toBe(`/v1/promo-codes/${id}`)
    expect(Date.parse(expires_at) - Date.parse(issued_at)).toBe(3_600_000)
    expect(rest).toEqual({
      ...{ status: 'active', word: 'active', code: 'SUMMER-26', description: 'A fifth off', organization_id: null },
      ...{ benefit: { percent: 20, plans: ['pro'] }, uses: 0, max_uses: 2, max_uses_each: 1, timer: 'armed' },
      ...{ starts_at: null, ended_at: null },
    })
    const found = await call('GET', '/v1/promo-codes?code=summer%20%E2%80%93%2026&count=true')
    expect(found.body).toMatchObject({ items: [{ id }], count: 1 })
    expect((await call('GET', '/v1/promo-codes?code=%3F')).body.items).toEqual([])

    const check = (holder?: string) => call('POST', '/v1/promo-codes/check', { code: ' summer26', holder })
    expect((await check()).body).toMatchObject({ redeemable: true, promo_code: { id, uses: 0 } })
    expect((await redeem('SUMMER 26', 'ada')).body).toMatchObject({ redeemed: true, promo_code: { id, uses: 1 } })
    expect((await check('ada')).body).toMatchObject({ redeemable: false, reason: 'used_up_by_holder' })
    expect((await redeem('summer-26', 'ada')).body).toMatchObject({ redeemed: false, reason: 'used_up_by_holder' })
    expect((await redeem('summer-26', 'bo')).body).toMatchObject({
      ...{ redeemed: true, promo_code: { status: 'consumed', word: 'used up' } },
    })
    expect((await redeem('summer-26', 'cy')).body).toMatchObject({ redeemed: false, reason: 'used_up' })
    expect((await redeem('winter-26', 'cy')).body).toEqual({ redeemed: false, reason: 'unknown' })
    const one = await call('GET', `/v1/promo-codes/${id}/redemptions?limit=1`)
    expect(one.body.items).toMatchObject([{ holder: 'ada', uses: 1, last_at: expect.any(String) }])
    const two = await call('GET', `/v1/promo-codes/${id}/redemptions?limit=1&cursor=${one.body.next_cursor}`)
    expect([two.body.items[0].holder, two.body.next_cursor]).toEqual(['bo', null])
  })

  it('that is taken is a conflict that says so', async () => {
    await created({ code: 'TAKEN' })
    const { status, body } = await call('POST', '/v1/promo-codes', { code: 'tak-en' })
    expect([status, body.code, body.field]).toEqual([409, 'code_taken', 'code'])
  })

  it('redeemed twice under one Idempotency-Key counts once', async () => {
    const { id, code } = await created({ max_uses_each: null })
    const key = { 'idempotency-key': 'order-1' }
    const [first, second] = [await redeem(code, 'ada', key), await redeem(code, 'ada', key)]
    expect([first.body, second.headers.get('idempotent-replayed')]).toEqual([second.body, 'true'])
    expect((await call('GET', `/v1/promo-codes/${id}`)).body).toMatchObject({ uses: 1, max_uses_each: null })
    expect((await redeem(code, 'bo', key)).body.code).toBe('idempotency_mismatch')
  })

  it('is given another end, withdrawn, and then told to be so', async () => {
    const { id, code } = await created({ starts_in: 60 })
    expect((await redeem(code, 'ada')).body.reason).toBe('scheduled')
    expect((await call('POST', `/v1/promo-codes/${id}/renew`, { expires_in: 86_400 })).body).toMatchObject({ id })
    const revoked = await call('POST', `/v1/promo-codes/${id}/revoke`, { reason: 'a mistake' })
    expect(revoked.body).toMatchObject({ status: 'revoked', word: 'withdrawn' })
    expect((await redeem(code, 'ada')).body).toMatchObject({ redeemed: false, reason: 'revoked', promo_code: { id } })
    expect((await call('POST', `/v1/promo-codes/${id}/renew`, { expires_in: 60 })).body.code).toBe('already_ended')
  })

  it('is its own kind: another’s id is not there', async () => {
    const { body: trial } = await call('POST', '/v1/trials', {})
    for (const path of ['', '/redemptions'])
      expect((await call('GET', `/v1/promo-codes/${trial.id}${path}`)).status).toBe(404)
    for (const [verb, body] of [
      ['revoke', {}],
      ['renew', { expires_in: 60 }],
    ] as const)
      expect((await call('POST', `/v1/promo-codes/${trial.id}/${verb}`, body)).status).toBe(404)
    const issued = await call('POST', '/v1/resources', { kind: 'promo-code', payload: { code: 'x' } })
    expect([issued.body.code, issued.body.detail]).toEqual([
      'kind_has_verbs',
      expect.stringContaining('/v1/promo-codes'),
    ])
  })

  it.each([
    ['code', { code: 'half price' }],
    ['code', { code: 'abc' }],
    ['max_uses', { max_uses: 0 }],
    ['max_uses_each', { max_uses_each: 1.5 }],
    ['benefit.amount', { benefit: { amount: 2 ** 60 } }],
    ['expires_in', { expires_in: 366 * 86_400 }],
    ['starts_in', { starts_in: 60, starts_at: '2030-01-01T00:00:00Z' }],
    ['organization', { organization: 'nobody' }],
    ['uses', { uses: 1 }],
  ])('refuses a bad %s', async (field, body) => {
    const answer = await call('POST', '/v1/promo-codes', body)
    expect([answer.status, answer.body.field]).toEqual([422, field])
  })

  it('belongs to its organization, and is nobody’s outside of it', async () => {
    const { body: organization } = await call('POST', '/v1/organizations', { name: 'Acme', reference: 'acme-promo' })
    const { code } = await created({ code: 'STAFF', organization: 'acme-promo' })
    expect((await redeem(code, 'ada')).body.reason).toBe('unknown')
    const inside = { code, holder: 'ada', organization: organization.id }
    expect((await call('POST', '/v1/promo-codes/redeem', inside)).body.redeemed).toBe(true)
    await call('POST', `/v1/organizations/${organization.id}/suspend`)
    expect((await call('POST', '/v1/promo-codes/check', inside)).body.reason).toBe('suspended')
  })
})

it('asks for the token', async () => {
  const { id } = await created()
  for (const [method, path] of [
    ...[
      ['POST', ''],
      ['GET', ''],
      ['GET', `/${id}`],
      ['POST', '/check'],
      ['POST', '/redeem'],
    ],
    ...[
      ['GET', `/${id}/redemptions`],
      ['POST', `/${id}/renew`],
      ['POST', `/${id}/revoke`],
    ],
  ] as [string, string][])
    expect((await call(method, `/v1/promo-codes${path}`, undefined, { authorization: '' })).status).toBe(401)
})
