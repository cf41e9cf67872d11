import { nowSql } from '@lapse/testkit'
import { v7 as uuidv7 } from 'uuid'
import { beforeEach, describe, expect, it } from 'vitest'
import { claimDue } from '../src/outbox/claim-due.ts'
import { room, testOutbox } from './outbox.ts'
import { everythingIn, minute, tally } from './support.ts'

const { claim, deliveries, domain, endpoints, fresh, planOf, readyIn, sql, waiting } = await testOutbox()
beforeEach(async () => void (await fresh()))

describe('a claim', () => {
  it('takes mails with a token first, then alerts, then everything else, whatever is older', async () => {
    await waiting('email', 'notices', { count: 50, secondsAgo: 3_600 })
    await waiting('email', 'alerts', { priority: 1, secondsAgo: 60 })
    await waiting('email', 'sign-in', { priority: 0, secondsAgo: 1 })
    expect((await claim('email', { limit: 3 })).lanes).toEqual(['sign-in', 'alerts', 'notices'])
  })

  it('takes the oldest of a lane first, and leaves what is not due', async () => {
    const [id = ''] = await endpoints(1)
    const [newer, older] = [await waiting('webhook', id), await waiting('webhook', id, { secondsAgo: 60 })]
    await sql(`UPDATE delivery SET next_attempt_at = now() + interval '1 hour' WHERE id = $1`, newer)
    const { claims, nextInMs } = await claim('webhook')
    expect(claims.map(({ delivery }) => delivery.id)).toEqual(older)
    expect(nextInMs).toBeGreaterThan(0)
    // What was marked ready and is not due waits for its time from then on.
    expect(await readyIn('webhook')).toEqual([])
  })

  it('gives each organization its turn, whatever the others have waiting in however many lanes', async () => {
    const [busy, quiet] = [uuidv7(), uuidv7()]
    const many = await endpoints(40, { organization: busy })
    const [one = ''] = await endpoints(1, { organization: quiet })
    for (const lane of many) await waiting('webhook', lane, { organization: busy, count: 10, secondsAgo: 600 })
    await waiting('webhook', one, { organization: quiet })
    expect((await claim('webhook', { limit: 40, rooms: room({ share: 20, lane: 2 }) })).lanes).toContain(one)
  })

  it('leaves no lane out, though others before it have more than can ever be claimed', async () => {
    const organization = uuidv7()
    const lanes = await endpoints(60, { organization })
    for (const lane of lanes) await waiting('webhook', lane, { organization, count: 30 })
    const served = new Set<string>()
    let cursor: { classes: Record<string, string>; shares: Record<string, string> } = { classes: {}, shares: {} }
    for (let turn = 0; turn < 60; turn++) {
      const [lane = ''] = (await claim('webhook', { limit: 1, cursor })).lanes
      served.add(lane)
      cursor = { classes: { 2: organization }, shares: { [organization]: lane } }
    }
    expect(served.size).toBe(60)
  })

  it('keeps within the room of each lane, organization and host', async () => {
    const organization = uuidv7()
    const [first = '', second = ''] = await endpoints(2, { organization, host: 'one.example' })
    const [third = ''] = await endpoints(1, { host: 'one.example' })
    for (const lane of [first, second]) await waiting('webhook', lane, { organization, count: 9 })
    await waiting('webhook', third, { count: 9 })
    const counted = async (rooms: ReturnType<typeof room>) => {
      const { lanes } = await claim('webhook', { rooms })
      await sql(`UPDATE delivery SET leased_until = NULL, ready = true`)
      return [first, second, third].map((lane) => tally(lanes)[lane] ?? 0)
    }
    expect(await counted(room({ lane: 2 }))).toEqual([2, 2, 2])
    expect(await counted(room({}, { lanes: { [first]: 0, [second]: 1 } }))).toEqual([0, 1, 9])
    expect(await counted(room({ share: 4 }))).toEqual([2, 2, 4])
    expect(await counted(room({}, { shares: { [organization]: 0 } }))).toEqual([0, 0, 9])
    expect((await counted(room({ host: 6 }))).reduce((a, b) => a + b)).toBe(6)
    expect(await counted(room({}, { hosts: { 'one.example': 0 } }))).toEqual([0, 0, 0])
  })

  it('lets an organization with nothing under way have one at a host that another has used up', async () => {
    const [busy, quiet] = [uuidv7(), uuidv7()]
    const [hanging = ''] = await endpoints(1, { organization: busy, host: 'shared.example' })
    const [other = ''] = await endpoints(1, { organization: quiet, host: 'shared.example' })
    await waiting('webhook', hanging, { organization: busy, count: 5, secondsAgo: 60 })
    await waiting('webhook', other, { organization: quiet, count: 5 })
    const usedUp = { shares: { [busy]: 5 }, hosts: { 'shared.example': 0 } }
    expect((await claim('webhook', { rooms: room({}, { ...usedUp, spare: 3 }) })).lanes).toEqual([other])
    for (const [organization, count] of [
      [busy, 5],
      [quiet, 5],
    ] as const)
      await waiting('call', 'shared.example', { organization, count })
    const full = { ...usedUp, lanes: { 'shared.example': 0 } }
    const { claims } = await claim('call', { rooms: room({}, { ...full, spare: 3 }) })
    expect(claims.map(({ delivery }) => delivery.share)).toEqual([quiet])
  })

  it('takes from the reserved slots only what has nothing under way, or is urgent', async () => {
    const [busy, quiet] = [uuidv7(), uuidv7()]
    const [noisy = ''] = await endpoints(1, { organization: busy })
    const [other = ''] = await endpoints(1, { organization: quiet })
    await waiting('webhook', noisy, { organization: busy, count: 5, secondsAgo: 60 })
    await waiting('webhook', other, { organization: quiet, count: 5 })
    const rooms = room({}, { shares: { [busy]: 10 } })
    expect((await claim('webhook', { limit: 10, general: 0, rooms })).lanes).toEqual([other])
    await waiting('email', 'notices', { count: 5 })
    await waiting('email', 'sign-in', { count: 2, priority: 0 })
    expect((await claim('email', { limit: 10, general: 0 })).lanes).toEqual(['sign-in', 'sign-in'])
  })

  it('is not hindered by kinds that this process does not know, and leaves those to the others for a while', async () => {
    const [lane = ''] = await endpoints(1)
    await waiting('webhook', lane, { count: 20, kind: 'unknown', secondsAgo: 600 })
    const [known] = await waiting('webhook', lane, { secondsAgo: 300 })
    const first = await claim('webhook', { rooms: room({ lane: 3 }) })
    expect(first.lanes).toEqual([])
    expect(first.foreign).toEqual([{ priority: 2, share: lane, lane }])
    for (const position of first.foreign) await deliveries.putOffForeign('webhook', position)
    expect((await claim('webhook')).claims.map(({ delivery }) => delivery.id)).toEqual([known])
    // A worker that knows the kind meets them again.
    expect((await sql(`SELECT FROM delivery WHERE kind = 'unknown' AND status = 'pending'`)).length).toBe(20)
  })

  it('reads a few rows of a backlog of any size', async () => {
    const [lane = ''] = await endpoints(1)
    const lanes = await endpoints(200)
    await sql(
      `INSERT INTO delivery (kind, version, event, channel, target, notice, next_attempt_at, created_at, lane)
       SELECT 'lapse', 1, 'lapse.test', 'webhook', $1, '{}', now() - interval '1 hour', ${nowSql}, $1 FROM generate_series(1, 100000)`,
      [lane],
    )
    for (const other of lanes) await waiting('webhook', other)
    await sql('ANALYZE delivery')
    const request = { ...everythingIn('webhook'), limit: 100, rooms: room({ lane: 2 }) }
    const plan = await planOf((db) => claimDue(db, domain.registry, request).catch(() => undefined))
    const scans = plan.split('\n').filter((line) => /Scan .*on delivery\b/.test(line))
    expect(scans.filter((line) => !line.includes('Index Scan'))).toEqual([])
    const rows = scans.flatMap((line) => [...line.matchAll(/actual rows=([\d.]+) loops=(\d+)/g)])
    expect(rows.reduce((sum, [, each, loops]) => sum + Number(each) * Number(loops), 0)).toBeLessThan(5_000)
    expect(rows.length).toBeGreaterThan(3)
  })
})

