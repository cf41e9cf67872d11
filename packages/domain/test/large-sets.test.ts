import { randomUUID } from 'node:crypto'
import { nowSql } from '@lapse/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { openDatabase } from '../src/database.ts'
import { dependentsBatch, purgeDependents, purgeResources } from '../src/store/purge.ts'
import { day } from './support.ts'
import { testWebhooks } from './webhooks.ts'

const { age, domain, endpoints, made, company, deeds, issue, sql, url, verbs } = await testWebhooks()
const database = openDatabase({ url })
afterAll(() => database.close())

/** Rows that were written by one transaction (`xmin`) or by one statement of it (`cmin`), the most and in how many. */
const written = async (by: 'xmin' | 'cmin', table: string, where: string, values: unknown[]) => {
  const groups = await sql<{ n: number }>(
    `SELECT count(*)::int AS n FROM ${table} WHERE ${where} GROUP BY ${by}::text ORDER BY n DESC`,
    values,
  )
  return { most: groups[0]?.n ?? 0, groups: groups.length }
}

const deliveries = (resource: string, target: string, count: number, status = 'pending') =>
  sql(
    `INSERT INTO delivery (resource_id, kind, version, event, event_id, channel, target, next_attempt_at, created_at, status, settled_at)
     SELECT $1, 'plain', 1, 'many:#' || n, e.id * 1000000 + n, 'webhook', $2, CASE WHEN $4 = 'pending' THEN ${nowSql} END, ${nowSql}, $4::lapse_delivery_status,
       CASE WHEN $4 <> 'pending' THEN ${nowSql} END
     FROM generate_series(1, $3::int) n, (SELECT id FROM event WHERE resource_id = $1 LIMIT 1) e`,
    [resource, target, count, status],
  )

describe('a set that can be large', () => {
  it('of deliveries is cancelled with its endpoint in batches that commit on their own, and nothing is added meanwhile', async () => {
    const { id } = await made({ kinds: ['membership'] })
    await deliveries(await issue(), id, 2_500)
    await endpoints.delete(id, { actor: 'root' })
    expect(
      await sql('SELECT status, count(*)::int AS n FROM delivery WHERE target = $1 GROUP BY status', [id]),
    ).toEqual([{ status: 'cancelled', n: 2_500 }])
    expect(await written('xmin', 'delivery', 'target = $1', [id])).toEqual({ most: 1_000, groups: 3 })
    expect((await deeds(id)).map(({ type }) => type)).toEqual(['created', 'disabled', 'deleted'])
    await expect(endpoints.get(id)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('of members leaves with its organization in statements of bounded size, in one commit', async () => {
    const { id } = await company()
    await sql(
      `WITH people AS (
         INSERT INTO directory_user (email, canonical, created_at, changed_at)
         SELECT a, a, ${nowSql}, ${nowSql} FROM (SELECT 'member-' || n || '@example.com' AS a FROM generate_series(1, 2500) n) t RETURNING id
       ) INSERT INTO directory_membership (organization_id, user_id, role, joined_at)
       SELECT $1, id, 'member', ${nowSql} FROM people`,
      [id],
    )
    await verbs.organizations.delete(id)
    const removed = `kind = 'directory-membership' AND type = 'removed' AND data ->> 'organization_id' = $1`
    expect(await written('cmin', 'event', removed, [id])).toEqual({ most: 1_000, groups: 3 })
    expect(await written('xmin', 'event', removed, [id])).toEqual({ most: 2_500, groups: 1 })
    expect(await sql('SELECT FROM directory_membership WHERE organization_id = $1', [id])).toEqual([])
  })

  it('of resources that a restore has rewound is written down in batches, and what is missing by the next', async () => {
    const kind = 'plain'
    const ids = (await domain.resources.issueAll(Array.from({ length: 1_200 }, () => ({ kind })))).map(
      ({ resource }) => resource.id,
    )
    const loss = { since: new Date(Date.now() - 20_000), until: new Date(Date.now() - 10_000) }
    const rewound = ids.map((id) => ({ id, was: 'ended' as const }))
    // The process before has died after some of them.
    await domain.restored.record(loss, rewound.slice(0, 100))
    await domain.restored.record(loss, rewound)
    const ours = `type = 'rewound' AND resource_id = ANY ($1)`
    expect(await written('xmin', 'event', ours, [ids])).toEqual({ most: 900, groups: 3 })
    const [counted] = await sql(
      `SELECT count(*)::int AS n, count(DISTINCT resource_id)::int AS d FROM event WHERE ${ours}`,
      [ids],
    )
    expect(counted).toEqual({ n: 1_200, d: 1_200 })
    await domain.restored.forget()
  })

  it('of redemptions and deliveries goes before its row is purged, in statements of bounded size', async () => {
    const [heavy, light] = [await issue(), await issue()]
    for (const id of [heavy, light]) await domain.resources.revoke('plain', id)
    await age([heavy, light], 60 * day)
    await deliveries(heavy, randomUUID(), 1_300, 'sent')
    await deliveries(light, randomUUID(), 5, 'sent')
    await sql(
      `INSERT INTO redemption (resource_id, holder, uses, first_at, last_at)
       SELECT $1, 'holder-' || n, 1, ${nowSql}, ${nowSql} FROM generate_series(1, 2500) n`,
      [heavy],
    )
    const purge = async () => (await purgeResources(database, 500, { trigger: 'sweep' })).map(({ id }) => id)
    expect(await purge()).toEqual([light])
    const batches: number[] = []
    for (let n = await purgeDependents(database); n > 0; n = await purgeDependents(database)) batches.push(n)
    expect(Math.max(...batches)).toBeLessThanOrEqual(2 * dependentsBatch)
    expect(batches.length).toBe(3)
    expect(await purge()).toEqual([heavy])
  })

  it('of redemptions does not keep the cleanup from going on', async () => {
    const id = await issue()
    await domain.resources.revoke('plain', id)
    await age(id, 60 * day)
    await sql(
      `INSERT INTO redemption (resource_id, holder, uses, first_at, last_at)
       SELECT $1, 'holder-' || n, 1, ${nowSql}, ${nowSql} FROM generate_series(1, 1500) n`,
      [id],
    )
    expect(await domain.cleanUp()).toMatchObject({ removed: { plain: expect.any(Number) }, done: true })
    await expect(domain.resources.get(id)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('of drafts is issued in statements of bounded size, all or none, and answered in its order', async () => {
    const drafts = Array.from({ length: 2_300 }, (_, i) => ({
      kind: 'plain',
      reference: `bulk-${(i * 7_919) % 2_300}`,
    }))
    const issued = await domain.resources.issueAll(drafts)
    expect(issued.map(({ resource }) => resource.reference)).toEqual(drafts.map(({ reference }) => reference))
    const ids = issued.map(({ resource }) => resource.id)
    expect(await written('xmin', 'resource', 'id = ANY ($1)', [ids])).toEqual({ most: 2_300, groups: 1 })
    expect(await written('cmin', 'resource', 'id = ANY ($1)', [ids])).toEqual({ most: 1_000, groups: 3 })
    const again = drafts.map(({ kind, reference }, i) => ({ kind, reference: i === 2_000 ? reference : `other-${i}` }))
    await expect(domain.resources.issueAll(again)).rejects.toMatchObject({
      ...{ code: 'reference_taken', field: '2000.reference' },
    })
    expect(await domain.resources.count({ kind: 'plain', reference: 'other-0' })).toBe(0)
  })
})
