import { nowSql } from '@lapse/testkit'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { deadLately, sweptLately } from '../src/alerts/measures.ts'
import type { DeliveryFilter } from '../src/index.ts'
import { countDeliveries, listDeliveries, purgeNotices, retryDead } from '../src/ledger.ts'
import { oldestPending } from '../src/outbox/backlog.ts'
import { coupon, membership, plain } from './kinds.ts'
import { day, hour, minute, second, testDomain } from './support.ts'

const { domain, sql, ownerUrl } = await testDomain([plain, coupon, membership])
const { resources, deliveries } = domain
const { organizations } = domain.ownVerbs(async () => true)
const lease = 30 * second

const clear = async () => {
  await sql('DELETE FROM delivery')
  await sql('DELETE FROM webhook_endpoint')
}
/** A mail that is owed. */
const owing = async (email = 'ada@example.com', more: object = {}) => {
  const { resource, owed } = await resources.issue({ kind: 'membership', payload: { email }, ...more })
  return { resource: resource.id, id: owed[0]?.id ?? '' }
}
const kill = (ids: readonly string[]) =>
  sql(`UPDATE delivery SET status = 'dead', settled_at = ${nowSql}, next_attempt_at = NULL WHERE id = ANY ($1)`, [ids])
const back = (id: string, ms: number) =>
  sql(`UPDATE delivery SET created_at = created_at - $2::float8 * interval '1 millisecond' WHERE id = $1`, [id, ms])
const notice = { type: 'lapse.test', data: {}, letter: { subject: 'test', lines: [] } }

describe('the ledger lists', () => {
  const ids = async (filter: DeliveryFilter) => (await deliveries.list(filter, { limit: 200 })).map(({ id }) => id)

  it('by event whatever its number, by target, and by the time it was written down', async () => {
    const [first, second, third] = [await owing('a@example.com'), await owing('b@example.com'), await owing()]
    await sql(`UPDATE delivery SET event = 'reminded:86400' WHERE id = $1`, [second.id])
    await sql(`UPDATE delivery SET event = 'used:#42' WHERE id = $1`, [third.id])
    await back(first.id, 2 * hour)
    expect(await ids({ event: 'issued' })).toEqual([first.id])
    expect(await ids({ event: 'reminded' })).toEqual([second.id])
    expect(await ids({ event: 'used' })).toEqual([third.id])
    expect(await ids({ event: 'remind' })).toEqual([])
    expect(await ids({ target: 'b@example.com' })).toEqual([second.id])
    const at = (await deliveries.get(second.id)).createdAt
    expect(await ids({ since: at })).toEqual([third.id, second.id])
    expect(await ids({ until: at })).toEqual([first.id])
    expect(await ids({ since: new Date(at.getTime() - 3 * hour), until: at, target: 'a@example.com' })).toEqual([
      first.id,
    ])
  })

  it('of a resource by its id, and says when that is none', async () => {
    const filter = { resourceId: 'nonsense' }
    for (const asked of [deliveries.list(filter), deliveries.retryDead(filter, { limit: 1 })])
      await expect(asked).rejects.toMatchObject({ code: 'invalid', field: 'resource_id' })
  })

  it("an organization's own: of what was issued in it, and what its endpoints are sent, and nothing else", async () => {
    const organization = await organizations.create({ name: 'Acme' }, {})
    const { id } = await owing('acme@example.com', { organization: organization.id })
    await owing('other@example.com')
    const [own, other] = await Promise.all(
      [organization.id, null].map(async (owner) => {
        const [row] = await sql<{ id: string }>(
          `INSERT INTO webhook_endpoint (id, organization_id, url, kinds, events, sealed, created_at, changed_at)
           VALUES (gen_random_uuid(), $1, 'https://example.com', '{}', '{}', '', ${nowSql}, ${nowSql}) RETURNING id`,
          [owner],
        )
        return row?.id ?? ''
      }),
    )
    const to = [own, other].map((target = '') => ({ channel: 'webhook' as const, target }))
    const [test] = await deliveries.owe(notice, to)
    expect((await ids({ organizationId: organization.id })).sort()).toContain(test?.id)
    const rows = await deliveries.list({ organizationId: organization.id })
    expect(rows.map(({ resourceId, target }) => [resourceId === null, target]).sort()).toEqual(
      [
        [false, 'acme@example.com'],
        [true, own],
      ].sort(),
    )
    expect(rows.find((row) => row.id === id)).toBeDefined()
    expect(await ids({ kind: 'lapse' })).toHaveLength(2)
  })
})

