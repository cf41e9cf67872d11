import { nowSql } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { forecastResources } from '../src/store/forecast.ts'
import { coupon, membership, plain } from './kinds.ts'
import { day, hour, minute, testDomain } from './support.ts'

const { domain, age, planOf, sql } = await testDomain([plain, coupon, membership])
const { resources } = domain
const { organizations } = domain.ownVerbs(async () => true)
const clear = () => sql('DELETE FROM resource')
const issue = async (kind: string, expiresAt: number, more: object = {}) =>
  (await resources.issue({ kind, expiresAt: new Date(expiresAt), ...more })).resource
/** The beginning of the hour or day after the one that it is, by the database's clock. */
const next = async (width: number) => (Math.floor((await domain.clock()).getTime() / width) + 1) * width

describe('the forecast', () => {
  it('counts what ends in each whole hour, UTC, by kind; what begins an hour belongs to it', async () => {
    await clear()
    const noon = await next(hour)
    for (const [kind, at] of [
      ['plain', noon + hour],
      ['plain', noon + 2 * hour - 1],
      ['coupon', noon + 2 * hour - 1],
      ['plain', noon + 2 * hour],
      ['plain', noon + 3 * hour],
    ] as const)
      await issue(kind, at)
    const { buckets, overdue, at } = await domain.forecast({ bucket: 'hour', count: 4 })
    expect(at.getTime()).toBeLessThan(noon + hour)
    const first = buckets[0]?.start.getTime() ?? 0
    expect(buckets.map(({ start, end }) => [start.getTime(), end.getTime()])).toEqual(
      [0, 1, 2, 3].map((i) => [first + i * hour, first + (i + 1) * hour]),
    )
    expect(first % hour).toBe(0)
    // Should the hour have changed meanwhile, all of it is one further to the left.
    const shift = (noon - first) / hour
    const counted = buckets.slice(shift)
    expect(counted.map(({ total, kinds }) => [total, kinds])).toEqual(
      [
        [0, {}],
        [3, { plain: 2, coupon: 1 }],
        [1, { plain: 1 }],
        [1, { plain: 1 }],
      ].slice(0, 4 - shift),
    )
    expect(overdue).toEqual({ total: 0, kinds: {} })
  })

  it('counts whole days too, by when it really ends: with its grace, and whatever is due before', async () => {
    await clear()
    const midnight = await next(day)
    const { id } = await issue('membership', midnight + 5 * day + hour)
    const { buckets } = await domain.forecast({ bucket: 'day', count: 10 })
    const at = buckets.findIndex(({ total }) => total > 0)
    expect(buckets[at]?.start).toEqual(new Date(midnight + 6 * day))
    expect((await domain.pending([id]))[0]).toMatchObject({ nextStep: 'remind' })
  })

  it('leaves out what has ended, and tells what is over and not swept as a number of its own', async () => {
    await clear()
    const noon = await next(hour)
    const [late, revoked, blocked] = [
      await issue('plain', noon + hour),
      await issue('plain', noon + hour),
      await issue('coupon', noon + hour),
    ]
    await age(late.id, 4 * hour)
    await resources.revoke('plain', revoked.id)
    await sql(`UPDATE resource SET suspended_at = ${nowSql} WHERE id = $1`, [blocked.id])
    const { buckets, overdue } = await domain.forecast({ bucket: 'hour', count: 48 })
    expect(overdue).toEqual({ total: 1, kinds: { plain: 1 } })
    expect(buckets.reduce((sum, { total }) => sum + total, 0)).toBe(1)
    await domain.advance({ trigger: 'sweep' })
    expect((await domain.forecast({ bucket: 'hour', count: 1 })).overdue.total).toBe(0)
  })

  it('begins where it is told, and is confined to a kind and an organization', async () => {
    await clear()
    const { id: organizationId } = await organizations.create({ name: 'Forecast' })
    const noon = await next(hour)
    await issue('plain', noon + 30 * hour, { organization: organizationId })
    await issue('coupon', noon + 30 * hour, { organization: organizationId })
    await issue('plain', noon + 30 * hour)
    const span = { bucket: 'hour', count: 2, from: new Date(noon + 30 * hour - minute) } as const
    const totals = async (more: object) =>
      (await domain.forecast({ ...span, ...more })).buckets.map(({ start, total }) => [start.getTime(), total])
    const [before, within] = [noon + 29 * hour, noon + 30 * hour]
    expect(await totals({})).toEqual([
      [before, 0],
      [within, 3],
    ])
    expect((await totals({ kind: 'plain' }))[1]).toEqual([within, 2])
    expect((await totals({ organizationId }))[1]).toEqual([within, 2])
    expect((await totals({ organizationId, kind: 'coupon' }))[1]).toEqual([within, 1])
    const past = await domain.forecast({ ...span, from: new Date(0) })
    expect(past.buckets[0]?.end.getTime()).toBeGreaterThan(past.at.getTime())
  })

  it('refuses what makes no sense, naming it', async () => {
    for (const [field, wrong] of [
      ['count', { count: 0 }],
      ['count', { count: 1_001 }],
      ['count', { count: 1.5 }],
      ['bucket', { bucket: 'week' as 'day' }],
      ['from', { from: new Date(Number.NaN) }],
    ] as const)
      await expect(domain.forecast({ bucket: 'hour', count: 1, ...wrong })).rejects.toMatchObject({
        code: 'invalid',
        field,
      })
  })

  it('reads what is due, by its index, and nothing that has ended', async () => {
    await clear()
    await sql(`INSERT INTO resource (id, kind, status, issued_at, changed_at, expires_at, ends_at, ended_at, due_at, next_step)
      SELECT gen_random_uuid(), 'plain', (CASE WHEN live THEN 'active' ELSE 'expired' END)::lapse_status, at - '9 days'::interval,
        at, e, e, CASE WHEN NOT live THEN e END, e, (CASE WHEN live THEN 'expire' ELSE 'purge' END)::lapse_step
      FROM (SELECT ${nowSql} AS at, i % 20 = 0 AS live, now() + (CASE WHEN i % 20 = 0 THEN 1 ELSE -1 END) * i * interval '10 s' AS e
        FROM generate_series(1, 40000) i) made`)
    await sql('VACUUM ANALYZE resource')
    const plan = await planOf((db) => forecastResources(db, { bucket: 'hour', count: 24 }))
    expect(plan).toContain('resource_due')
    expect(plan).not.toMatch(/Seq Scan on resource|Rows Removed by Filter/)
  })
})
