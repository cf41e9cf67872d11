import { describe, expect, it } from 'vitest'
import { defineKind } from '../src/index.ts'
import { membership, plain } from './kinds.ts'
import { day, minute, second, testDomain } from './support.ts'

const calling = defineKind({
  ...{ name: 'calling', payload: plain.payload, lifetime: { default: '2d', max: '60d' }, grace: '1d' },
  handlers: { issued: () => {}, grace: () => {}, expired: () => {} },
})
const { domain, age, readyIn, sql } = await testDomain([membership, calling])
const { resources, deliveries } = domain
const lease = 30 * second

/** A membership that owes one mail of this type: the time until then has passed. */
const owing = async (passed: number) => {
  const { resource, owed } = await resources.issue({ kind: 'membership', payload: { email: 'a@example.com' } })
  await age(resource.id, passed)
  const { rows } = await domain.advance({ trigger: 'sweep' })
  const moved = rows.find((row) => row.id === resource.id)
  const delivery = (moved?.owed ?? owed)[0]?.id ?? ''
  return { id: resource.id, delivery }
}
const passed = { issued: 0, reminded: 13 * day, grace: 14 * day, expired: 15 * day }
const statusOf = async (id: string) => (await deliveries.get(id)).status
/** As if this time had gone by for a delivery. */
const wait = (id: string, ms: number) =>
  sql(
    `UPDATE delivery SET next_attempt_at = next_attempt_at - s, leased_until = leased_until - s
    FROM (SELECT $2::float8 * interval '1 millisecond' AS s) AS shift WHERE id = $1`,
    [id, ms],
  )
/** Claims it and ends the attempt. */
const attempt = async (id: string, outcome: Parameters<typeof deliveries.settle>[3]) => {
  const claimed = await deliveries.claim(id, lease)
  if (claimed.verdict !== 'claimed') throw new Error(`not claimed: ${JSON.stringify(claimed)}`)
  await deliveries.settle(id, claimed.claim.delivery.attempt, 12.3, outcome)
}

