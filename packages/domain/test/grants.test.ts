import { describe, expect, it } from 'vitest'
import { accessGrant, LapseError } from '../src/index.ts'
import { testGrants } from './grants.ts'
import { day, hour, minute, second } from './support.ts'

const { age, another, domain, elsewhere, fresh, grants, history, organizations, sql, standing, told } =
  await testGrants()
const [relation, subject] = ['viewer', 'user:7']
const triple = (resource = fresh()) => ({ resource, relation, subject })
const granted = (more: object = {}) => grants.create({ ...triple(), expiresInMs: hour, ...more })
const lifeOf = ({ issuedAt, expiresAt }: { issuedAt: Date; expiresAt: Date }) =>
  expiresAt.getTime() - issuedAt.getTime()
/** Whether it is there, by every way of looking. */
const seenBy = async (resource: string, who = subject) => ({
  check: (await grants.check({ resource, relation, subject: who })).allowed,
  byResource: (await grants.list({ resource })).length,
  bySubject: (await grants.list({ subject: who, resource })).length,
  count: await grants.count({ resource }),
  export: (await exported({ resource })).length,
})
const exported = async (filter: Parameters<typeof grants.export>[0]) => {
  const all = []
  for await (const page of grants.export(filter)) all.push(...page)
  return all
}
const there = { check: true, byResource: 1, bySubject: 1, count: 1, export: 1 }
const absent = { check: false, byResource: 0, bySubject: 0, count: 0, export: 0 }