describe('a lease', () => {
  it('that is over makes its delivery ready again, and an attempt that was sent whole is told from one that was not', async () => {
    const [lane = ''] = await endpoints(1)
    const [sent = '', started = ''] = await waiting('webhook', lane, { count: 2 })
    await claim('webhook')
    expect(await deliveries.beginSending(sent, 1, minute)).toBe(true)
    expect(await readyIn('webhook')).toEqual([])
    await sql(`UPDATE delivery SET leased_until = leased_until - interval '1 hour'`)
    expect(await readyIn('webhook')).toHaveLength(2)
    await claim('webhook')
    const log = async (id: string) => (await deliveries.get(id)).log.map(({ status }) => status)
    expect(await log(sent)).toEqual(['unknown', 'started'])
    expect(await log(started)).toEqual(['started', 'started'])
  })

  it('is extended before the last byte, and refused to an attempt that has lost it or was cancelled', async () => {
    const [lane = ''] = await endpoints(1)
    const [id = '', cancelled = ''] = await waiting('webhook', lane, { count: 2 })
    await claim('webhook')
    await sql(
      `UPDATE delivery SET status = 'cancelled', settled_at = ${nowSql}, next_attempt_at = NULL, leased_until = NULL WHERE id = $1`,
      [cancelled],
    )
    expect(await deliveries.beginSending(cancelled, 1, minute)).toBe(false)
    expect(await deliveries.beginSending(id, 1, 10 * minute)).toBe(true)
    const [row] = await sql<{ far: boolean }>(
      `SELECT leased_until > now() + interval '9 minutes' AS far FROM delivery WHERE id = $1`,
      [id],
    )
    expect(row?.far).toBe(true)
    await sql(`UPDATE delivery SET leased_until = now() - interval '1 second' WHERE id = $1`, [id])
    expect(await deliveries.beginSending(id, 1, minute)).toBe(false)
    await domain.deliveries.promote('webhook')
    await claim('webhook')
    expect(await deliveries.beginSending(id, 1, minute)).toBe(false)
    expect(await deliveries.beginSending(id, 2, minute)).toBe(true)
  })
})