describe('the ledger', () => {
  it('has each side effect once for each transition, with its target, and none where there is no target', async () => {
    const { id } = await owing(passed.expired)
    const rows = await deliveries.list({ resourceId: id })
    expect(rows.map(({ event, channel, target, status }) => [event, channel, target, status]).sort()).toEqual([
      ['expired', 'email', 'a@example.com', 'pending'],
      ['issued', 'email', 'a@example.com', 'pending'],
    ])
    await Promise.all([1, 2, 3].map(() => domain.advance({ trigger: 'job' }, { ids: [id] })))
    expect(await deliveries.list({ resourceId: id })).toHaveLength(2)
    const { resource, owed } = await resources.issue({ kind: 'membership' })
    expect([owed, await deliveries.list({ resourceId: resource.id })]).toEqual([[], []])
  })

  it('names a handler by kind and event, and tells the caller what is owed', async () => {
    const { resource, owed } = await resources.issue({ kind: 'calling' })
    expect(owed).toEqual([{ id: expect.any(String), channel: 'handler' }])
    expect(await deliveries.list({ resourceId: resource.id })).toMatchObject([
      { id: owed[0]?.id, target: 'calling.issued' },
    ])
  })

  it('commits with the transition or not at all', async () => {
    const failing = domain.once({ owner: 'me', key: 'k', fingerprint: 'f' }, async (tx) => {
      await resources.within(tx).issue({ kind: 'membership', scope: 'undone', payload: { email: 'a@example.com' } })
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(
      await sql(
        `SELECT FROM delivery d LEFT JOIN resource r ON r.id = resource_id WHERE r IS NULL OR scope = 'undone'`,
      ),
    ).toEqual([])
  })
})

describe('a claim', () => {
  it('takes a lease and writes the attempt down before it is made; a second claimer waits', async () => {
    const { delivery, id } = await owing(passed.expired)
    const first = await deliveries.claim(delivery, lease)
    expect(first).toMatchObject({
      verdict: 'claimed',
      claim: {
        delivery: { id: delivery, attempt: 1, target: 'a@example.com' },
        about: { row: { id }, event: { type: 'expired', from: 'active', trigger: 'sweep' } },
      },
    })
    const second = await deliveries.claim(delivery, lease)
    expect(second).toMatchObject({ verdict: 'later' })
    expect(second.verdict === 'later' && second.inMs).toBeGreaterThan(lease - minute / 6)
    expect((await deliveries.get(delivery)).log).toMatchObject([{ number: 1, status: 'started', durationMs: null }])
    expect(await readyIn('email')).not.toContainEqual(expect.objectContaining({ id: delivery }))
  })

  it('of a process that died runs out; then the attempt is made again, and the dead one changes nothing any more', async () => {
    const { delivery } = await owing(passed.expired)
    await deliveries.claim(delivery, lease)
    await wait(delivery, lease)
    expect(await readyIn('email')).toContainEqual({ id: delivery, round: 0 })
    expect(await deliveries.claim(delivery, lease)).toMatchObject({ claim: { delivery: { id: delivery, attempt: 2 } } })
    await deliveries.settle(delivery, 1, 5, { status: 'failed', error: 'late', retryInMs: 0 })
    expect(await statusOf(delivery)).toBe('pending')
    await deliveries.settle(delivery, 2, 5, { status: 'sent' })
    const { status, log } = await deliveries.get(delivery)
    expect([status, log.map((entry) => entry.status)]).toEqual(['sent', ['failed', 'sent']])
    expect(await deliveries.claim(delivery, lease)).toEqual({ verdict: 'settled', reason: 'already sent' })
  })

  it('of nothing is settled, whatever a forged job says', async () => {
    for (const id of ['nonsense', '00000000-0000-4000-8000-000000000000'])
      expect(await deliveries.claim(id, lease)).toMatchObject({ verdict: 'settled' })
  })

  it("of another channel's is settled and changes nothing, so that a job in a wrong queue sends nothing a wrong way", async () => {
    const { delivery } = await owing(passed.expired)
    expect(await deliveries.claim(delivery, lease, 'webhook')).toMatchObject({ verdict: 'settled' })
    expect((await deliveries.get(delivery)).log).toEqual([])
    expect(await deliveries.claim(delivery, lease, 'email')).toMatchObject({ verdict: 'claimed' })
  })
})

describe('what has been overtaken is silent', () => {
  type Overtake = (id: string) => Promise<unknown>
  const renewal: Overtake = (id) => resources.renew('membership', id, { expiresInMs: 30 * day })
  const revocation: Overtake = (id) => resources.revoke('membership', id)
  const end: Overtake = (id) => age(id, 5 * day)

  it.each<[string, number, string, Overtake]>([
    ['F3: a reminder', passed.reminded, 'a renewal', renewal],
    ['F3: a reminder', passed.reminded, 'a revocation', revocation],
    ['F4: a reminder', passed.reminded, 'the end', end],
    ['E2: the notice of grace', passed.grace, 'a renewal', renewal],
    ['E2: the notice of grace', passed.grace, 'a revocation', revocation],
    ['E1: the notice of grace', passed.grace, 'the end', end],
  ])('%s (due after %i ms) by %s', async (_, time, __, overtake) => {
    const { id, delivery } = await owing(time)
    await overtake(id)
    expect(await deliveries.claim(delivery, lease)).toMatchObject({ verdict: 'settled' })
    expect(await deliveries.get(delivery)).toMatchObject({ status: 'cancelled', attempts: 0, log: [] })
  })

  it('but not what has been overtaken while it is being sent: that is for its sender to say', async () => {
    const { id, delivery } = await owing(passed.reminded)
    await deliveries.claim(delivery, lease)
    await renewal(id)
    expect(await deliveries.claim(delivery, lease)).toMatchObject({ verdict: 'later' })
    await deliveries.settle(delivery, 1, 5, { status: 'sent' })
    expect(await statusOf(delivery)).toBe('sent')
  })

  it('nor the word that it is over, nor a handler, which has to know what has happened', async () => {
    const { id, delivery } = await owing(passed.expired)
    expect(await deliveries.claim(delivery, lease)).toMatchObject({
      verdict: 'claimed',
      claim: { about: { row: { id } } },
    })
    const { resource } = await resources.issue({ kind: 'calling' })
    await age(resource.id, 2 * day)
    const { rows } = await domain.advance({ trigger: 'sweep' })
    await resources.revoke('calling', resource.id)
    const owed = rows.find((row) => row.id === resource.id)?.owed?.[0]?.id ?? ''
    expect(await deliveries.claim(owed, lease)).toMatchObject({ claim: { about: { event: { type: 'grace' } } } })
  })
})

describe('failure', () => {
  it('is tried again when its time has come, then given up, listed, counted and retried by hand', async () => {
    const { delivery } = await owing(passed.expired)
    const dead = () => deliveries.list({ status: 'dead' })
    await attempt(delivery, { status: 'failed', error: 'no route', retryInMs: minute })
    expect(await deliveries.get(delivery)).toMatchObject({ status: 'failed', lastError: 'no route', attempts: 1 })
    expect(await deliveries.claim(delivery, lease)).toMatchObject({ verdict: 'later' })
    await wait(delivery, minute)
    await attempt(delivery, { status: 'dead', error: 'x'.repeat(600) })
    expect(await dead()).toMatchObject([{ id: delivery, nextAttemptAt: null, settledAt: expect.any(Date) }])
    expect((await dead())[0]?.lastError).toHaveLength(500)
    expect(await deliveries.count()).toContainEqual({ channel: 'email', status: 'dead', count: 1 })
    expect(await deliveries.claim(delivery, lease)).toEqual({ verdict: 'settled', reason: 'already dead' })
    expect(await deliveries.retry(delivery)).toEqual([{ id: delivery, channel: 'email', round: 1 }])
    await attempt(delivery, { status: 'sent' })
    expect((await deliveries.get(delivery)).log).toMatchObject([
      { number: 1, status: 'failed', error: 'no route', durationMs: 12 },
      { number: 2, status: 'dead' },
      { number: 3, status: 'sent', error: null },
    ])
    expect(await dead()).toEqual([])
    expect(await deliveries.retry(delivery)).toEqual([])
  })

  it('is written down whatever its words, theirs or ours, and so is given up in the end', async () => {
    const { delivery } = await owing(passed.expired)
    await attempt(delivery, { status: 'dead', error: 'no\0route', code: 550, answer: 'no such\0user' })
    expect(await deliveries.get(delivery)).toMatchObject({
      ...{ status: 'dead', lastError: 'noroute' },
      log: [{ status: 'dead', error: 'noroute', answer: 'no suchuser' }],
    })
    expect(await deliveries.bounce(delivery, 'came\0back')).toBe(true)
    expect((await deliveries.get(delivery)).lastError).toBe('bounced: cameback')
  })

  it('of what does not exist says so', async () => {
    for (const id of ['nonsense', '00000000-0000-4000-8000-000000000000']) {
      await expect(deliveries.get(id)).rejects.toMatchObject({ code: 'not_found' })
      expect(await deliveries.retry(id)).toEqual([])
    }
  })
})