describe('a grant', () => {
  it('with its end ahead is there, by every way of looking', async () => {
    const { resource, expiresAt, ...grant } = await granted({ source: 'ticket-1', reason: 'on call' })
    expect(grant).toMatchObject({
      relation,
      subject,
      source: 'ticket-1',
      reason: 'on call',
      status: 'active',
      version: 1,
    })
    expect(await seenBy(resource)).toEqual(there)
    expect(await grants.check({ resource, relation, subject })).toEqual({ allowed: true, until: expiresAt })
  })

  it('is nobody else’s: another subject, relation or resource is not allowed', async () => {
    const { resource } = await granted()
    for (const other of [{ subject: 'user:8' }, { relation: 'editor' }, { resource: fresh() }])
      expect(await grants.check({ resource, relation, subject, ...other })).toEqual({ allowed: false, until: null })
  })

  it.each([false, true])('C4: past its end is absent everywhere, swept: %s', async (swept) => {
    const { resource, id } = await granted()
    await age(id, 2 * hour)
    if (swept) await domain.advance({ trigger: 'sweep' })
    expect(await standing(resource)).toBe(swept ? 0 : 1)
    expect(await seenBy(resource)).toEqual(absent)
    expect(await grants.list({ resource, live: false })).toMatchObject([{ id, status: 'expired' }])
  })

  it('C1: checked after its end without a worker it is denied, and lapses on the way', async () => {
    const { resource, id } = await granted()
    await age(id, 2 * hour)
    expect(await grants.checkMany([triple(resource), triple()])).toEqual([
      { allowed: false, until: null },
      { allowed: false, until: null },
    ])
    expect(await history(id)).toEqual(['issued', 'expired'])
    expect(await domain.events({ resourceId: id, type: 'expired' })).toMatchObject([{ trigger: 'lazy' }])
  })

  it('A4: which would end in the past, too soon or too late is refused, and nothing is written', async () => {
    const resource = fresh()
    const refused = (more: object, op: 'create' | 'touch' = 'create') => grants[op]({ ...triple(resource), ...more })
    for (const op of ['create', 'touch'] as const) {
      const past = { code: 'lifetime_too_short', field: 'expires_at' }
      await expect(refused({ expiresAt: new Date(Date.now() - hour) }, op)).rejects.toMatchObject(past)
      const late = {
        code: 'lifetime_too_long',
        field: 'expires_in',
        detail: expect.stringContaining('2592000 seconds'),
      }
      await expect(refused({ expiresInMs: 31 * day }, op)).rejects.toMatchObject(late)
    }
    expect(await standing(resource)).toBe(0)
  })

  it('lasts an hour unless said otherwise, and elevated at most eight, touched or not', async () => {
    expect(lifeOf(await grants.create(triple()))).toBe(hour)
    const admin = { ...triple(), relation: 'admin' }
    const tooLong = { code: 'lifetime_too_long', field: 'expires_in', detail: expect.stringContaining('28800 seconds') }
    await expect(grants.create({ ...admin, expiresInMs: 9 * hour })).rejects.toMatchObject(tooLong)
    expect(lifeOf(await grants.create({ ...admin, expiresInMs: 8 * hour }))).toBe(8 * hour)
    await expect(grants.touch({ ...admin, expiresInMs: 8 * hour + 1 })).rejects.toMatchObject(tooLong)
  })

  it.each([
    ['resource', { resource: 'no type' }],
    ['resource', { resource: `document:${'x'.repeat(101)}` }],
    ['resource', { resource: 'document:4#2' }],
    ['relation', { relation: 'Viewer' }],
    ['subject', { subject: 'user:' }],
    ['subject', { subject: 'user:a b' }],
    ['source', { source: '' }],
    ['email', { email: 'nobody' }],
    ['reason', { reason: 'x'.repeat(501) }],
  ])('with a bad %s is refused, naming it: %o', async (field, wrong) => {
    const input = { ...triple(), ...wrong }
    await expect(grants.create(input)).rejects.toMatchObject({ code: 'invalid', field })
    await expect(grants.import([triple(), input])).rejects.toMatchObject({ code: 'invalid', field: `items.1.${field}` })
  })

  it('of the longest names there can be has a key that fits into the index', async () => {
    const { id: organization } = await organizations.create({ name: 'Long' })
    const [type, id] = ['t'.repeat(32), 'x'.repeat(100)]
    const longest = { resource: `${type}:${id}`, relation: 'r'.repeat(64), subject: `${type}:${id}`, organization }
    await grants.create({ ...longest, source: id })
    expect(await grants.check(longest)).toMatchObject({ allowed: true })
  })

  it('is told to the queue, with a reminder a quarter of an hour before its end', async () => {
    const { id, timer } = await granted({ email: 'ada@example.com' })
    expect(timer).toBe('armed')
    const change = told.find(({ resource }) => resource.id === id)
    expect(change?.timers.map((one) => [one.step, one.offset])).toEqual([
      ['remind', 15 * 60],
      ['expire', undefined],
    ])
  })

  it('is issued by its own verbs alone', () => {
    expect(domain.resources.verbsOf('access-grant')).toBe('access-grants')
  })
})

describe('create', () => {
  it('over a live one is refused, and says until when that stands', async () => {
    const { resource, expiresAt } = await granted()
    await expect(grants.create(triple(resource))).rejects.toMatchObject({
      code: 'grant_live',
      detail: expect.stringContaining(expiresAt.toISOString()),
    })
    expect(await standing(resource)).toBe(1)
  })

  it.each(['not swept', 'swept', 'deleted'])('over one that has ended succeeds: %s', async (state) => {
    const { id, resource } = await granted()
    if (state === 'deleted') await grants.delete(triple(resource))
    else await age(id, 2 * hour)
    if (state === 'swept') await domain.advance({ trigger: 'sweep' })
    const again = await grants.create(triple(resource))
    expect(again.id).not.toBe(id)
    expect(await seenBy(resource)).toEqual(there)
    expect(await history(id)).toEqual(['issued', state === 'deleted' ? 'revoked' : 'expired'])
  })
})

