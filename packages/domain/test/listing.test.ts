import { nowSql } from '@lapse/testkit'
import { expect, it } from 'vitest'
import { accessGrant } from '../src/index.ts'
import { mostCounted } from '../src/store/listing.ts'
import { coupon, membership, plain } from './kinds.ts'
import { day, testDomain } from './support.ts'

const { domain, sql, age } = await testDomain([plain, coupon, membership, accessGrant()])
const { resources, deliveries } = domain
const { organizations } = domain.ownVerbs(async () => true)

/** So many of one scope, all live, the newest there are. */
const many = (scope: string, count: number) =>
  sql(
    `INSERT INTO resource (id, kind, scope, subject, issued_at, changed_at, expires_at, ends_at, due_at, next_step)
    SELECT lapse_uuidv7(), 'plain', $1, 'everybody', ${nowSql}, ${nowSql}, e, e, e, 'expire'
    FROM (SELECT now() + interval '9 days' AS e) x, generate_series(1, $2::int)`,
    [scope, count],
  )

it('what no index has together is refused when it would take too much, naming the filters and what to do; never cut short', async () => {
  const rare = (await resources.issue({ kind: 'plain', scope: 'wide', subject: 'rare' })).resource
  const graced = (await resources.issue({ kind: 'membership', scope: 'wide', subject: 'everybody' })).resource
  await age(graced.id, 14 * day)
  await many('wide', 1_100)
  // By the narrower of two; by status, with what nobody has advanced yet.
  expect(await resources.list({ scope: 'wide', subject: 'rare' })).toMatchObject([{ id: rare.id }])
  expect(await resources.list({ scope: 'wide', status: 'grace' })).toMatchObject([{ id: graced.id }])
  const refused = resources.list({ scope: 'wide', subject: 'everybody', reference: undefined, kind: 'membership' })
  await expect(refused).resolves.toMatchObject([{ id: graced.id }])
  await many('other', 1_100)
  await expect(resources.list({ scope: 'wide', subject: 'everybody', live: true }, { limit: 1 })).resolves.toHaveLength(
    1,
  )
  const both = { scope: 'wide', subject: 'everybody' }
  const page = await resources.list(both, { limit: 1_100 })
  expect(new Set(page.map(({ scope, subject }) => `${scope} ${subject}`))).toEqual(new Set(['wide everybody']))
  await many('narrow', 1)
  await many('wide', 1_100)
  await sql(`UPDATE resource SET subject = 'nobody' WHERE scope = 'wide' AND subject = 'everybody'`)
  await expect(resources.list(both)).rejects.toMatchObject({ code: 'too_broad', detail: /scope and subject/ })
})

it('a count says how many there are, or at least', async () => {
  await many('counted', 5)
  expect(await resources.tally({ scope: 'counted' })).toEqual({ count: 5, atLeast: false })
  await many('counted', mostCounted)
  expect(await resources.tally({ scope: 'counted' })).toEqual({ count: mostCounted, atLeast: true })
  await expect(resources.count({ scope: 'counted' })).rejects.toMatchObject({ code: 'too_broad' })
})

it("an organization's deliveries from before their owner was written down are found, before and after that is made up for", async () => {
  const { id: organization } = await organizations.create({ name: 'Acme' })
  const { resource } = await resources.issue({
    kind: 'membership',
    organization,
    payload: { email: 'ada@example.com' },
  })
  // As the version before has left it, an hour ago; the column came half an hour ago.
  await sql(
    `UPDATE delivery SET organization_id = NULL, id = (lpad(to_hex((extract(epoch FROM now() - interval '1 hour') * 1000)::bigint), 12, '0')
      || '70008' || lpad('1', 15, '0'))::uuid WHERE resource_id = $1`,
    [resource.id],
  )
  await sql(
    `UPDATE _prisma_migrations SET finished_at = now() - interval '30 minutes' WHERE migration_name LIKE '%_delivery_lanes'`,
  )
  const listed = async () =>
    (await deliveries.list({ organizationId: organization })).map(({ resourceId }) => resourceId)
  expect(await listed()).toEqual([resource.id])
  await domain.cleanUp()
  expect(await sql('SELECT organization_id FROM delivery WHERE resource_id = $1', [resource.id])).toEqual([
    { organization_id: organization },
  ])
  expect(await listed()).toEqual([resource.id])
})

it('an export of what one has on one, however many, comes to its end with each once', async () => {
  await sql(`INSERT INTO resource (id, kind, scope, subject, reference, payload, issued_at, changed_at, expires_at, ends_at, due_at, next_step)
    SELECT lapse_uuidv7(), 'access-grant', 'document:1', 'user:1', 'document:1#viewer@user:1#' || i, '{"relation": "viewer"}', ${nowSql}, ${nowSql}, e, e, e, 'expire'
    FROM (SELECT now() + interval '9 days' AS e) x, generate_series(1, 2100) i`)
  const ids: string[] = []
  const { accessGrants } = domain.ownVerbs(async () => true)
  for await (const page of accessGrants.export({ resource: 'document:1', subject: 'user:1' })) {
    ids.push(...page.map(({ id }) => id))
    expect(ids.length).toBeLessThanOrEqual(2_100)
  }
  expect(new Set(ids).size).toBe(2_100)
})
