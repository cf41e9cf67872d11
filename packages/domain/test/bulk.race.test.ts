import { expect, it } from 'vitest'
import type { BulkResult } from '../src/index.ts'
import { coupon, plain } from './kinds.ts'
import { day, tally, testDomain } from './support.ts'

const { domain, sql, another, holding, lockWaiters } = await testDomain([plain, coupon])
const { resources } = domain
const processes = [domain, ...[1, 2, 3].map(() => another([plain, coupon]))]
const bulkOf = (i: number) => (processes[i % processes.length] ?? domain).ownVerbs(async () => true).bulk

const issued = async (count: number, scope: string) =>
  (await resources.issueAll(Array.from({ length: count }, () => ({ kind: 'plain', scope })))).map((c) => c.resource.id)
const types = async (scope: string, type: string) =>
  sql<{ id: string; n: number }>(
    `SELECT r.id, count(e.id)::int AS n FROM resource r LEFT JOIN event e ON e.resource_id = r.id AND e.type = $2
     WHERE r.scope = $1 GROUP BY r.id`,
    [scope, type],
  )

it('of 40 bulk revokes at once each row is revoked by one, with one event', async () => {
  const [first = ''] = (await issued(500, 'forty')).sort()
  let revoking: Promise<BulkResult[]> = Promise.resolve([])
  // Several have found all rows before any of them changes one.
  await holding(first, async () => {
    revoking = Promise.all(Array.from({ length: 40 }, (_, i) => bulkOf(i).revoke({ scope: 'forty' })))
    revoking.catch(() => {})
    await lockWaiters(10)
  })
  const results = await revoking
  expect(results.reduce((sum, { changed }) => sum + changed, 0)).toBe(500)
  expect(results.every(({ done, refused }) => done && Object.keys(refused).length === 0)).toBe(true)
  expect(tally((await types('forty', 'revoked')).map(({ n }) => String(n)))).toEqual({ '1': 500 })
})

it('bulk renewals, bulk revokes, single revokes and issues at once: what is counted is what was done', async () => {
  const ids = await issued(300, 'mixed')
  const late: Promise<unknown>[] = []
  const acts = Array.from({ length: 20 }, async (_, i) => {
    if (i % 4 === 0) late.push(resources.issue({ kind: 'plain', scope: 'mixed' }))
    if (i % 4 === 1) return bulkOf(i).revoke({ kind: 'plain', scope: 'mixed' })
    if (i % 4 === 2) await resources.revoke('plain', ids[i] ?? '')
    return bulkOf(i).renew({ kind: 'plain', scope: 'mixed' }, { expiresInMs: 2 * day })
  })
  const results = await Promise.all(acts)
  await Promise.all(late)
  const [{ n: renewed } = { n: 0 }] = await sql<{ n: number }>(
    `SELECT count(*)::int AS n FROM event e JOIN resource r ON r.id = e.resource_id WHERE r.scope = 'mixed' AND e.type = 'renewed'`,
  )
  const [{ n: revoked } = { n: 0 }] = await sql<{ n: number }>(
    `SELECT count(*)::int AS n FROM event e JOIN resource r ON r.id = e.resource_id
     WHERE r.scope = 'mixed' AND e.type = 'revoked' AND e.trigger = 'cascade'`,
  )
  const counted = (wanted: (i: number) => boolean) =>
    results.reduce((sum, { changed }, i) => sum + (wanted(i) ? changed : 0), 0)
  expect(counted((i) => i % 4 === 1)).toBe(revoked)
  expect(counted((i) => i % 4 !== 1)).toBe(renewed)
  const rows = await types('mixed', 'revoked')
  expect(rows.filter(({ id }) => ids.includes(id)).every(({ n }) => n === 1)).toBe(true)
  expect(rows.every(({ n }) => n <= 1)).toBe(true)
})

it('renewals at once count each version: none is lost', async () => {
  const ids = await issued(50, 'versions')
  const results = await Promise.all(
    Array.from({ length: 40 }, (_, i) =>
      bulkOf(i).renew({ kind: 'plain', scope: 'versions' }, { expiresInMs: 2 * day }),
    ),
  )
  expect(results.map(({ changed }) => changed)).toEqual(results.map(() => 50))
  const rows = await sql<{ version: number }>('SELECT version FROM resource WHERE id = ANY ($1)', [ids])
  expect(rows.map(({ version }) => version)).toEqual(rows.map(() => 41))
})