describe('touch', () => {
  it('B4: gives what stands an earlier or a later end', async () => {
    const { id, resource } = await granted()
    const shorter = await grants.touch({ ...triple(resource), expiresInMs: 10 * second }, { reason: 'leaves early' })
    expect(shorter).toMatchObject({ id, version: 2, timer: 'armed' })
    await age(id, 11 * second)
    expect(await seenBy(resource)).toEqual(absent)

    const next = await granted()
    const { expiresAt } = await grants.touch({ ...triple(next.resource), expiresInMs: day })
    expect(expiresAt.getTime()).toBeGreaterThan(next.expiresAt.getTime())
    await age(next.id, 2 * hour)
    expect(await grants.check(triple(next.resource))).toMatchObject({ allowed: true })
    expect(await history(next.id)).toEqual(['issued', 'renewed'])
  })

  it.each(['nothing', 'expired', 'deleted'])('grants anew over what is %s', async (state) => {
    const resource = fresh()
    const was = state === 'nothing' ? undefined : await grants.create(triple(resource))
    if (state === 'expired') await age(was?.id ?? '', 2 * hour)
    if (state === 'deleted') await grants.delete(triple(resource))
    const now = await grants.touch({ ...triple(resource), expiresInMs: minute, reason: 'once more' })
    expect(now).toMatchObject({ version: 1, reason: 'once more' })
    expect(now.id).not.toBe(was?.id)
    expect(await seenBy(resource)).toEqual(there)
  })

  it('names its end: one that nobody has named would shorten what stands', async () => {
    const missing = { code: 'invalid', field: 'expires_at' }
    await expect(grants.touch(triple())).rejects.toMatchObject(missing)
    const { resource } = await granted()
    await expect(grants.touch(triple(resource))).rejects.toMatchObject(missing)
  })
})

describe('delete', () => {
  it('ends what stands and is quiet when nothing does; then it can be created again', async () => {
    const { resource, id } = await granted()
    const by = { actor: 'ada', reason: 'left the team' }
    expect(await grants.delete(triple(resource), by)).toBe(1)
    expect(await seenBy(resource)).toEqual(absent)
    expect(await grants.delete(triple(resource))).toBe(0)
    expect(await domain.events({ resourceId: id, type: 'revoked' })).toMatchObject([{ ...by, trigger: 'manual' }])
    await grants.create(triple(resource))
    expect(await seenBy(resource)).toEqual(there)
  })

  it('of what has expired is quiet, swept or not: it expired', async () => {
    const { resource, id } = await granted()
    await age(id, 2 * hour)
    expect(await grants.delete(triple(resource))).toBe(0)
    await domain.advance({ trigger: 'sweep' })
    expect(await history(id)).toEqual(['issued', 'expired'])
  })

  it('by filter ends all that stand for a resource or for a subject, as a cascade', async () => {
    const resource = fresh()
    const leaver = `user:${resource.slice(9)}-leaver`
    const { id } = await grants.create({ ...triple(resource), subject: leaver })
    await grants.create({ ...triple(resource), relation: 'editor' })
    await grants.create({ ...triple(), subject: leaver })
    const over = await grants.create({ ...triple(), subject: leaver })
    await age(over.id, 2 * hour)
    expect(await grants.deleteAll({ resource, relation: 'owner' })).toBe(0)
    expect(await grants.deleteAll({ subject: leaver }, { reason: 'left' })).toBe(2)
    expect(await domain.events({ resourceId: id, type: 'revoked' })).toMatchObject([
      { trigger: 'cascade', reason: 'left' },
    ])
    expect(await grants.deleteAll({ resource })).toBe(1)
    expect(await grants.deleteAll({ resource })).toBe(0)
    await expect(grants.deleteAll({ relation })).rejects.toMatchObject({ code: 'invalid', field: 'resource' })
  })
})

