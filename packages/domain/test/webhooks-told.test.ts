import { nowSql } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { defineKind, invite } from '../src/index.ts'
import { plain } from './kinds.ts'
import { day, hour, minute, tally } from './support.ts'
import { testWebhooks } from './webhooks.ts'

/** Its hook makes each of its transitions a transaction of several statements. */
const hooked = defineKind({
  ...{ name: 'hooked', payload: plain.payload, lifetime: { default: '14d', max: '60d' }, reminders: [] },
  hooks: { issued: () => {}, expired: () => {}, suspended: () => {} },
})
const stage = await testWebhooks([hooked, invite])
const { domain, age, another, attempt, company, endpoints, issue, made, sql, told, verbs } = stage
const { resources } = domain

const types = async (endpoint: string, resource: string) => (await told(endpoint, resource)).map(({ type }) => type)
const everything = await made()

/** Each that is told has one delivery for the endpoint that asks for all, of the event's own commit. */
const history = async (id: string) =>
  (await sql<{ type: string }>(`SELECT type FROM event WHERE resource_id = $1 ORDER BY id`, [id])).map(
    ({ type }) => type,
  )

describe('everything that happens to a resource is told once to an endpoint that asks for all', () => {
  it('by hand: issued, used, renewed, consumed, revoked, expired', async () => {
    const [coupon, revoked, expired] = [await issue('coupon'), await issue(), await issue('membership')]
    for (const _ of [1, 2]) await resources.consume('coupon', coupon)
    await resources.renew('coupon', coupon, { expiresInMs: 20 * day })
    await resources.consume('coupon', coupon)
    for (const _ of [1, 2]) await resources.revoke('plain', revoked)
    for (const _ of [1, 2]) await resources.expire('membership', expired)
    expect(await types(everything.id, coupon)).toEqual(['issued', 'used', 'used', 'renewed', 'consumed'])
    expect(await types(everything.id, revoked)).toEqual(['issued', 'revoked'])
    expect(await types(everything.id, expired)).toEqual(['issued', 'expired'])
    expect(await types(everything.id, coupon)).toEqual(await history(coupon))
  })

  it('by the clock: reminded, grace, expired, whoever looks, with a hook and without', async () => {
    const id = await issue('membership')
    for (const passed of [11 * day, 2 * day, 1 * day]) {
      await age(id, passed)
      await domain.advance({ trigger: 'job' })
    }
    await age(id, day)
    await Promise.all([1, 2, 3].map(() => domain.advance({ trigger: 'sweep' })))
    expect(await types(everything.id, id)).toEqual(['issued', 'reminded', 'reminded', 'grace', 'expired'])
    expect(new Set((await told(everything.id, id)).map(({ event }) => event)).size).toBe(5)
    const lazily = await issue()
    await age(lazily, 15 * day)
    expect(await resources.check('plain', lazily)).toMatchObject({ allowed: false })
    expect(await types(everything.id, lazily)).toEqual(['issued', 'expired'])
    const { resource } = await resources.issue({ kind: 'hooked' })
    await age(resource.id, 15 * day)
    await domain.advance({ trigger: 'sweep' }, { kinds: [hooked] })
    expect(await types(everything.id, resource.id)).toEqual(['issued', 'expired'])
  })

  it('as a cascade: suspended and restored as often as it happens, within one millisecond too, and revoked', async () => {
    const { id: organization } = await company()
    const ids = [await issue('plain', organization), await issue('coupon', organization)]
    for (const _ of [1, 2, 3]) {
      await verbs.organizations.suspend(organization)
      await verbs.organizations.restore(organization)
    }
    await verbs.organizations.delete(organization)
    for (const id of ids)
      expect(tally(await types(everything.id, id))).toEqual({ issued: 1, suspended: 3, restored: 3, revoked: 1 })
    const [first] = ids
    const numbers = (await told(everything.id, first)).map(({ event }) => event).filter((event) => event.includes(':'))
    expect(numbers).toEqual(numbers.map(() => expect.stringMatching(/^(suspended|restored):#\d+$/)))
    expect(new Set(numbers).size).toBe(6)
  })

  it('in bulk, and what is issued many at a time', async () => {
    const drafts = Array.from({ length: 30 }, () => ({ kind: 'plain', scope: 'many' }))
    const ids = (await resources.issueAll(drafts)).map(({ resource }) => resource.id)
    await verbs.bulk.renew({ kind: 'plain', scope: 'many' }, { expiresInMs: 20 * day })
    await verbs.bulk.revoke({ scope: 'many' })
    for (const id of ids) expect(await types(everything.id, id)).toEqual(['issued', 'renewed', 'revoked'])
  })

  it('that a new invite is asked for, once', async () => {
    const { id: organization } = await company()
    const { invite: made, token = '' } = await verbs.invites.create({
      ...{ organization, email: 'guest@example.com', role: 'member', deliver: 'return' },
    })
    await verbs.invites.revoke(made.id)
    for (const _ of [1, 2]) await verbs.invites.requestNew(token)
    expect(await types(everything.id, made.id)).toEqual(['issued', 'revoked', 'requested'])
  })

  it('of kinds that this process does not know, for those that do', async () => {
    const { id: organization } = await company()
    const id = await issue('membership', organization)
    await another([plain])
      .ownVerbs(async () => true)
      .organizations.suspend(organization)
    expect(await types(everything.id, id)).toEqual(['issued', 'suspended'])
    const [, delivery] = await told(everything.id, id)
    expect(await domain.deliveries.claim(delivery?.id ?? '', minute)).toMatchObject({ verdict: 'claimed' })
  })

  it('and nothing else: no wake-up, no refusal, no change of the directory, no purge', async () => {
    const id = await issue()
    await domain.recordIdle([{ id, type: 'timer-early', reason: 'early' }])
    await resources.revoke('plain', id)
    // What is outstanding keeps it from being purged.
    for (const delivery of await told(everything.id, id)) await attempt(delivery.id, { status: 'sent' })
    await age(id, 60 * day)
    await domain.cleanUp()
    expect(await history(id)).toEqual(['issued', 'timer-early', 'revoked', 'purged'])
    expect(
      await sql(`SELECT DISTINCT e.type FROM delivery d JOIN event e ON e.id = d.event_id
      WHERE d.channel = 'webhook' AND (e.type IN ('timer-early', 'purged', 'refused') OR e.kind LIKE 'directory-%')`),
    ).toEqual([])
  })
})

describe('an endpoint is told', () => {
  it('in the same commit: what is undone is told to nobody', async () => {
    const failing = domain.once({ owner: 'me', key: 'k', fingerprint: 'f' }, async (tx) => {
      await resources.within(tx).issue({ kind: 'plain', scope: 'undone' })
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(
      await sql(`SELECT FROM delivery d LEFT JOIN resource r ON r.id = d.resource_id
      WHERE d.notice IS NULL AND (r.id IS NULL OR r.scope = 'undone')`),
    ).toEqual([])
  })

  it('and the caller what is owed, for the queue', async () => {
    const { owed, resource } = await resources.issue({ kind: 'plain' })
    const expected = await sql<{ id: string }>('SELECT id FROM delivery WHERE resource_id = $1', [resource.id])
    expect(owed).toHaveLength(expected.length)
    expect(owed).toContainEqual({ id: (await told(everything.id, resource.id))[0]?.id, channel: 'webhook' })
  })

  it('of the kinds and the events that it asks for, from then on, and only while it is enabled', async () => {
    const early = await issue('coupon')
    const narrow = await made({ kinds: ['coupon', 'membership'], events: ['used', 'revoked'] })
    const alerts = await made({ events: ['alert'] })
    const [coupon, other] = [await issue('coupon'), await issue()]
    await resources.consume('coupon', coupon)
    await resources.revoke('coupon', coupon)
    await resources.revoke('plain', other)
    await resources.revoke('coupon', early)
    expect(await types(narrow.id, coupon)).toEqual(['used', 'revoked'])
    expect([await types(narrow.id, other), await types(narrow.id, early)]).toEqual([[], ['revoked']])
    expect(await told(alerts.id)).toEqual([])
    await endpoints.disable(narrow.id)
    const missed = await issue('coupon')
    await resources.revoke('coupon', missed)
    await endpoints.enable(narrow.id)
    await endpoints.update(narrow.id, { kinds: [], events: [] })
    const after = await issue()
    expect([await types(narrow.id, missed), await types(narrow.id, after)]).toEqual([[], ['issued']])
  })

  it('of one organization and no other, when it belongs to one', async () => {
    const [{ id: mine }, { id: theirs }] = [await company(), await company()]
    const own = await made({ organization: mine })
    const [inside, outside, nowhere] = [await issue('plain', mine), await issue('plain', theirs), await issue()]
    await verbs.organizations.suspend(mine)
    await verbs.organizations.suspend(theirs)
    expect(await types(own.id, inside)).toEqual(['issued', 'suspended'])
    expect(await told(own.id, outside)).toEqual([])
    expect(await told(own.id, nowhere)).toEqual([])
    expect(await types(everything.id, outside)).toEqual(['issued', 'suspended'])
  })

  it('with an event id that rises for each resource, whatever happens to it at once', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => issue('coupon')))
    await Promise.all(
      ids.flatMap((id) => [
        ...[1, 2].map(() => resources.consume('coupon', id)),
        ...[20, 21].map((days) => resources.renew('coupon', id, { expiresInMs: days * day }).catch(() => {})),
      ]),
    )
    for (const id of ids) {
      const claims = await Promise.all(
        (await told(everything.id, id)).map((delivery) => domain.deliveries.claim(delivery.id, hour)),
      )
      const events = claims.map((claim) => {
        if (claim.verdict !== 'claimed' || 'notice' in claim.claim.about) throw new Error('not claimed')
        return claim.claim.about.event
      })
      // In the order in which they were written; instants and versions rise along.
      const sorted = [...events].sort((a, b) => Number(BigInt(a.id) - BigInt(b.id)))
      expect(sorted[0]?.type).toBe('issued')
      expect(sorted.map(({ at }) => at.getTime())).toEqual(
        [...sorted.map(({ at }) => at.getTime())].sort((a, b) => a - b),
      )
      expect(sorted.map(({ version }) => version)).toEqual(
        [...sorted.map(({ version }) => version)].sort((a, b) => a - b),
      )
    }
  })
})

it('an installation without endpoints writes no more than before', async () => {
  await sql(`DELETE FROM webhook_endpoint`)
  const { owed } = await resources.issue({ kind: 'plain' })
  expect(owed).toEqual([])
})

it('many endpoints of other organizations cost a transition nothing: those that matter are found by an index', async () => {
  await sql(
    `INSERT INTO directory_organization (name, created_at, changed_at) SELECT 'x', ${nowSql}, ${nowSql} FROM generate_series(1, 2000)`,
  )
  await sql(`INSERT INTO webhook_endpoint (id, organization_id, url, sealed, kinds, events, header_names, created_at, changed_at)
    SELECT gen_random_uuid(), id, 'https://example.com', '', '{}', '{}', '{}', ${nowSql}, ${nowSql} FROM directory_organization`)
  await sql('ANALYZE webhook_endpoint')
  const { id: organization } = await company()
  const own = await made({ organization })
  const plan = await sql<{ 'QUERY PLAN': string }>(`EXPLAIN WITH moved AS MATERIALIZED (
      SELECT id, organization_id, kind, 'issued' AS type FROM resource LIMIT 10)
    SELECT m.id, w.id::text FROM webhook_endpoint w
    JOIN moved m ON (w.organization_id IS NULL OR w.organization_id = m.organization_id)
      AND (w.kinds = '{}' OR m.kind = ANY (w.kinds)) AND (w.events = '{}' OR m.type = ANY (w.events))
    WHERE w.status = 'enabled'`)
  expect(plan.map((line) => line['QUERY PLAN']).join('\n')).not.toMatch(/Seq Scan on webhook_endpoint/)
  expect(await types(own.id, await issue('plain', organization))).toEqual(['issued'])
})
