import { nowSql, until } from '@lapse/testkit'
import pg from 'pg'
import { beforeEach, describe, expect, it } from 'vitest'
import { createDomain, type Notice } from '../src/index.ts'
import { membership, plain } from './kinds.ts'
import { day, hour, minute, second, testDomain } from './support.ts'

const kinds = [plain, membership]
const { domain: other, url, sql, age } = await testDomain(kinds)
const { resources, deliveries } = other
const operator = 'ops@example.com'
const domain = createDomain({ url, kinds, operatorEmail: operator })
const { alerts } = domain

beforeEach(async () => {
  for (const table of ['delivery', 'alert', 'pulse', 'resource', 'webhook_endpoint']) await sql(`DELETE FROM ${table}`)
  await sql('ALTER TABLE event DISABLE TRIGGER USER')
  await sql('DELETE FROM event')
  await sql('ALTER TABLE event ENABLE TRIGGER USER')
})

const raised = async () => (await alerts.list()).filter((alert) => alert.raised).map(({ name }) => name)
/** What the operator was told, the oldest first. */
const told = async () => {
  const rows = await sql<{ notice: Notice }>('SELECT notice FROM delivery WHERE target = $1 ORDER BY id', [operator])
  return rows.map(({ notice }) => [notice.type, notice.data.name])
}
/** As if so much time had gone by for the alerts, and nothing else. */
const wait = (ms: number) =>
  sql(
    `UPDATE alert SET raised_at = raised_at - s, seen_at = seen_at - s, told_at = told_at - s
     FROM (SELECT $1::float8 * interval '1 ms' AS s) AS shift`,
    [ms],
  )
const owing = async () => {
  const { owed } = await resources.issue({ kind: 'membership', payload: { email: 'a@example.com' } })
  return owed[0]?.id ?? ''
}
const dead = async (agoMs = 0) => {
  const id = await owing()
  await sql(
    `UPDATE delivery SET status = 'dead', next_attempt_at = NULL, settled_at = clock_timestamp() - $2::float8 * interval '1 ms' WHERE id = $1`,
    [id, agoMs],
  )
  return id
}
const dueSince = async (ms: number) => {
  const id = await owing()
  await sql(`UPDATE delivery SET next_attempt_at = now() - $2::float8 * interval '1 ms' WHERE id = $1`, [id, ms])
  return id
}
const sweptAgo = (ms: number) =>
  sql(
    `INSERT INTO pulse VALUES ('sweep', now() - $1::float8 * interval '1 ms') ON CONFLICT (name) DO UPDATE SET at = excluded.at`,
    [ms],
  )

describe('deliveries that have given up', () => {
  it('raise an alert, which says what and what to do; retried, it is cleared after five calm minutes, and may be raised again', async () => {
    const id = await dead()
    await alerts.watch()
    expect(await raised()).toEqual(['dead-deliveries'])
    const [row] = await deliveries.list({ kind: 'lapse' })
    expect(row).toMatchObject({ channel: 'email', target: operator, event: 'lapse.alert.raised', resourceId: null })
    const [{ notice } = {} as never] = await sql<{ notice: Notice }>('SELECT notice FROM delivery WHERE id = $1', [
      row?.id,
    ])
    expect(notice.letter.subject).toBe('Lapse: deliveries have given up')
    expect(notice.letter.lines?.join('\n')).toMatch(/^1 delivery has given up.*\nIt is so since .* UTC\.\n.*retry-dead/)
    expect(notice.data).toMatchObject({ name: 'dead-deliveries', value: 1, cleared_at: null })

    await deliveries.retry(id)
    await alerts.watch()
    await wait(4 * minute)
    await alerts.watch()
    expect(await raised()).toEqual(['dead-deliveries'])
    await wait(2 * minute)
    await alerts.watch()
    await alerts.watch()
    expect(await raised()).toEqual([])
    await dead()
    await alerts.watch()
    expect((await told()).map(([type]) => type)).toEqual(
      ['raised', 'cleared', 'raised'].map((is) => `lapse.alert.${is}`),
    )
  })

  it('keep it raised while they come and go, and new ones tell again, at most once an hour', async () => {
    await dead()
    await alerts.watch()
    const times: number[] = []
    for (let i = 0; i < 5; i++) {
      await wait(25 * minute)
      await dead()
      await alerts.watch()
      times.push((await told()).length)
    }
    // After 75 minutes, and not again before another hour.
    expect(times).toEqual([1, 1, 2, 2, 2])
    expect((await alerts.list())[0]).toMatchObject({ value: 6, raised: true })
    // What has been told and is an hour old is none any more.
    await sql(`UPDATE delivery SET settled_at = settled_at - interval '1 hour' WHERE status = 'dead'`)
    await wait(hour)
    await alerts.watch()
    expect([await raised(), (await told()).map(([type]) => type)]).toEqual([
      [],
      ['raised', 'raised', 'cleared'].map((is) => `lapse.alert.${is}`),
    ])
  })

  it('of long ago, or of notices, raise none: an alert that cannot be told does not tell of itself', async () => {
    await dead(2 * hour)
    await alerts.watch()
    expect(await raised()).toEqual([])
    await dead()
    await alerts.watch()
    await sql(`UPDATE delivery SET status = 'dead', next_attempt_at = NULL, settled_at = ${nowSql} WHERE target = $1`, [
      operator,
    ])
    await sql(`DELETE FROM delivery WHERE kind <> 'lapse'`)
    for (let i = 0; i < 3; i++) {
      await wait(2 * hour)
      await alerts.watch()
    }
    expect([await raised(), await told()]).toEqual([
      [],
      [
        ['lapse.alert.raised', 'dead-deliveries'],
        ['lapse.alert.cleared', 'dead-deliveries'],
      ],
    ])
    await sql(`UPDATE delivery SET status = 'dead', next_attempt_at = NULL, settled_at = ${nowSql} WHERE target = $1`, [
      operator,
    ])
    await alerts.watch()
    expect((await told()).length).toBe(2)
  })
})

