import { nowSql } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import type { Change } from '../src/index.ts'
import { coupon, membership, plain } from './kinds.ts'
import { day, hour, minute, second, tally, testDomain } from './support.ts'

const { domain, age, sql, history, holding } = await testDomain([plain, coupon, membership])
const { resources } = domain
const told: Change[] = []
const { bulk, organizations } = domain.ownVerbs(async (changes) => {
  told.push(...(changes as Change[]))
  return true
})

/** So many in one scope, their ids in order. */
const issued = async (count: number, scope: string, more: object = {}) => {
  const drafts = Array.from({ length: count }, () => ({ kind: 'plain', scope, ...more }))
  return (await resources.issueAll(drafts)).map(({ resource }) => resource.id).sort()
}
const statuses = async (ids: readonly string[]) =>
  tally((await sql<{ status: string }>('SELECT status FROM resource WHERE id = ANY ($1)', [ids])).map((r) => r.status))
const stored = () =>
  sql(`SELECT (SELECT jsonb_agg(r ORDER BY id) FROM resource r) AS resources,
    (SELECT count(*) FROM event) AS events, (SELECT count(*) FROM delivery) AS deliveries`)

describe('revoking by a filter', () => {
  it('ends all of one scope, of every kind, each with its event, and tells the queue', async () => {
    const ids = await issued(3, 'acme')
    const [member = ''] = await issued(1, 'acme', { kind: 'membership' })
    const [other = ''] = await issued(1, 'umbrella')
    const result = await bulk.revoke({ scope: 'acme' }, { actor: 'ada', reason: 'moved out' })
    expect(result).toEqual({
      matched: 4,
      changed: 4,
      refused: {},
      sample: [...ids, member].sort(),
      done: true,
      after: null,
    })
    expect(await statuses([...ids, member])).toEqual({ revoked: 4 })
    expect(await statuses([other])).toEqual({ active: 1 })
    const [event] = await domain.events({ resourceId: member, type: 'revoked' })
    expect(event).toMatchObject({
      trigger: 'cascade',
      actor: 'ada',
      reason: 'moved out',
      from: 'active',
      to: 'revoked',
    })
    expect(told.map(({ resource }) => resource.id).sort()).toEqual([...ids, member].sort())
    expect(await bulk.revoke({ scope: 'acme' })).toMatchObject({ matched: 0, changed: 0, done: true })
    expect(await history(member)).toEqual(['issued', 'revoked'])
  })

  it('all that is given has to fit: kind, scope, subject, organization, status', async () => {
    const { id: organizationId } = await organizations.create({ name: 'Filtered' })
    const filter = { kind: 'plain', scope: 'exact', subject: 'ada', organizationId }
    const draft = { subject: 'ada', organization: organizationId }
    const [wanted = ''] = await issued(1, 'exact', draft)
    await issued(1, 'exact', { ...draft, kind: 'coupon' })
    await issued(1, 'other', draft)
    await issued(1, 'exact', { ...draft, subject: 'bob' })
    await issued(1, 'exact', { ...draft, organization: undefined })
    expect(await bulk.revoke(filter, { dryRun: true })).toMatchObject({ matched: 1, sample: [wanted] })
    expect(await bulk.revoke({ ...filter, status: 'grace' }, { dryRun: true })).toMatchObject({ matched: 0 })
    for (const [key, count] of [
      ['scope', 4],
      ['subject', 4],
      ['organizationId', 4],
    ] as const)
      expect([key, (await bulk.revoke({ [key]: filter[key] }, { dryRun: true })).matched]).toEqual([key, count])
    expect(await bulk.revoke({ ...filter, status: 'active' })).toMatchObject({ changed: 1, sample: [wanted] })
  })

  it('without a filter nothing is done, and the refusal says why', async () => {
    const before = await stored()
    for (const filter of [{}, { status: 'active' as const }])
      await expect(bulk.revoke(filter)).rejects.toMatchObject({
        code: 'invalid',
        field: 'filter',
        detail: expect.stringContaining('everything there is'),
      })
    await expect(bulk.revoke({ kind: 'nope' })).rejects.toMatchObject({ code: 'unknown_kind', field: 'filter.kind' })
    await expect(bulk.revoke({ scope: 'a' }, { after: 'x' })).rejects.toMatchObject({ field: 'after' })
    expect(await stored()).toEqual(before)
  })

  it('what has ended is not found, swept or not; what is suspended is', async () => {
    const [over = '', gone = '', blocked = ''] = await issued(3, 'ended')
    await age(over, 20 * day)
    await resources.revoke('plain', gone)
    await sql(`UPDATE resource SET suspended_at = ${nowSql} WHERE id = $1`, [blocked])
    expect(await bulk.revoke({ scope: 'ended' })).toMatchObject({ matched: 1, changed: 1, sample: [blocked] })
    expect(await resources.get(over)).toMatchObject({ status: 'expired' })
  })
})

