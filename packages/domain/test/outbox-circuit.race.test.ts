import { nowSql } from '@lapse/testkit'
import { v7 as uuidv7 } from 'uuid'
import { beforeEach, describe, expect, it } from 'vitest'
import type { AttemptOutcome, Channel } from '../src/index.ts'
import { plain } from './kinds.ts'
import { room, testOutbox } from './outbox.ts'
import { everythingIn } from './support.ts'

const { another, claim, deliveries, domain, endpoints, fresh, sql, waiting } = await testOutbox()
beforeEach(async () => void (await fresh()))

const failed: AttemptOutcome = { status: 'failed', error: 'refused', retryInMs: 3_600_000, receiver: { down: true } }
const sent: AttemptOutcome = { status: 'sent', receiver: 'up' }

/** Claims one and lets the attempt end so. */
const attempt = async (channel: Channel, outcome: AttemptOutcome) => {
  const { claims } = await claim(channel, { limit: 1 })
  for (const { delivery } of claims) await deliveries.settle(delivery.id, delivery.attempt, 5, outcome)
  return claims.length
}
const probesAreDue = () => sql(`UPDATE outbox_lane SET next_probe_at = now() - interval '1 second'`)

describe('a circuit breaker', () => {
  it('opens after five failures in a row: what waits is held, without using attempts', async () => {
    const [lane = ''] = await endpoints(1)
    const ids = await waiting('webhook', lane, { count: 20 })
    for (let n = 1; n <= 5; n++) expect(await attempt('webhook', failed)).toBe(1)
    const held = await claim('webhook')
    expect(held.claims).toEqual([])
    expect(held.nextInMs).toBeLessThanOrEqual(1_000)
    expect(await domain.circuits.of('webhook', [lane])).toMatchObject([{ state: 'open', failures: 5 }])
    const tried = await sql(`SELECT FROM delivery WHERE attempts > 0 AND id = ANY ($1)`, [ids])
    expect(tried).toHaveLength(5)
  })

  it('has one at a time attempted as soon as one has failed', async () => {
    const [lane = ''] = await endpoints(1)
    await waiting('webhook', lane, { count: 20 })
    await attempt('webhook', failed)
    expect((await claim('webhook')).claims).toHaveLength(1)
  })

  it('lets one probe through, of eight workers that look at once; its success lets all go', async () => {
    const [lane = ''] = await endpoints(1)
    await waiting('webhook', lane, { count: 30 })
    for (let n = 1; n <= 5; n++) await attempt('webhook', failed)
    await probesAreDue()
    const workers = Array.from({ length: 8 }, () => another([plain]))
    const batches = await Promise.all(workers.map((worker) => worker.deliveries.claimDue(everythingIn('webhook'))))
    const probes = batches.flatMap(({ claims }) => claims)
    expect(probes).toHaveLength(1)
    expect((await claim('webhook')).claims).toEqual([])
    for (const { delivery } of probes) await deliveries.settle(delivery.id, delivery.attempt, 5, sent)
    expect((await claim('webhook')).claims).toHaveLength(24)
    expect(await domain.circuits.of('webhook', [lane])).toEqual([])
  })

  it('waits longer after each probe that fails, up to a minute, and does not count what was under way when it opened', async () => {
    const [lane = ''] = await endpoints(1)
    await waiting('webhook', lane, { count: 60 })
    const { claims } = await claim('webhook', { limit: 20 })
    for (const { delivery } of claims) await deliveries.settle(delivery.id, delivery.attempt, 5, failed)
    const delays: number[] = []
    for (let probe = 0; probe < 9; probe++) {
      const [row] = await sql<{ s: number }>(
        `SELECT extract(epoch FROM next_probe_at - changed_at)::float8 AS s FROM outbox_lane WHERE lane = $1`,
        [lane],
      )
      delays.push(Math.round(row?.s ?? 0))
      await probesAreDue()
      expect(await attempt('webhook', failed)).toBe(1)
    }
    expect(delays).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60])
  })

  it('holds an endpoint for as long as it asks to be left alone', async () => {
    const [lane = ''] = await endpoints(1)
    await waiting('webhook', lane, { count: 3 })
    await attempt('webhook', { ...failed, receiver: { down: true, holdMs: 600_000 } })
    const { claims, nextInMs } = await claim('webhook')
    expect(claims).toEqual([])
    expect(nextInMs).toBeGreaterThan(500_000)
  })

  it('of one organization’s calls to a host does not hold up the calls of another to it', async () => {
    const [one, other] = [uuidv7(), uuidv7()]
    await waiting('call', 'shared.example', { organization: one, count: 20 })
    for (let n = 1; n <= 5; n++) await attempt('call', failed)
    await waiting('call', 'shared.example', { organization: other })
    const { claims } = await claim('call')
    expect(claims.map(({ delivery }) => delivery.share)).toEqual([other])
  })

  it('of the mail server holds all mails, and probes with what deserves it most', async () => {
    await waiting('email', 'trial:expired', { count: 20, secondsAgo: 60 })
    for (let n = 1; n <= 5; n++) await attempt('email', failed)
    await waiting('email', 'verification:issued', { priority: 0 })
    expect((await claim('email')).claims).toEqual([])
    await probesAreDue()
    const { lanes } = await claim('email')
    expect(lanes).toEqual(['verification:issued'])
  })

  it('gives a probe back that was used up by a delivery that was not attempted', async () => {
    const [lane = ''] = await endpoints(1)
    await waiting('webhook', lane, { count: 10 })
    for (let n = 1; n <= 5; n++) await attempt('webhook', failed)
    await probesAreDue()
    await sql(`UPDATE webhook_endpoint SET status = 'disabled', disabled_at = ${nowSql}, disabled_reason = 'a test'`)
    await sql(`UPDATE delivery SET leased_until = now() + interval '1 hour' WHERE attempts = 0`)
    const { claims, unprobed } = await claim('webhook')
    expect(claims).toEqual([])
    expect(unprobed).toEqual([lane])
    await domain.circuits.probeNow('webhook', unprobed)
    await sql(`UPDATE delivery SET leased_until = NULL, ready = true WHERE attempts = 0`)
    expect((await claim('webhook')).claims).toHaveLength(1)
  })
})

describe('an endpoint’s own rate', () => {
  it('is shared out one by one, over all workers', async () => {
    const [lane = ''] = await endpoints(1, { rate: 2 })
    await waiting('webhook', lane, { count: 20 })
    const workers = Array.from({ length: 8 }, () => another([plain]))
    const batches = await Promise.all(workers.map((worker) => worker.deliveries.claimDue(everythingIn('webhook'))))
    expect(batches.flatMap(({ claims }) => claims)).toHaveLength(1)
    const { claims, nextInMs } = await claim('webhook')
    expect(claims).toEqual([])
    expect(nextInMs).toBeLessThanOrEqual(500)
    await sql(`UPDATE outbox_lane SET next_at = now() - interval '1 second'`)
    expect((await claim('webhook', { rooms: room({}) })).claims).toHaveLength(1)
  })
})