describe('what waits too long to go out', () => {
  it('raises an alert for its channel, and clears it when it has gone', async () => {
    await dueSince(4 * minute)
    await alerts.watch()
    expect(await raised()).toEqual([])
    const id = await dueSince(7 * minute)
    await alerts.watch()
    expect(await raised()).toEqual(['oldest-pending-email'])
    const alert = (await alerts.list()).find(({ name }) => name === 'oldest-pending-email')
    expect(alert?.detail).toBe('The oldest that is due has waited for 7 minutes; the limit is 5 minutes.')
    const oldest = (await alerts.oldestPending()).map(({ channel, ms }) => [channel, Math.floor(ms / minute)])
    expect(oldest).toEqual(
      expect.arrayContaining([
        ['email', 7],
        ['webhook', 0],
        ['handler', 0],
        ['call', 0],
      ]),
    )
    expect((await domain.deliveries.claim(id, 30 * second)).verdict).toBe('claimed')
    await domain.deliveries.settle(id, 1, 5, { status: 'sent' })
    await wait(6 * minute)
    await alerts.watch()
    expect([await raised(), (await told()).length]).toEqual([[], 2])
  })

  it('is not what waits for its next try, nor what somebody is at, nor the word of an alert', async () => {
    const failing = await dueSince(10 * minute)
    await deliveries.claim(failing, 30 * second)
    await deliveries.settle(failing, 1, 5, { status: 'failed', error: 'later', retryInMs: hour })
    await deliveries.claim(await dueSince(10 * minute), 30 * second)
    await sweptAgo(hour)
    await alerts.watch()
    await sql(`UPDATE delivery SET next_attempt_at = now() - interval '1 hour' WHERE target = $1`, [operator])
    await sweptAgo(0)
    await alerts.watch()
    expect(await raised()).toEqual(['not-swept'])
  })
})

describe('timers that do not fire', () => {
  it('raise an alert when the sweep does more than ten of their steps in ten minutes; purges are none', async () => {
    const sweep = async (count: number, ms: number) => {
      const all = await resources.issueAll(Array.from({ length: count }, () => ({ kind: 'plain' })))
      await age(
        all.map(({ resource }) => resource.id),
        ms,
      )
      await other.advance({ trigger: 'sweep' })
    }
    await sweep(10, 14 * day + minute)
    await alerts.watch()
    expect(await raised()).toEqual([])
    await age(
      (await sql<{ id: string }>('SELECT id FROM resource')).map(({ id }) => id),
      40 * day,
    )
    expect((await other.cleanUp()).removed).toEqual({ plain: 10 })
    await alerts.watch()
    expect(await raised()).toEqual([])
    await sweep(1, 14 * day + minute)
    await alerts.watch()
    expect(await raised()).toEqual(['swept-not-fired'])
    expect((await alerts.list()).find((alert) => alert.raised)).toMatchObject({ value: 11 })
    await sql('ALTER TABLE event DISABLE TRIGGER USER')
    await sql(`UPDATE event SET at = at - interval '11 minutes'`)
    await sql('ALTER TABLE event ENABLE TRIGGER USER')
    await wait(11 * minute)
    await alerts.watch()
    expect([await raised(), (await told()).length]).toEqual([[], 2])
  })
})