describe('retrying all that are dead', () => {
  it('goes in batches, by filter, and on after the batch before: none is met twice though it dies again', async () => {
    await clear()
    const all = await Promise.all([0, 1, 2, 3, 4].map(async () => (await owing()).id))
    const { id: other } = await owing('other@example.com')
    await kill([...all, other])
    const filter = { target: 'ada@example.com' }
    const met: string[] = []
    let after: string | undefined
    for (let batches = 1; ; batches++) {
      const batch = await deliveries.retryDead(filter, { after, limit: 2 })
      met.push(...batch.deliveries.map(({ id }) => id))
      await kill(all)
      if (batch.after === null) {
        expect(batches).toBe(3)
        break
      }
      after = batch.after
    }
    expect(met.sort()).toEqual(all.sort())
    expect((await deliveries.get(other)).status).toBe('dead')
    await expect(deliveries.retryDead({}, { after: 'nonsense', limit: 1 })).rejects.toMatchObject({ field: 'after' })
  })

  it('gives each all its tries again, in a round of its own', async () => {
    await clear()
    const { id } = await owing()
    await sql('UPDATE delivery SET attempts = 10, tries = 10 WHERE id = $1', [id])
    await kill([id])
    expect((await deliveries.retryDead({}, { limit: 10 })).deliveries).toEqual([{ id, channel: 'email', round: 1 }])
    expect(await sql('SELECT status, attempts, tries FROM delivery')).toEqual([
      { status: 'pending', attempts: 10, tries: 0 },
    ])
  })
})

describe('retrying one by hand', () => {
  it('makes it due at once, but not while somebody is at it', async () => {
    const { id } = await owing()
    await deliveries.claim(id, lease)
    await deliveries.settle(id, 1, 5, { status: 'failed', error: 'no', retryInMs: hour })
    expect(await deliveries.retry(id)).toMatchObject([{ id, round: 1 }])
    await deliveries.claim(id, lease)
    await deliveries.settle(id, 2, 5, { status: 'failed', error: 'no', retryInMs: 0 })
    await deliveries.claim(id, lease)
    expect(await deliveries.get(id)).toMatchObject({ status: 'failed', attempts: 3 })
    expect(await deliveries.retry(id)).toEqual([])
  })
})

describe('calling off', () => {
  it('one that waits: it is cancelled, erased, and never claimed again', async () => {
    const { id } = await owing()
    await sql(`UPDATE delivery SET sealed = 'x' WHERE id = $1`, [id])
    expect(await deliveries.cancel(id)).toBe(true)
    expect(await deliveries.get(id)).toMatchObject({ status: 'cancelled', nextAttemptAt: null })
    expect(await sql('SELECT sealed FROM delivery WHERE id = $1', [id])).toEqual([{ sealed: null }])
    expect(await deliveries.claim(id, lease)).toMatchObject({ verdict: 'settled' })
    expect(await deliveries.cancel(id)).toBe(false)
    expect(await deliveries.retry(id)).toEqual([])
  })

  it('not one that is being made, until its process is known to be gone; nor what is done, nor what is not there', async () => {
    const { id } = await owing()
    await deliveries.claim(id, lease)
    expect(await deliveries.cancel(id)).toBe(false)
    await sql(`UPDATE delivery SET leased_until = now() - interval '1 second' WHERE id = $1`, [id])
    expect(await deliveries.cancel(id)).toBe(true)
    const { id: dead } = await owing()
    await kill([dead])
    for (const one of [dead, 'nonsense', '00000000-0000-4000-8000-000000000000'])
      expect(await deliveries.cancel(one)).toBe(false)
  })
})