describe('B9: two overlapping grants of different sources', () => {
  it('access lasts until the second ends, and the answer says so', async () => {
    const resource = fresh()
    const first = await grants.create({ ...triple(resource), source: 'ticket-1', expiresInMs: hour })
    const second = await grants.create({ ...triple(resource), source: 'ticket-2', expiresInMs: 2 * hour })
    expect(await grants.check(triple(resource))).toEqual({ allowed: true, until: second.expiresAt })
    await age(first.id, 90 * minute)
    expect(await grants.check(triple(resource))).toEqual({ allowed: true, until: second.expiresAt })
    expect(await grants.count({ resource })).toBe(1)
    await age(second.id, 2 * hour)
    expect(await grants.check(triple(resource))).toEqual({ allowed: false, until: null })
  })

  it('one source’s deletion leaves the other; without a source it takes the access away', async () => {
    const resource = fresh()
    for (const source of ['ticket-1', 'ticket-2', undefined]) await grants.create({ ...triple(resource), source })
    expect(await grants.delete({ ...triple(resource), source: 'ticket-1' })).toBe(1)
    expect(await grants.check(triple(resource))).toMatchObject({ allowed: true })
    expect(await grants.delete(triple(resource))).toBe(2)
    expect(await grants.check(triple(resource))).toMatchObject({ allowed: false })
  })

  it('a touch means its own source', async () => {
    const resource = fresh()
    const first = await grants.create({ ...triple(resource), source: 'ticket-1' })
    const second = await grants.touch({ ...triple(resource), source: 'ticket-2', expiresInMs: hour })
    expect(second.id).not.toBe(first.id)
  })
})

describe('write', () => {
  it('creates, touches and deletes in one commit, and says what became of each, in their order', async () => {
    const [fresher, live, dead, none] = [fresh(), fresh(), fresh(), fresh()]
    await grants.create(triple(live))
    await grants.create(triple(dead))
    const { written, timer } = await grants.write([
      { op: 'delete', ...triple(dead) },
      { op: 'touch', ...triple(live), expiresInMs: 2 * hour },
      { op: 'create', ...triple(fresher), expiresInMs: minute },
      { op: 'delete', ...triple(none) },
    ])
    expect(timer).toBe('armed')
    expect(written).toMatchObject([
      { outcome: 'deleted', count: 1 },
      { outcome: 'changed', grant: { resource: live, version: 2 } },
      { outcome: 'granted', grant: { resource: fresher } },
      { outcome: 'deleted', count: 0 },
    ])
  })

  it('is all or nothing, and names the one at fault', async () => {
    const [one, two, taken] = [fresh(), fresh(), fresh()]
    await grants.create(triple(taken))
    await grants.create(triple(two))
    const touched = { op: 'touch', ...triple(one), expiresInMs: hour } as const
    const deleted = { op: 'delete', ...triple(two) } as const
    const refuse = async (wrong: object, code: string, field: string) => {
      const updates = [deleted, touched, { op: 'create', ...triple(), ...wrong }] as Parameters<typeof grants.write>[0]
      await expect(grants.write(updates)).rejects.toMatchObject({ code, field })
      expect(await standing(one)).toBe(0)
      expect(await standing(two)).toBe(1)
    }
    await refuse({ expiresInMs: 31 * day }, 'lifetime_too_long', 'updates.2.expires_in')
    await refuse({ expiresAt: new Date(0) }, 'lifetime_too_short', 'updates.2.expires_at')
    await refuse({ subject: 'nobody' }, 'invalid', 'updates.2.subject')
    await refuse({ resource: taken }, 'grant_live', 'updates.2')
    await refuse({ resource: taken, op: 'touch', expiresInMs: 31 * day }, 'lifetime_too_long', 'updates.2.expires_in')
    await refuse({ resource: taken, op: 'touch' }, 'invalid', 'updates.2.expires_at')
    await refuse(touched, 'invalid', 'updates.2')
    await refuse({ resource: two }, 'invalid', 'updates.2')
  })

  it('takes 1 to 1,000', async () => {
    const many = Array.from({ length: 1_001 }, () => triple())
    await expect(grants.import(many)).rejects.toMatchObject({ code: 'invalid', field: 'items' })
    await expect(grants.write([])).rejects.toMatchObject({ code: 'invalid', field: 'updates' })
  })

  it('imports a thousand at once, over dead ones too, or none for one that stands', async () => {
    const subject = 'user:imported'
    const items = Array.from({ length: 1_000 }, () => ({ ...triple(), subject }))
    const first = await grants.import(items)
    expect(first.map(({ resource }) => resource)).toEqual(items.map(({ resource }) => resource))
    const stands = items[500] as (typeof items)[0]
    await age(
      first.filter(({ resource }) => resource !== stands.resource).map(({ id }) => id),
      2 * hour,
    )
    expect(await grants.count({ subject })).toBe(1)
    await expect(grants.import(items)).rejects.toMatchObject({ code: 'grant_live', field: 'items.500' })
    expect(await grants.count({ subject })).toBe(1)
    await grants.delete(stands)
    await grants.import(items)
    expect(await grants.count({ subject })).toBe(1_000)
    expect((await exported({ subject })).map(({ id }) => id)).toHaveLength(1_000)
    const { written } = await grants.write(
      items.map((item, i) => ({ ...item, op: 'touch', expiresInMs: hour + (i % 3) })),
    )
    expect(written.every(({ outcome }) => outcome === 'changed')).toBe(true)
    expect(await grants.deleteAll({ subject })).toBe(1_000)
  })

  it('acts inside a transaction that something else commits with', async () => {
    const resource = fresh()
    const settle = async () => true
    const act = (undo: boolean) =>
      domain.once({ owner: 'me', key: `${undo}`, fingerprint: 'f' }, async (tx) => {
        await domain.ownVerbs(settle, tx).accessGrants.create(triple(resource))
        if (undo) throw new LapseError('not_found')
        return {}
      })
    await expect(act(true)).rejects.toMatchObject({ code: 'not_found' })
    expect(await standing(resource)).toBe(0)
    await act(false)
    expect(await standing(resource)).toBe(1)
  })
})

