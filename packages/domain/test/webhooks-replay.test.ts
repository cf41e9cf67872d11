import { randomUUID } from 'node:crypto'
import { nowSql, stopwatch } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { day, hour, minute } from './support.ts'
import { testWebhooks } from './webhooks.ts'

const { domain, age, attempt, company, deeds, endpoints, issue, made, queued, readyIn, sql, told } =
  await testWebhooks()
const { resources, deliveries } = domain

/** The database's clock. */
const now = () => domain.clock()
const hourAgo = async () => new Date((await now()).getTime() - hour)
const statuses = async (endpoint: string) => (await told(endpoint)).map(({ status }) => status)

describe('one delivery', () => {
  it.each(['sent', 'dead', 'cancelled', 'failed', 'pending'] as const)(
    'that is %s is sent again under the same id, told to the queue as another job',
    async (status) => {
      const { id } = await made()
      const [delivery] = await told(id, await issue())
      const one = delivery?.id ?? ''
      if (status === 'sent') await attempt(one, { status })
      if (status === 'dead') await attempt(one, { status, error: 'no' })
      if (status === 'failed') await attempt(one, { status, error: 'no', retryInMs: day })
      if (status === 'cancelled')
        await sql(
          `UPDATE delivery SET status = 'cancelled', next_attempt_at = NULL, settled_at = now() WHERE id = $1`,
          [one],
        )
      await endpoints.resend(one, { actor: 'root' })
      expect(queued).toContainEqual({ id: one, channel: 'webhook', round: 1 })
      expect(await readyIn('webhook')).toContainEqual({ id: one, round: 1 })
      await attempt(one, { status: 'sent' })
      expect((await deliveries.get(one)).status).toBe('sent')
      expect((await deeds(id)).at(-1)).toMatchObject({ type: 'replayed', actor: 'root', data: { delivery_id: one } })
      await endpoints.resend(one)
      expect(await readyIn('webhook')).toContainEqual({ id: one, round: 2 })
    },
  )

  it('that is being sent right now is not, nor a mail, nor what has no endpoint any more; each says why', async () => {
    const { id } = await made()
    const [delivery] = await told(id, await issue('membership'))
    const one = delivery?.id ?? ''
    await deliveries.claim(one, minute)
    await expect(endpoints.resend(one)).rejects.toMatchObject({ code: 'not_replayable', detail: /right now/ })
    await deliveries.settle(one, 1, 5, { status: 'sent' })
    await endpoints.disable(id)
    await expect(endpoints.resend(one)).rejects.toMatchObject({ code: 'endpoint_disabled', detail: /Enable/ })
    await endpoints.delete(id)
    await expect(endpoints.resend(one)).rejects.toMatchObject({ code: 'not_replayable', detail: /deleted/ })
    const { owed } = await resources.issue({ kind: 'membership', payload: { email: 'a@example.com' } })
    const mail = owed.find(({ channel }) => channel === 'email')?.id ?? ''
    await expect(endpoints.resend(mail)).rejects.toMatchObject({ code: 'not_replayable', detail: /email/ })
    for (const unknown of [randomUUID(), 'nonsense'])
      await expect(endpoints.resend(unknown)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('a test can be sent again while its endpoint is disabled', async () => {
    const { id } = await made()
    await endpoints.disable(id)
    const { deliveryId } = await endpoints.test(id)
    await attempt(deliveryId, { status: 'sent' })
    await endpoints.resend(deliveryId)
    await attempt(deliveryId, { status: 'sent' })
    expect((await deliveries.get(deliveryId)).log).toHaveLength(2)
  })
})

describe('a span of time', () => {
  it('brings again what was sent, and for the first time what was not, each event once', async () => {
    const { id: organization } = await company()
    const { id } = await made({ organization })
    const sent = await issue('coupon', organization)
    for (const delivery of await told(id)) await attempt(delivery.id, { status: 'sent' })
    await endpoints.disable(id)
    for (const _ of [1, 2]) await resources.consume('coupon', sent)
    const missed = await issue('plain', organization)
    await endpoints.enable(id)
    await resources.consume('coupon', sent)
    // As if it had been told of what happened before there was such an endpoint.
    const { replayed, cursor } = await endpoints.replay(id, { since: await hourAgo() }, { actor: 'root' })
    // The last use waits for its first try already.
    expect([replayed, cursor]).toEqual([4, null])
    expect((await told(id, sent)).map(({ type, status, round }) => [type, status, round])).toEqual([
      ['issued', 'pending', 1],
      ['used', 'pending', 0],
      ['used', 'pending', 0],
      ['consumed', 'pending', 0],
    ])
    expect(await told(id, missed)).toMatchObject([{ type: 'issued', event: expect.stringMatching(/^issued:#\d+$/) }])
    for (const delivery of await told(id)) {
      expect(queued.filter((owed) => owed.id === delivery.id).length).toBe(delivery.type === 'consumed' ? 0 : 1)
      await attempt(delivery.id, { status: 'sent' })
    }
    expect(await endpoints.replay(id, { since: await hourAgo() })).toEqual({ replayed: 5, cursor: null })
    expect(await told(id)).toHaveLength(5)
    expect((await deeds(id)).at(-2)).toMatchObject({ type: 'replayed', actor: 'root', data: { replayed: 4 } })
  })

  it('has what the endpoint asks for, of its organization, and of that what is asked for here', async () => {
    const [{ id: mine }, { id: theirs }] = [await company(), await company()]
    const [own] = [await issue('coupon', mine), await issue('coupon', theirs), await issue('plain', mine)]
    await resources.consume('coupon', own)
    await resources.revoke('coupon', own)
    const { id } = await made({ organization: mine, kinds: ['coupon'], events: ['issued', 'used', 'revoked'] })
    const since = await hourAgo()
    const replay = async (more: object) => (await endpoints.replay(id, { since, ...more })).replayed
    expect(await replay({ events: ['consumed'] })).toBe(0)
    expect(await replay({ kinds: ['plain'] })).toBe(0)
    expect(await replay({ events: ['used'], kinds: ['coupon'] })).toBe(1)
    expect(await replay({})).toBe(2)
    expect((await told(id)).map(({ type }) => type)).toEqual(['issued', 'used', 'revoked'])
    await expect(replay({ kinds: ['unheard-of'] })).rejects.toMatchObject({ field: 'kinds.0' })
    await expect(replay({ events: ['alert'] })).rejects.toMatchObject({ field: 'events.0' })
    await expect(replay({ cursor: 'nonsense' })).rejects.toMatchObject({ field: 'cursor' })
    await expect(replay({ until: since })).rejects.toMatchObject({ code: 'invalid', field: 'until' })
  })

  it('begins at its first instant and ends before its last', async () => {
    const { id: organization } = await company()
    const ids = [await issue('plain', organization), await issue('plain', organization)]
    const [first, second] = await sql<{ at: Date }>(`SELECT at FROM event WHERE resource_id = ANY ($1) ORDER BY id`, [
      ids,
    ])
    if (!first || !second) throw new Error('no events')
    const { id } = await made({ organization })
    const { at } = first
    // Both may have happened in the same millisecond.
    const count = first.at.getTime() === second.at.getTime() ? 2 : 1
    expect(await endpoints.replay(id, { since: new Date(at.getTime() - 1), until: at })).toMatchObject({ replayed: 0 })
    expect(await endpoints.replay(id, { since: at, until: new Date(at.getTime() + 1) })).toMatchObject({
      replayed: count,
    })
    expect(await endpoints.replay(id, { since: new Date(second.at.getTime() + 1) })).toMatchObject({ replayed: 0 })
  })

  it('leaves alone what somebody has in hand, and what has been purged', async () => {
    const { id: organization } = await company()
    const { id } = await made({ organization })
    const [held, purged] = [await issue('plain', organization), await issue('plain', organization)]
    await resources.revoke('plain', purged)
    const [delivery] = await told(id, held)
    await attempt(delivery?.id ?? '', { status: 'failed', error: 'no', retryInMs: 0 })
    await deliveries.claim(delivery?.id ?? '', minute)
    for (const { id: one } of await told(id, purged)) await attempt(one, { status: 'sent' })
    await age(purged, 60 * day)
    await sql(`DELETE FROM resource WHERE id = $1`, [purged])
    expect(await endpoints.replay(id, { since: await hourAgo() })).toEqual({ replayed: 0, cursor: null })
    expect(await statuses(id)).toEqual(['failed'])
  })

  it('keeps a reminder silent that a renewal has overtaken', async () => {
    const { id: organization } = await company()
    const reminded = await issue('membership', organization)
    await age(reminded, 13 * day)
    await domain.advance({ trigger: 'sweep' })
    await resources.renew('membership', reminded, { expiresInMs: 20 * day })
    const { id } = await made({ organization, events: ['reminded'] })
    expect(await endpoints.replay(id, { since: await hourAgo() })).toMatchObject({ replayed: 1 })
    const [delivery] = await told(id)
    expect(await deliveries.claim(delivery?.id ?? '', minute)).toMatchObject({ verdict: 'settled' })
    expect(await statuses(id)).toEqual(['cancelled'])
  })

  it('is refused while the endpoint is disabled, which would cancel it all again', async () => {
    const { id } = await made()
    await endpoints.disable(id)
    await expect(endpoints.replay(id, { since: await hourAgo() })).rejects.toMatchObject({ code: 'endpoint_disabled' })
  })

  it('of more than 10,000 events goes on where it stopped, and reads no more than its span of a long audit', async () => {
    const { id: organization } = await company()
    const resource = await issue('plain', organization)
    // A year of other people's events, and then many of this resource.
    await sql(`INSERT INTO event (resource_id, kind, type, version, at, trigger)
      SELECT gen_random_uuid(), 'plain', 'issued', 1, now() - interval '1 year' + n * interval '2 minutes', 'manual'
      FROM generate_series(1, 200000) n`)
    await sql(
      `INSERT INTO event (resource_id, kind, type, version, at, trigger)
      SELECT $1, 'plain', 'used', 1, ${nowSql}, 'manual' FROM generate_series(1, 10500) n`,
      [resource],
    )
    await sql('ANALYZE event')
    const { id } = await made({ organization, events: ['used'] })
    const since = await hourAgo()
    const first = await endpoints.replay(id, { since })
    expect(first).toEqual({ replayed: 10_000, cursor: expect.stringMatching(/^\d+$/) })
    expect(await endpoints.replay(id, { since, cursor: first.cursor ?? '' })).toEqual({ replayed: 500, cursor: null })
    const [{ count } = { count: 0 }] = await sql<{ count: number }>(
      `SELECT count(DISTINCT event_id)::int AS count FROM delivery WHERE target = $1`,
      [id],
    )
    expect(count).toBe(10_500)
    const plan = await sql<{ 'QUERY PLAN': string }>(
      `EXPLAIN SELECT min(id + 0), max(id + 0) FROM event WHERE at >= now() - interval '1 hour' AND at < now()`,
    )
    expect(plan.map((line) => line['QUERY PLAN']).join('\n')).toMatch(/event_at/)
  })

  it('is less work than what happened in it was, for thousands of resources too', async () => {
    const { id } = await made()
    const since = await hourAgo()
    const took = async (act: () => Promise<unknown>): Promise<number> => {
      const clock = stopwatch()
      await act()
      clock.stop()
      return clock.ms()
    }
    const happening = await took(async () => {
      for (let i = 0; i < 9; i++)
        await resources.issueAll(Array.from({ length: 1_000 }, () => ({ kind: 'coupon', subject: id })))
    })
    const { id: late } = await made()
    await sql(`UPDATE delivery SET status = 'sent', next_attempt_at = NULL, settled_at = now() WHERE target = $1`, [id])
    await sql('ANALYZE resource, event, delivery')
    for (const endpoint of [id, late])
      expect(
        await took(() => endpoints.replay(endpoint, { since, kinds: ['coupon'], events: ['issued'] })),
      ).toBeLessThan(happening)
    const counts = await sql<{ count: number }>(
      `SELECT count(*)::int AS count FROM delivery d JOIN resource r ON r.id = d.resource_id
      WHERE r.subject = $1 AND d.target IN ($1, $2) AND d.status = 'pending' GROUP BY d.target`,
      [id, late],
    )
    expect(counts).toEqual([{ count: 9_000 }, { count: 9_000 }])
  })
})
