import { expect, it } from 'vitest'
import { promoCode } from '../src/index.ts'
import { testPeople } from './people.ts'
import { tally } from './support.ts'

const { elsewhere, holding, lockWaiters, people, sql } = await testPeople([promoCode])
const here = people.promoCodes
const there = elsewhere().promoCodes

const create = async (more: object = {}) => (await here.create(more)).promoCode

/** Many at once, through two processes. `done` is told of each answer. */
const together = (n: number, code: string, holderOf: (i: number) => string, done = (_: string) => {}) =>
  Promise.all(
    Array.from({ length: n }, async (_, i) => {
      const redeemed = await (i % 2 ? here : there).redeem({ code, holder: holderOf(i) })
      const outcome = redeemed.redeemed ? 'redeemed' : redeemed.reason
      done(outcome)
      return outcome
    }),
  )

const counted = async (id: string) => {
  const [row] = await sql(
    `SELECT r.uses, r.ends_at, (SELECT sum(uses)::int FROM redemption WHERE resource_id = r.id) AS redeemed,
      (SELECT count(*)::int FROM event WHERE resource_id = r.id AND type IN ('used', 'consumed')) AS events,
      (SELECT count(*)::int FROM event WHERE resource_id = r.id AND type IN ('used', 'consumed') AND at >= r.ends_at) AS late
    FROM resource r WHERE id = $1`,
    [id],
  )
  return row
}

it('I8: a code for ten, a hundred users at once: exactly ten, each with one event', async () => {
  const { id, payload } = await create({ maxUses: 10 })
  const outcomes = await together(100, payload.code, (i) => `user ${i}`)
  expect(tally(outcomes)).toEqual({ redeemed: 10, used_up: 90 })
  expect(await counted(id)).toMatchObject({ uses: 10, redeemed: 10, events: 10 })
})

/** Ends it now: once the lock is ours, for the clock has to be read after that. */
const endNow = (id: string) =>
  holding(id, async (holder) => {
    await holder.query(
      `UPDATE resource SET expires_at = at, ends_at = at, due_at = at
      FROM (SELECT date_trunc('milliseconds', clock_timestamp()) AS at) AS clock WHERE id = $1 AND status = 'active'`,
      [id],
    )
  })

it.each([
  ['ten', 10],
  ['a thousand', 1_000],
])(
  'I8: a code for %s that ends while a hundred users are at it: no more than that, and none from its end on',
  async (_, maxUses) => {
    const { id, payload } = await create({ maxUses })
    let ending: Promise<void> | undefined
    const outcomes = await together(
      100,
      payload.code,
      (i) => `user ${i}`,
      () => {
        ending ??= endNow(id)
      },
    )
    await ending
    const { redeemed = 0, ...refused } = tally(outcomes)
    expect(redeemed).toBeGreaterThan(0)
    expect(redeemed).toBeLessThanOrEqual(maxUses)
    expect(Object.keys(refused).filter((reason) => reason !== 'expired' && reason !== 'used_up')).toEqual([])
    expect(await counted(id)).toMatchObject({ uses: redeemed, redeemed, events: redeemed, late: 0 })
    expect(await together(1, payload.code, () => 'late')).not.toEqual(['redeemed'])
  },
)

it('who has waited for a lock past its end is refused: the clock is read after the lock', async () => {
  const { id, payload } = await create()
  let waiting: Promise<string[]> | undefined
  await holding(id, async (holder) => {
    waiting = together(8, payload.code, (i) => `user ${i}`)
    // The others wait for their turn in this process.
    await lockWaiters(3)
    await holder.query(
      `UPDATE resource SET expires_at = at, ends_at = at, due_at = at
      FROM (SELECT date_trunc('milliseconds', clock_timestamp()) AS at) AS clock WHERE id = $1`,
      [id],
    )
  })
  expect(tally((await waiting) ?? [])).toEqual({ expired: 8 })
})

it('40 at once by one holder who may three times: exactly three', async () => {
  const { id, payload } = await create({ maxUsesEach: 3 })
  const outcomes = await together(40, payload.code, () => 'ada')
  expect(tally(outcomes)).toEqual({ redeemed: 3, used_up_by_holder: 37 })
  expect(await counted(id)).toMatchObject({ uses: 3, redeemed: 3, events: 3 })
})

it('40 at once choose the same code, each written in another way: one has it', async () => {
  const taken = await Promise.allSettled(
    Array.from({ length: 40 }, (_, i) =>
      (i % 2 ? here : there).create({ code: i % 4 > 1 ? 'SPRING-10' : 'spr-ing-lO' }),
    ),
  )
  expect(tally(taken.map((one) => (one.status === 'fulfilled' ? 'created' : one.reason.code)))).toEqual({
    created: 1,
    code_taken: 39,
  })
})