describe('lists', () => {
  it('by either side and by relation, newest first, in pages', async () => {
    const subject = 'user:lister'
    const made = []
    for (const relation of ['viewer', 'editor', 'viewer'])
      made.push(await grants.create({ ...triple(), subject, relation }))
    const ids = made.map(({ id }) => id).reverse()
    const list = async (...[filter, page]: Parameters<typeof grants.list>) =>
      (await grants.list({ subject, ...filter }, page)).map(({ id }) => id)
    expect(await list()).toEqual(ids)
    expect(await list({ relation: 'viewer' })).toEqual([ids[0], ids[2]])
    expect(await list({ resource: made[1]?.resource })).toEqual([ids[1]])
    expect(await list({}, { limit: 2 })).toEqual(ids.slice(0, 2))
    expect(await list({}, { limit: 2, before: ids[1] })).toEqual(ids.slice(2))
    expect(await grants.count({ subject, relation: 'viewer' })).toBe(2)
    await expect(grants.list({ resource: 'everything' })).rejects.toMatchObject({ code: 'invalid', field: 'resource' })
  })

  it('checkMany answers in order, up to 100', async () => {
    const { resource, expiresAt } = await granted()
    const asked = [triple(), triple(resource), triple(resource), triple()]
    const no = { allowed: false, until: null }
    const yes = { allowed: true, until: expiresAt }
    expect(await grants.checkMany(asked)).toEqual([no, yes, yes, no])
    const many = Array.from({ length: 101 }, () => triple(resource))
    await expect(grants.checkMany(many)).rejects.toMatchObject({ code: 'invalid', field: 'items' })
    await expect(grants.checkMany([triple(), triple('wrong')])).rejects.toMatchObject({ field: 'items.1.resource' })
  })
})

