import { expect, it } from 'vitest'
import { z } from 'zod'
import { defineKind } from '../src/index.ts'
import { minute, second, tally, testDomain } from './support.ts'

const voucher = defineKind({
  name: 'voucher',
  payload: z.strictObject({ long: z.boolean().optional() }),
  lifetime: { default: '1d', max: '2d', maxFor: ({ long }) => (long ? '10d' : undefined) },
  reminders: [],
  uses: 'unlimited',
})
const { domain, another, age, history, sql } = await testDomain([voucher])
const elsewhere = another([voucher])
const issue = async (more: object) => (await domain.resources.issue({ kind: 'voucher', ...more })).resource.id
const together = (n: number, id: string, holderOf: (i: number) => string) =>
  Promise.all(
    Array.from({ length: n }, (_, i) =>
      (i % 2 ? domain : elsewhere).resources.consume('voucher', id, { holder: holderOf(i) }),
    ),
  )
const outcomes = (results: Awaited<ReturnType<typeof together>>) =>
  tally(results.map((result) => (result.consumed ? 'used' : result.reason)))

it('40 at once by one holder who may twice: exactly two', async () => {
  const id = await issue({ maxUsesEach: 2 })
  expect(outcomes(await together(40, id, () => 'ada'))).toEqual({ used: 2, used_up: 38 })
  expect(tally(await history(id))).toEqual({ issued: 1, used: 2 })
})

it('I8: 40 at once by 20 holders on ten uses, one each: ten holders, once each', async () => {
  const id = await issue({ maxUses: 10, maxUsesEach: 1 })
  const results = await together(40, id, (i) => `holder ${i % 20}`)
  expect(results.filter(({ consumed }) => consumed)).toHaveLength(10)
  const rows = await sql('SELECT holder, uses FROM redemption WHERE resource_id = $1', [id])
  expect(rows).toHaveLength(10)
  expect(rows.every(({ uses }) => uses === 1)).toBe(true)
})

it('what is refused is not counted: the end, and a use too many, leave no trace', async () => {
  const id = await issue({ maxUses: 1, maxUsesEach: 1 })
  expect(outcomes(await together(1, id, () => 'ada'))).toEqual({ used: 1 })
  expect(outcomes(await together(3, id, (i) => `late ${i}`))).toEqual({ consumed: 3 })
  expect(await sql('SELECT holder FROM redemption WHERE resource_id = $1', [id])).toEqual([{ holder: 'ada' }])
})

it('without a holder, where each may use it so often, it is refused and names the field', async () => {
  const id = await issue({ maxUsesEach: 1 })
  await expect(domain.resources.consume('voucher', id)).rejects.toMatchObject({ code: 'invalid', field: 'holder' })
})

it('before its beginning it is scheduled: not used, not allowed; and at the beginning it is', async () => {
  const id = await issue({ startsInMs: 10 * minute })
  expect(await domain.resources.check('voucher', id)).toMatchObject({ allowed: false, reason: 'scheduled' })
  expect(outcomes(await together(2, id, () => 'ada'))).toEqual({ scheduled: 2 })
  expect(await domain.resources.list({ kind: 'voucher', status: 'scheduled' })).toMatchObject([{ id }])
  expect(await domain.resources.count({ kind: 'voucher', status: 'scheduled', live: true })).toBe(0)
  await age(id, 10 * minute)
  expect(await domain.resources.check('voucher', id)).toMatchObject({ allowed: true })
  const [used] = await together(1, id, () => 'ada')
  expect(used).toMatchObject({ consumed: true, resource: { lastUsedAt: expect.any(Date) } })
})

it('one that would end before it begins is refused', async () => {
  const late = { startsInMs: 10 * minute, expiresInMs: 10 * minute }
  await expect(issue(late)).rejects.toMatchObject({ code: 'lifetime_too_short', field: 'expires_in' })
  await expect(issue({ startsInMs: second, startsAt: new Date() })).rejects.toMatchObject({ field: 'starts_in' })
})

it('a longest life of its own takes the place of its kind’s, at the issue and for all renewals', async () => {
  const days = (n: number) => n * 24 * 60 * minute
  await expect(issue({ expiresInMs: days(3) })).rejects.toMatchObject({ code: 'lifetime_too_long' })
  const id = await issue({ expiresInMs: days(3), payload: { long: true } })
  await domain.resources.renew('voucher', id, { expiresInMs: days(9) })
  await expect(domain.resources.renew('voucher', id, { expiresInMs: days(11) })).rejects.toMatchObject({
    code: 'lifetime_too_long',
  })
})