describe('renewing by a filter', () => {
  it('gives each another end by the terms of its kind, and counts the others by their reason', async () => {
    const [good = '', suspended = '', old = ''] = await issued(3, 'renewed')
    await age(old, 50 * day)
    await sql(
      `UPDATE resource SET expires_at = now() + '1 hour', ends_at = now() + '1 hour', due_at = now() + '1 hour'
      WHERE id = $1`,
      [old],
    )
    await sql(`UPDATE resource SET suspended_at = ${nowSql} WHERE id = $1`, [suspended])
    told.length = 0
    const result = await bulk.renew({ kind: 'plain', scope: 'renewed' }, { expiresInMs: 20 * day }, { actor: 'ada' })
    expect(result).toMatchObject({
      matched: 3,
      changed: 1,
      refused: { suspended: 1, lifetime_too_long: 1 },
      sample: [good],
    })
    const resource = await resources.get(good)
    expect(resource.version).toBe(2)
    expect(resource.expiresAt.getTime() - resource.seenAt.getTime()).toBeGreaterThan(19 * day)
    expect(told).toMatchObject([{ timers: [{ id: good, step: 'expire', version: 2 }], stale: expect.any(Array) }])
    const [event] = await domain.events({ resourceId: good, type: 'renewed' })
    expect(event).toMatchObject({ trigger: 'cascade', actor: 'ada', data: { after: { version: 2 } } })
    expect(await history(old)).toEqual(['issued'])
    expect(await bulk.renew({ kind: 'plain', scope: 'renewed' }, { expiresInMs: 1 })).toMatchObject({
      changed: 0,
      refused: { lifetime_too_short: 2, suspended: 1 },
    })
  })

  it('brings what is in grace back, arms its reminders, and owes its mails', async () => {
    const [id = ''] = await issued(1, 'grace', { kind: 'membership', payload: { email: 'ada@example.com' } })
    await age(id, 14 * day + hour)
    await domain.advance({ trigger: 'sweep' })
    expect(
      await bulk.renew({ kind: 'membership', scope: 'grace', status: 'grace' }, { expiresInMs: 2 * day }),
    ).toMatchObject({ changed: 1 })
    expect(await resources.get(id)).toMatchObject({ status: 'active' })
    expect((await domain.pending([id]))[0]).toMatchObject({ nextStep: 'remind' })
    const owed = (await domain.deliveries.list({ resourceId: id })).map(({ event }) => event)
    expect(owed).toContain('renewed')
  })

  it('needs an end, and a kind that is known', async () => {
    await expect(bulk.renew({ kind: 'plain' }, {})).rejects.toMatchObject({ code: 'invalid', field: 'expires_at' })
    await expect(bulk.renew({ kind: 'nope' }, { expiresInMs: day })).rejects.toMatchObject({ code: 'unknown_kind' })
  })
})

describe('a dry run', () => {
  it('changes nothing, and says the numbers that the deed then has', async () => {
    const ids = await issued(5, 'dry')
    const [suspended = '', over = ''] = ids
    await sql(`UPDATE resource SET suspended_at = ${nowSql} WHERE id = $1`, [suspended])
    await age(over, 20 * day)
    const acts = [
      (dryRun: boolean) => bulk.renew({ kind: 'plain', scope: 'dry' }, { expiresInMs: 2 * day }, { dryRun }),
      (dryRun: boolean) => bulk.revoke({ scope: 'dry' }, { dryRun }),
    ]
    for (const act of acts) {
      const before = await stored()
      told.length = 0
      const said = await act(true)
      expect(await stored()).toEqual(before)
      expect(told).toEqual([])
      expect(said.changed).toBeGreaterThan(0)
      expect(await act(false)).toEqual(said)
    }
  })

  it('waits for nobody’s lock', async () => {
    const [id = ''] = await issued(1, 'held')
    await holding(id, async () => {
      expect(await bulk.revoke({ scope: 'held' }, { dryRun: true })).toMatchObject({ matched: 1 })
    })
  })
})

describe('batches', () => {
  it('stop when the time is up, and go on where they stopped, each row once', async () => {
    const ids = [
      ...(await issued(1_000, 'many')),
      ...(await issued(1_000, 'many')),
      ...(await issued(500, 'many')),
    ].sort()
    const calls = []
    for (let after: string | undefined, done = false; !done; ) {
      const result = await bulk.revoke({ scope: 'many' }, { timeMs: 0, after })
      calls.push(result.changed)
      after = result.after ?? undefined
      done = result.done
    }
    expect(calls).toEqual([1_000, 1_000, 500])
    expect(await statuses(ids)).toEqual({ revoked: 2_500 })
    expect(await bulk.revoke({ kind: 'plain', scope: 'many' })).toMatchObject({ matched: 0, done: true })
  })

  it('that have committed stand when somebody holds a row of a later one, and the answer says where to go on', async () => {
    const ids = [...(await issued(1_000, 'stuck')), ...(await issued(10, 'stuck'))].sort()
    const last = ids.at(-1) ?? ''
    const result = await new Promise<Awaited<ReturnType<typeof bulk.revoke>>>((resolve, reject) => {
      holding(last, async () => {
        await bulk.revoke({ kind: 'plain', scope: 'stuck' }).then(resolve, reject)
      }).catch(reject)
    })
    expect(result).toMatchObject({ changed: 1_000, done: false, after: ids[999] })
    expect(await statuses(ids)).toEqual({ revoked: 1_000, active: 10 })
    const rest = await bulk.revoke({ scope: 'stuck' }, { after: result.after ?? '' })
    expect(rest).toMatchObject({ changed: 10, done: true })
  }, 20_000)

  it('of a kind alone go by its index, all the way', async () => {
    await resources.issueAll(Array.from({ length: 1_500 }, () => ({ kind: 'coupon', expiresInMs: minute + second })))
    const before = await domain.resources.count({ kind: 'coupon', live: true })
    expect(await bulk.renew({ kind: 'coupon' }, { expiresInMs: hour })).toMatchObject({ changed: before, done: true })
  })
})
