import { until } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { testGrants } from './grants.ts'
import { hour, minute } from './support.ts'

const { age, domain, elsewhere, fresh, grants, organizations, sql } = await testGrants({ retention: '5m' })
const triple = (resource = fresh()) => ({ resource, relation: 'viewer', subject: 'user:7' })
/** What runs in other databases of the server, such as other tests', holds the watch up too. */
const settled = async () => {
  const [now] = await sql<{ newest: string }>('SELECT pg_snapshot_xmax(pg_current_snapshot()) AS newest')
  const isPast = async () =>
    (
      await sql<{ past: boolean }>('SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8 AS past', [now?.newest])
    )[0]?.past
  await until(isPast, { timeout: 20_000, what: 'the end of everything older' })
}
const cursorNow = async () => {
  await settled()
  return (await grants.watch({ cursor: 'now' })).cursor
}
/** Everything after a cursor, in pages of `limit`. */
const all = async (cursor: string, limit = 50, filter: object = {}) => {
  const found = []
  await settled()
  for (;;) {
    const page = await grants.watch({ ...filter, cursor, limit })
    found.push(...page.changes)
    cursor = page.cursor
    if (!page.more) return { found, cursor }
  }
}
const story = (changes: readonly { type: string; grant: { resource: string } }[]) =>
  changes.map(({ type, grant }) => `${type} ${grant.resource}`)

/** A transaction that has done this and stays open until it is told to end. */
const open = async (act: (at: typeof grants) => Promise<unknown>) => {
  let end: (error?: Error) => void = () => {}
  const gate = new Promise<void>((resolve, reject) => {
    end = (error) => (error ? reject(error) : resolve())
  })
  const request = { owner: 'me', key: crypto.randomUUID(), fingerprint: 'f' }
  let done: Promise<unknown> | undefined
  await new Promise<void>((acted, failed) => {
    done = domain.once(request, async (tx) => {
      await act(domain.ownVerbs(async () => true, tx).accessGrants)
      acted()
      await gate
      return {}
    })
    done.catch(failed)
  })
  return {
    commit: async () => {
      end()
      await done
    },
    undo: async () => {
      end(new Error('undone'))
      await done?.catch(() => {})
    },
  }
}

