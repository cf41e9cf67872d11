import { nowSql } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { overdue } from '../src/store/read.ts'
import { coupon, membership, plain } from './kinds.ts'
import { day, second, testDomain } from './support.ts'

const { domain, age, planOf, sql } = await testDomain([plain, coupon, membership])
const { resources } = domain

const issue = async (kind: string, more: object = {}) => (await resources.issue({ kind, ...more })).resource

describe('lists and counts', () => {
  it('C4: what is over is not live the instant it ends, though nothing has advanced it', async () => {
    const scope = 'c4'
    const [running, over, graced] = [
      await issue('membership', { scope }),
      await issue('membership', { scope }),
      await issue('membership', { scope }),
    ]
    await age(over.id, 15 * day)
    await age(graced.id, 14 * day)
    const ids = async (filter: object) => (await resources.list({ scope, ...filter })).map(({ id }) => id).sort()
    expect(await ids({ live: true })).toEqual([running.id, graced.id].sort())
    expect(await ids({ live: false })).toEqual([over.id])
    expect(await ids({ status: 'active' })).toEqual([running.id])
    expect(await ids({ status: 'grace' })).toEqual([graced.id])
    expect(await ids({ status: 'expired' })).toEqual([over.id])
    expect(await resources.count({ scope, live: true })).toBe(2)
    expect(await resources.count({ scope, status: 'expired' })).toBe(1)
    expect(await sql("SELECT FROM resource WHERE scope = 'c4' AND status <> 'active'")).toEqual([])
    expect(await resources.get(over.id)).toMatchObject({ status: 'expired', word: 'lapsed', endedAt: expect.any(Date) })
  })

  it('a cursor leads through all, newest first, each once, while new ones come', async () => {
    const scope = 'pages'
    const ids: string[] = []
    for (let i = 0; i < 7; i++) ids.unshift((await issue('plain', { scope, subject: `s${i}` })).id)
    const seen: string[] = []
    for (let before: string | undefined; ; before = seen.at(-1)) {
      const page = await resources.list({ scope }, { before, limit: 3 })
      if (page.length === 0) break
      seen.push(...page.map(({ id }) => id))
      await issue('plain', { scope })
    }
    expect(seen).toEqual(ids)
    expect(await resources.list({ scope, subject: 's3', kind: 'plain' })).toMatchObject([{ id: ids[3] }])
    expect(await resources.list({ scope, kind: 'coupon' })).toEqual([])
  })
})

describe('a list that leaves out kinds', () => {
  const exceptKinds = ['plain']

  it('has full pages by the index, whatever is left out in between, in all, of a state, and of an organization', async () => {
    const { organizations } = domain.ownVerbs(async () => true)
    const organization = (await organizations.create({ name: 'Acme' })).id
    const shown: string[] = []
    for (let i = 0; i < 5; i++) {
      shown.unshift((await issue('coupon', { organization })).id)
      const drafts = Array.from({ length: 500 }, () => ({ kind: 'plain', organization }))
      await resources.issueAll(drafts)
    }
    await resources.revoke('coupon', shown[4] ?? '')
    for (const filter of [{ organizationId: organization }, {}]) {
      const page = await resources.list({ ...filter, exceptKinds }, { limit: 3 })
      expect(page.map(({ id }) => id)).toEqual(shown.slice(0, 3))
      const rest = await resources.list({ ...filter, exceptKinds }, { limit: 2, before: shown[2] })
      expect(rest.map(({ id }) => id)).toEqual(shown.slice(3))
    }
    const own = { organizationId: organization, exceptKinds }
    const idsOf = async (filter: object) => (await resources.list({ ...own, ...filter })).map(({ id }) => id)
    expect(await idsOf({ live: true })).toEqual(shown.slice(0, 4))
    expect(await idsOf({ live: false })).toEqual(shown.slice(4))
    expect(await idsOf({ kind: 'coupon' })).toEqual(shown)
    expect(await idsOf({ kind: 'plain' })).toEqual([])
    expect(await resources.tally(own)).toEqual({ count: 5, atLeast: false })
    expect(await resources.tally({ ...own, kind: 'plain' })).toEqual({ count: 0, atLeast: false })
  })

  it('leaves out what the clock has moved on and nobody has advanced', async () => {
    const scope = 'left-out'
    const [coupon, plain] = [await issue('coupon', { scope }), await issue('plain', { scope })]
    await age([coupon.id, plain.id], 800 * day)
    expect((await resources.list({ scope, exceptKinds, live: false })).map(({ id }) => id)).toEqual([coupon.id])
    expect(await resources.tally({ scope, exceptKinds, status: 'expired' })).toEqual({ count: 1, atLeast: false })
  })
})