describe('a long ledger', () => {
  it('is read by its indexes: what is dead, by target, of one resource, since, for the metrics', async () => {
    await clear()
    const { resource } = await owing()
    await sql(`INSERT INTO resource (id, kind, issued_at, changed_at, expires_at, ends_at, due_at, next_step)
      SELECT gen_random_uuid(), 'plain', ${nowSql}, ${nowSql}, e, e, e, 'expire'
      FROM (SELECT now() + '1 day'::interval AS e) x, generate_series(1, 2000)`)
    await sql(`INSERT INTO delivery (resource_id, kind, version, event, event_id, channel, target, status, settled_at, next_attempt_at, created_at)
      SELECT r.id, 'plain', i, 'renewed', 1, 'email', 'user' || r.n % 1000 || '@example.com',
        (CASE r.n WHEN 1 THEN 'dead' WHEN 2 THEN 'failed' ELSE 'sent' END)::lapse_delivery_status,
        CASE WHEN r.n <> 2 THEN ${nowSql} END, CASE r.n WHEN 2 THEN ${nowSql} END, ${nowSql}
      FROM generate_series(1, 20) i, (SELECT id, row_number() OVER () AS n FROM resource WHERE kind = 'plain') r`)
    await sql(`INSERT INTO event (resource_id, kind, type, version, at, trigger)
      SELECT gen_random_uuid(), 'plain', 'issued', 1, ${nowSql}, 'manual' FROM generate_series(1, 20000)`)
    for (const table of ['delivery', 'event']) await sql(`VACUUM ANALYZE ${table}`)
    const client = new pg.Client({
      connectionString: ownerUrl,
      // As every session of ours has it.
      options: '-c timezone=UTC -c plan_cache_mode=force_generic_plan',
    })
    await client.connect()
    /** The plan of what `run` asks for, and the most rows that one step of it has thrown away. */
    const planOf = async (run: (db: never) => Promise<unknown>) => {
      const lines: string[] = []
      const explain = async ({ text, values }: { text: string; values: unknown[] }) => {
        const { rows } = await client.query(`EXPLAIN (ANALYZE, TIMING OFF) ${text}`, values)
        lines.push(...rows.map((row) => row['QUERY PLAN']))
        return []
      }
      await run({ $queryRaw: explain, $executeRaw: explain } as never)
      const plan = lines.join('\n')
      const removed = [...plan.matchAll(/Rows Removed by Filter: (\d+)/g)].map(([, rows]) => Number(rows))
      return { plan, removed: Math.max(0, ...removed) }
    }
    const page = { limit: 50 }
    for (const [index, run] of [
      ['delivery_unsent', (db) => listDeliveries(db, { status: 'dead' }, page)],
      ['delivery_unsent', (db) => listDeliveries(db, { status: 'failed', channel: 'email' }, page)],
      ['delivery_dead', (db) => retryDead(db, { kind: 'plain' }, { limit: 1_000 })],
      ['delivery_target_id_idx', (db) => listDeliveries(db, { target: 'user7@example.com' }, page)],
      ['delivery_resource_id_version', (db) => listDeliveries(db, { resourceId: resource }, page)],
      ['delivery_pkey', (db) => listDeliveries(db, { since: new Date(Date.now() + minute), kind: 'coupon' }, page)],
      ['delivery_unsent', (db) => countDeliveries(db)],
      ['delivery_notice_settled', (db) => purgeNotices(db, 500)],
      ['delivery_ready', (db) => oldestPending(db)],
      ['delivery_dead_settled', (db) => deadLately(db).catch(() => {})],
      ['event_swept', (db) => sweptLately(db).catch(() => {})],
    ] as [string, (db: never) => Promise<unknown>][]) {
      const { plan, removed } = await planOf(run)
      expect(plan).toContain(index)
      expect(plan).not.toMatch(/Seq Scan on delivery/)
      expect([plan, removed < 100]).toEqual([plan, true])
    }
    await client.end()
  })
})

it('a notice that was settled long ago is not there for its readers any more', async () => {
  await clear()
  const [owed] = await deliveries.owe(notice, [{ channel: 'email', target: 'ops@example.com' }])
  const id = owed?.id ?? ''
  expect(await deliveries.get(id)).toMatchObject({ resourceId: null, kind: 'lapse', event: 'lapse.test' })
  await sql(
    `UPDATE delivery SET status = 'sent', settled_at = now() - $2::float8 * interval '1 ms', next_attempt_at = NULL
    WHERE id = $1`,
    [id, 31 * day],
  )
  await domain.cleanUp()
  await expect(deliveries.get(id)).rejects.toMatchObject({ code: 'not_found' })
})