describe('the watch', () => {
  it('tells everything that happens to grants, their expirations included, as it stands then', async () => {
    const cursor = await cursorNow()
    const [resource, other] = [fresh(), fresh()]
    const { id, issuedAt } = await grants.create({ ...triple(resource), source: 'ticket', reason: 'on call' })
    await grants.touch({ ...triple(resource), source: 'ticket', expiresInMs: minute })
    await grants.create(triple(other))
    await grants.delete(triple(other))
    await age(id, hour)
    await domain.advance({ trigger: 'job' })
    const { found } = await all(cursor)
    expect(story(found)).toEqual([
      ...[`granted ${resource}`, `changed ${resource}`, `granted ${other}`, `revoked ${other}`, `expired ${resource}`],
    ])
    expect(found.map(({ trigger }) => trigger)).toEqual(['manual', 'manual', 'manual', 'manual', 'job'])
    const [stands] = await grants.list({ resource, live: false })
    expect(found.at(-1)).toEqual({ type: 'expired', trigger: 'job', at: expect.any(Date), grant: stands })
    expect(stands).toMatchObject({ id, version: 2, status: 'expired', source: 'ticket', reason: 'on call' })
    // A change tells of the grant as it stands now: whoever reads late does not open again what has ended.
    expect(found[0]).toMatchObject({ at: issuedAt, grant: { status: 'expired' } })
  })

  it('tells a suspension and its end, for that is access too', async () => {
    const cursor = await cursorNow()
    const { id } = await organizations.create({ name: 'Acme' })
    const resource = fresh()
    await grants.create({ ...triple(resource), organization: id })
    await organizations.suspend(id)
    await organizations.restore(id)
    await organizations.delete(id)
    const { found } = await all(cursor, 50, { organizationId: id })
    expect(found.map(({ type, trigger }) => [type, trigger])).toEqual([
      ['granted', 'manual'],
      ['suspended', 'cascade'],
      ['restored', 'cascade'],
      ['revoked', 'cascade'],
    ])
  })

  it('keeps silent about reminders, timers and purges, which change nobody’s access', async () => {
    const { id } = await grants.create(triple())
    const cursor = await cursorNow()
    await age(id, 50 * minute)
    await domain.advance({ trigger: 'job' })
    await domain.recordIdle([{ id, type: 'timer-early', reason: 'woken' }])
    expect(await domain.events({ resourceId: id, type: 'reminded' })).toHaveLength(1)
    expect(await grants.watch({ cursor })).toEqual({ changes: [], cursor, more: false })
  })

  it('of one resource, relation, subject or organization tells that alone, and its cursor goes on', async () => {
    const cursor = await cursorNow()
    const [resource, other] = [fresh(), fresh()]
    const { id: organizationId } = await organizations.create({ name: 'Acme' })
    await grants.create(triple(resource))
    await grants.create({ ...triple(resource), relation: 'editor' })
    await grants.create({ ...triple(other), subject: 'user:8', organization: organizationId })
    const told = async (filter: object) => story((await all(cursor, 50, filter)).found)
    expect(await told({ resource })).toEqual([`granted ${resource}`, `granted ${resource}`])
    expect(await told({ resource, relation: 'editor' })).toEqual([`granted ${resource}`])
    expect(await told({ subject: 'user:8' })).toEqual([`granted ${other}`])
    expect(await told({ organizationId })).toEqual([`granted ${other}`])
    const nothing = await grants.watch({ cursor, resource: fresh() })
    expect(nothing).toEqual({ changes: [], cursor: (await all(cursor)).cursor, more: false })
  })

  it('comes in pages: none is left out between two, and none told twice', async () => {
    const cursor = await cursorNow()
    const resources = Array.from({ length: 7 }, fresh)
    await grants.import(resources.map(triple))
    for (const limit of [1, 3, 7, 8])
      expect(story((await all(cursor, limit)).found).sort()).toEqual(resources.map((r) => `granted ${r}`).sort())
  })

  it('looks through more than it tells, and then says that there is more', async () => {
    const cursor = await cursorNow()
    await grants.import(Array.from({ length: 1_000 }, () => triple()))
    const resource = fresh()
    await grants.create(triple(resource))
    await settled()
    const first = await grants.watch({ cursor, resource })
    expect(first).toMatchObject({ changes: [], more: true })
    expect(story((await grants.watch({ cursor: first.cursor, resource })).changes)).toEqual([`granted ${resource}`])
  })

  it('begins at the beginning without a cursor', async () => {
    const { changes } = await grants.watch({ limit: 1 })
    expect(changes).toMatchObject([{ type: 'granted' }])
  })

  it('tells of a grant that was purged meanwhile all that the audit has', async () => {
    const cursor = await cursorNow()
    const { id: organizationId } = await organizations.create({ name: 'Acme' })
    const [expired, deleted] = [fresh(), fresh()]
    const where = { organization: organizationId, source: 'ticket' }
    const first = await grants.create({ ...triple(expired), ...where })
    await grants.create({ ...triple(deleted), ...where })
    const { expiresAt } = await grants.touch({ ...triple(deleted), ...where, expiresInMs: 2 * hour })
    await age(first.id, 2 * hour)
    await domain.advance({ trigger: 'sweep' })
    await grants.delete({ ...triple(deleted), organization: organizationId })
    await sql(`UPDATE resource SET due_at = now() - interval '1 minute' WHERE organization_id = $1`, [organizationId])
    expect(await domain.cleanUp()).toMatchObject({ removed: { 'access-grant': 2 } })
    const { found } = await all(cursor, 50, { relation: 'viewer', organizationId, subject: 'user:7' })
    const [one, two] = [triple(expired), triple(deleted)].map((about) => ({
      ...about,
      source: 'ticket',
      organizationId,
    }))
    expect(found.map(({ type, grant }) => ({ type, grant }))).toMatchObject([
      { type: 'granted', grant: { ...one, id: first.id, version: 1, status: 'expired', endedAt: first.expiresAt } },
      { type: 'granted', grant: { ...two, version: 2, status: 'revoked', expiresAt } },
      { type: 'changed', grant: two },
      { type: 'expired', grant: one },
      { type: 'revoked', grant: two },
    ])
  })

  it.each([
    ['is no cursor', 'x'],
    ['is too large', Buffer.from(`${'9'.repeat(19)}.1`).toString('base64url')],
    ['is of another database', Buffer.from('999999999999.1').toString('base64url')],
  ])('refuses a cursor that %s', async (_, cursor) => {
    await expect(grants.watch({ cursor })).rejects.toMatchObject({ code: 'invalid', field: 'cursor' })
  })

  it('refuses what no grant can be, and pages that are too large', async () => {
    await expect(grants.watch({ resource: 'x' })).rejects.toMatchObject({ code: 'invalid', field: 'resource' })
    await expect(grants.watch({ limit: 201 })).rejects.toMatchObject({ code: 'invalid', field: 'limit' })
  })
})

describe('whoever commits later', () => {
  it('is not skipped, though they wrote earlier: nothing later is told before, all in order, none twice', async () => {
    const cursor = await cursorNow()
    const [slow, quick] = [fresh(), fresh()]
    const { commit } = await open((at) => at.create(triple(slow)))
    await elsewhere().create(triple(quick))
    // The later one has committed, and waits for the earlier.
    const waiting = await grants.watch({ cursor })
    expect(waiting.changes).toEqual([])
    const begun = (await grants.watch({ cursor: 'now' })).cursor
    await commit()
    const { found, cursor: end } = await all(waiting.cursor)
    expect(story(found)).toEqual([`granted ${slow}`, `granted ${quick}`])
    expect(story((await all(begun)).found)).toEqual(story(found))
    expect((await all(end)).found).toEqual([])
  })

  it('and who undoes it leaves nothing', async () => {
    const cursor = await cursorNow()
    const [undone, quick] = [fresh(), fresh()]
    const { undo } = await open((at) => at.create(triple(undone)))
    await grants.create(triple(quick))
    await undo()
    expect(story((await all(cursor)).found)).toEqual([`granted ${quick}`])
  })

  it('40 at once, while somebody reads: all are told, each once, and no grant’s end before its beginning', async () => {
    let cursor = await cursorNow()
    const found: Awaited<ReturnType<typeof all>>['found'] = []
    const read = async () => {
      const page = await all(cursor, 20)
      found.push(...page.found)
      cursor = page.cursor
    }
    const others = elsewhere()
    const resources = Array.from({ length: 40 }, fresh)
    let writing = true
    const writers = Promise.all(
      resources.map(async (resource, i) => {
        const at = i % 2 ? grants : others
        await at.create(triple(resource))
        await at.touch({ ...triple(resource), expiresInMs: minute })
        await at.delete(triple(resource))
      }),
    ).finally(() => {
      writing = false
    })
    while (writing) await read()
    await writers
    await read()
    expect(found).toHaveLength(120)
    for (const resource of resources)
      expect(found.filter(({ grant }) => grant.resource === resource).map(({ type }) => type)).toEqual([
        ...['granted', 'changed', 'revoked'],
      ])
  })
})