describe('an organization', () => {
  it('has its own: what one grants is nothing to another, nor to what belongs to none', async () => {
    const resource = fresh()
    const acme = await organizations.create({ name: 'Acme', reference: 'acme' })
    const other = await organizations.create({ name: 'Other' })
    await grants.create({ ...triple(resource), organization: 'acme' })
    const allowed = async (organization?: string) => (await grants.check({ ...triple(resource), organization })).allowed
    expect(await Promise.all([acme.id, 'acme', other.id, undefined, 'nobody'].map(allowed))).toEqual([
      ...[true, true, false, false, false],
    ])
    expect(await grants.checkMany([triple(resource)], { organization: acme.id })).toMatchObject([{ allowed: true }])
    await grants.create({ ...triple(resource), organization: other.id })
    await grants.create(triple(resource))
    expect(await grants.count({ resource, organizationId: acme.id })).toBe(1)
    expect(await grants.delete({ ...triple(resource), organization: other.id })).toBe(1)
    expect(await Promise.all([acme.id, other.id, undefined].map(allowed))).toEqual([true, false, true])
    expect(await grants.deleteAll({ resource, organization: 'acme' })).toBe(1)
    expect(await Promise.all([acme.id, undefined].map(allowed))).toEqual([false, true])
  })

  it('that is not there is refused; one that is suspended grants nothing', async () => {
    const unknown = { code: 'unknown_organization', field: 'organization' }
    await expect(granted({ organization: 'nobody' })).rejects.toMatchObject(unknown)
    await expect(grants.import([triple()], { organization: 'nobody' })).rejects.toMatchObject(unknown)
    const { id: organization } = await organizations.create({ name: 'Acme' })
    const { resource } = await granted({ organization })
    await organizations.suspend(organization)
    const blocked = { code: 'organization_not_active', field: 'organization' }
    await expect(granted({ organization })).rejects.toMatchObject(blocked)
    await expect(grants.import([triple()], { organization })).rejects.toMatchObject(blocked)
    await expect(grants.touch({ ...triple(resource), organization, expiresInMs: hour })).rejects.toMatchObject(blocked)
  })

  it('B10: suspended it has no access; restored it has what is in date; what is deleted meanwhile stays deleted', async () => {
    const { id: organization } = await organizations.create({ name: 'Acme' })
    const [resource, deleted] = [fresh(), fresh()]
    await grants.import([triple(resource), triple(deleted)], { organization })
    const counts = async () => [
      (await grants.check({ ...triple(resource), organization })).allowed,
      await grants.count({ organizationId: organization }),
      (await grants.list({ organizationId: organization })).length,
      (await exported({ organizationId: organization })).length,
    ]
    await organizations.suspend(organization)
    expect(await counts()).toEqual([false, 0, 0, 0])
    expect(await grants.delete({ ...triple(deleted), organization })).toBe(1)
    await organizations.restore(organization)
    expect(await counts()).toEqual([true, 1, 1, 1])
  })
})

describe('what has ended', () => {
  it('is reclaimed after its retention, which can be minutes, and not before', async () => {
    const { id } = await granted()
    const purged = async () => (await sql('SELECT FROM resource WHERE id = $1', [id])).length === 0
    await age(id, 2 * hour)
    await domain.advance({ trigger: 'sweep' })
    await age(id, 23 * hour)
    await domain.cleanUp()
    expect(await purged()).toBe(false)
    await age(id, 2 * hour)
    await domain.cleanUp()
    expect(await purged()).toBe(true)

    const brief = another([accessGrant({ retention: '5m' })])
    const short = await granted()
    await age(short.id, 2 * hour)
    await brief.advance({ trigger: 'sweep' })
    await age(short.id, 6 * minute)
    expect(await brief.cleanUp()).toMatchObject({ removed: { 'access-grant': 1 } })
  })
})

describe('what is elevated, and how long it all lasts', () => {
  it('is configured in one place', async () => {
    const lifetime = { default: '10m', max: '2h', elevated: '20m' } as const
    const kind = accessGrant({ elevated: ['root'], lifetime })
    const own = another([kind]).ownVerbs(async () => true).accessGrants
    expect(lifeOf(await own.create(triple()))).toBe(10 * minute)
    await own.create({ ...triple(), relation: 'admin', expiresInMs: 2 * hour })
    const root = { ...triple(), relation: 'root', expiresInMs: hour }
    await expect(own.create(root)).rejects.toMatchObject({ code: 'lifetime_too_long' })
    expect(() => accessGrant({ lifetime: { elevated: '30m' } })).toThrow('lifetime.elevated')
    // Another process of the same configuration as ours takes what is there as it is.
    expect(lifeOf(await elsewhere().create(triple()))).toBe(hour)
  })
})