describe('events', () => {
  it('J1: one for each thing that happened: which layer, who, before and after, how late', async () => {
    const { id } = await issue('coupon', {})
    await resources.consume('coupon', id, { actor: 'ann', reason: 'till 4' })
    await age(id, 14 * day + 5 * second)
    await domain.advance({ trigger: 'job' })
    const [expired, used, issued] = await domain.events({ resourceId: id })
    expect(issued).toMatchObject({ type: 'issued', from: null, to: 'active', trigger: 'manual', latenessMs: null })
    expect(used).toMatchObject({ type: 'used', from: 'active', to: 'active', actor: 'ann', reason: 'till 4' })
    expect(used?.data).toEqual({ before: { status: 'active', uses: 0 }, after: { status: 'active', uses: 1 } })
    expect(expired).toMatchObject({ type: 'expired', from: 'active', to: 'expired', trigger: 'job', actor: null })
    expect(expired?.latenessMs).toBeGreaterThanOrEqual(5 * second)
    expect(await domain.events({ resourceId: id, type: 'used', trigger: 'manual' })).toHaveLength(1)
    expect(await domain.events({ resourceId: id }, { before: used?.id, limit: 5 })).toMatchObject([{ type: 'issued' }])
    expect(await domain.events({ resourceId: id, since: expired?.at, until: new Date(8e12) })).toHaveLength(1)
  })

  it('A6: a wake-up that found nothing to do is recorded once a minute, whoever may send it', async () => {
    const { id } = await issue('plain')
    const early = { id, type: 'timer-early', reason: 'woken early' } as const
    for (let i = 0; i < 3; i++) await domain.recordIdle([early, early, { ...early, type: 'timer-stale' }])
    const types = (await domain.events({ resourceId: id, trigger: 'job' })).map(({ type }) => type)
    expect(types.sort()).toEqual(['timer-early', 'timer-stale'])
  })
})

describe('pending and upcoming', () => {
  it('a forged wake-up for what is no id holds up none of its company', async () => {
    const { id } = await issue('plain')
    expect(await domain.pending(['nonsense', "'; DROP TABLE resource", id])).toMatchObject([{ id, nextStep: 'expire' }])
    await age(id, 14 * day)
    const { rows } = await domain.advance({ trigger: 'job' }, { ids: ['nonsense', id] })
    expect(rows).toMatchObject([{ id, type: 'expired' }])
  })

  it('looks ahead page by page, over what has changed or come into view', async () => {
    const expiresInMs = 40 * day
    const changes = await resources.issueAll(Array.from({ length: 5 }, () => ({ kind: 'coupon', expiresInMs })))
    const ids = changes.map(({ resource }) => resource.id).sort()
    const horizon = { aheadMs: 41 * day, dueAfter: new Date(Date.now() + 39 * day), changedSince: new Date(8e12) }
    const seen: string[] = []
    for (let after: Awaited<ReturnType<typeof domain.upcoming>>[number] | undefined; ; ) {
      const page = await domain.upcoming(horizon, { after, limit: 2 })
      if (page.length === 0) break
      after = page.at(-1)
      seen.push(...page.map(({ id }) => id))
    }
    expect(seen.sort()).toEqual(ids)
    expect(await domain.upcoming({ aheadMs: 0 }, { limit: 10 })).toEqual([])
  })

  it('overdue counts what should have happened and has not, and says how late the first is', async () => {
    const { id } = await issue('plain', { expiresInMs: 30 * day })
    await age(id, 30 * day + 3 * second)
    expect(await domain.overdue()).toMatchObject([{ kind: 'plain', count: 1 }])
    expect((await domain.overdue())[0]?.oldestMs).toBeGreaterThanOrEqual(3 * second)
    await domain.advance({ trigger: 'sweep' })
    expect(await domain.overdue()).toEqual([])
  })

  it('overdue reads what is overdue, and not all that is pending', async () => {
    await sql(`INSERT INTO resource (id, kind, issued_at, changed_at, expires_at, ends_at, due_at, next_step)
      SELECT gen_random_uuid(), 'plain', now() - interval '1 day', ${nowSql}, e, e, e, 'expire'
      FROM (SELECT now() + (i - 20) * interval '10 s' AS e FROM generate_series(1, 40000) i ORDER BY random()) made`)
    await sql('VACUUM ANALYZE resource')
    expect(await planOf(overdue)).toContain('resource_due')
    expect(await planOf(overdue)).not.toMatch(/Seq Scan on resource|Rows Removed by Filter/)
    expect(await domain.overdue()).toMatchObject([{ kind: 'plain', count: expect.any(Number) }])
  })
})
