import { describe, expect, it } from 'vitest'
import { coupon, membership, plain } from './kinds.ts'
import { day, testDomain } from './support.ts'

const { domain, age, sql, another, holding } = await testDomain([plain, coupon, membership])
const { resources } = domain

/** So many that were revoked 31 days ago, and so are past their retention by a day. */
const past = async (count: number, kind = 'plain', payload = {}) => {
  const all = await resources.issueAll(Array.from({ length: count }, () => ({ kind, payload })))
  const ids = all.map(({ resource }) => resource.id)
  for (const id of ids) await resources.revoke(kind, id)
  await age(ids, 31 * day)
  return ids
}
const answers = (count: number, ago: string) =>
  sql(
    `INSERT INTO idempotency_key (owner, key, fingerprint, answer, created_at)
     SELECT 'test', gen_random_uuid()::text, '', '{}', now() - $2::interval FROM generate_series(1, $1::int)`,
    [count, ago],
  )
const left = async (ids: string[]) =>
  (await sql<{ id: string }>('SELECT id FROM resource WHERE id = ANY ($1)', [ids])).map(({ id }) => id)

describe('cleanup', () => {
  it('removes what is past its retention, of every kind, says what, and then finds nothing', async () => {
    const [plains, coupons] = [await past(3), await past(2, 'coupon')]
    await answers(4, '25 hours')
    await answers(2, '23 hours')
    expect(await domain.cleanUp()).toEqual({ removed: { plain: 3, coupon: 2 }, answers: 4, notices: 0, done: true })
    expect(await left([...plains, ...coupons])).toEqual([])
    expect(await domain.cleanUp()).toEqual({ removed: {}, answers: 0, notices: 0, done: true })
  })

  it('leaves what lives, what is kept still, and what owes a delivery', async () => {
    const alive = (await resources.issue({ kind: 'plain' })).resource.id
    const kept = (await resources.issue({ kind: 'plain' })).resource.id
    await resources.revoke('plain', kept)
    await age(kept, 29 * day)
    const [owes = ''] = await past(1, 'membership', { email: 'ada@example.com' })
    expect(await domain.cleanUp()).toMatchObject({ removed: {}, done: true })
    expect((await left([alive, kept, owes])).sort()).toEqual([alive, kept, owes].sort())
  })

  it('removes tests and alerts that were told 30 days ago, and none that are still to be told', async () => {
    const notice = { type: 'lapse.test', data: {}, letter: { subject: 'test', lines: [] } }
    const to = ['old@example.com', 'new@example.com', 'waiting@example.com'].map((target) => ({
      ...{ channel: 'email' as const, target },
    }))
    await domain.deliveries.owe(notice, to)
    await sql(`UPDATE delivery SET status = 'sent', next_attempt_at = NULL, created_at = created_at - interval '40 days',
      settled_at = now() - CASE target WHEN 'old@example.com' THEN interval '31 days' ELSE interval '29 days' END
      WHERE target IN ('old@example.com', 'new@example.com')`)
    expect(await domain.cleanUp()).toEqual({ removed: {}, answers: 0, notices: 1, done: true })
    const rest = await domain.deliveries.list({ kind: 'lapse' })
    expect(rest.map(({ target }) => target).sort()).toEqual(['new@example.com', 'waiting@example.com'])
  })

  it('is bounded by a number and by time, and says that there is more', async () => {
    await past(7)
    expect(await domain.cleanUp({ limit: 5 })).toEqual({ removed: { plain: 5 }, answers: 0, notices: 0, done: false })
    await past(600)
    expect(await domain.cleanUp({ timeMs: 0 })).toEqual({
      removed: { plain: 500 },
      answers: 0,
      notices: 0,
      done: false,
    })
    expect(await domain.cleanUp()).toEqual({ removed: { plain: 102 }, answers: 0, notices: 0, done: true })
  })

  it('waits for nobody: what somebody holds is left for the next time', async () => {
    const [held = '', ...others] = await past(3)
    await holding(held, async () => {
      expect(await domain.cleanUp()).toMatchObject({ removed: { plain: others.length } })
    })
    expect(await domain.cleanUp()).toMatchObject({ removed: { plain: 1 } })
  })

  it('of several processes at once each row is removed by one, with one event', async () => {
    const ids = await past(1_200)
    await answers(700, '2 days')
    const processes = [domain, ...[1, 2, 3].map(() => another([plain, coupon, membership]))]
    const results = await Promise.all(processes.map((one) => one.cleanUp()))
    const rest = await domain.cleanUp()
    const sum = (of: (one: (typeof results)[number]) => number) => [...results, rest].reduce((n, one) => n + of(one), 0)
    expect([sum(({ removed }) => removed.plain ?? 0), sum((one) => one.answers)]).toEqual([1_200, 700])
    expect(await left(ids)).toEqual([])
    const events = await sql(`SELECT resource_id FROM event WHERE type = 'purged' AND resource_id = ANY ($1)`, [ids])
    expect(events).toHaveLength(1_200)
  })
})