describe('a sweep that does not come', () => {
  it('raises an alert, counted from the first look when there never was one, and the next one clears it', async () => {
    await alerts.watch()
    expect(await alerts.sinceSweep()).toBeLessThan(minute)
    await sweptAgo(3 * minute)
    await alerts.watch()
    expect(await raised()).toEqual(['not-swept'])
    await alerts.markSwept()
    expect(await alerts.sinceSweep()).toBeLessThan(minute)
    await wait(6 * minute)
    await alerts.watch()
    expect(await told()).toEqual([
      ['lapse.alert.raised', 'not-swept'],
      ['lapse.alert.cleared', 'not-swept'],
    ])
  })

  it('is late by the limits that are set', async () => {
    const strict = createDomain({ url, kinds, alerts: { sweepMs: 30 * second, pendingMs: minute, swept: 0 } })
    await sweptAgo(minute)
    await dueSince(2 * minute)
    const { resource } = await resources.issue({ kind: 'plain' })
    await age(resource.id, 14 * day + minute)
    await other.advance({ trigger: 'sweep' })
    await alerts.watch()
    expect(await raised()).toEqual([])
    await strict.alerts.watch()
    expect(await raised()).toEqual(['oldest-pending-email', 'swept-not-fired', 'not-swept'])
    // Nobody is to be told: it is raised all the same.
    expect(await deliveries.list({ kind: 'lapse' })).toEqual([])
    await strict.close()
  })
})

describe('who is told', () => {
  it('besides the operator: endpoints that ask for alerts by name, enabled ones, of no organization', async () => {
    const endpoint = async (events: string[], status = 'enabled', organization: string | null = null) => {
      const [row] = await sql<{ id: string }>(
        `INSERT INTO webhook_endpoint (id, url, kinds, events, sealed, status, disabled_at, organization_id, created_at, changed_at)
         VALUES (gen_random_uuid(), 'https://example.com', '{}', $1, '', $2::lapse_webhook_endpoint_status,
           CASE $2 WHEN 'disabled' THEN ${nowSql} END, $3, ${nowSql}, ${nowSql}) RETURNING id`,
        [events, status, organization],
      )
      return row?.id
    }
    const { id: organization } = await other.ownVerbs(async () => true).organizations.create({ name: 'Acme' }, {})
    const asks = await endpoint(['expired', 'alert'])
    await endpoint([])
    await endpoint(['alert'], 'disabled')
    await endpoint(['alert'], 'enabled', organization)
    await sweptAgo(hour)
    const owed = await alerts.watch()
    const rows = await deliveries.list({ kind: 'lapse' })
    expect(rows.map(({ channel, target }) => [channel, target]).sort()).toEqual([
      ['email', operator],
      ['webhook', asks],
    ])
    expect(owed.map(({ id }) => id).sort()).toEqual(rows.map(({ id }) => id).sort())
  })
})

describe('what a process sees by itself', () => {
  const seen = (detail = 'Redis refuses writes: NOREPLICAS Not enough good replicas to write.') =>
    alerts.report({ name: 'redis-unavailable', value: 0, detail })

  it('is raised at once, and told once, however often and by however many it is seen', async () => {
    await Promise.all([seen(), seen(), seen()])
    expect(await raised()).toEqual(['redis-unavailable'])
    await seen('Redis refuses writes: OOM command not allowed.')
    expect(await told()).toEqual([['lapse.alert.raised', 'redis-unavailable']])
    expect((await alerts.list()).find(({ name }) => name === 'redis-unavailable')?.detail).toContain('OOM')
  })

  it('is not over because another process does not see it, until none has for five minutes', async () => {
    await seen()
    for (let minutes = 0; minutes < 12; minutes += 4) {
      await wait(4 * minute)
      await alerts.watch()
      expect(await raised()).toEqual(['redis-unavailable'])
      await seen()
    }
    await wait(5 * minute + second)
    await alerts.watch()
    expect([await raised(), (await told()).map(([type]) => type)]).toEqual([
      [],
      ['raised', 'cleared'].map((is) => `lapse.alert.${is}`),
    ])
  })

  it('waits for its turn while another looks, and is not left to that one', async () => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    await client.query(`BEGIN; SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.alert', 0))`)
    const reporting = seen()
    await until(
      async () =>
        (await sql<{ waiting: boolean }>(`SELECT true AS waiting FROM pg_locks WHERE NOT granted`)).length > 0,
      { what: 'the report waiting' },
    )
    await client.query('COMMIT')
    await client.end()
    await reporting
    expect(await raised()).toEqual(['redis-unavailable'])
  })
})
