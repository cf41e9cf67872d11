import { nowSql } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { hour, minute, tally } from './support.ts'
import { testWebhooks } from './webhooks.ts'

const stage = await testWebhooks()
const { domain, attempt, company, endpoints, holding, issue, lockWaiters, made, sql, told, verbs } = stage
const elsewhere = stage.elsewhere().webhookEndpoints
const usual = { url: 'https://example.com/hook' }

const times = <T>(n: number, act: (i: number) => Promise<T>) => Promise.all(Array.from({ length: n }, (_, i) => act(i)))
const at = (i: number) => (i % 2 ? endpoints : elsewhere)
const codeOf = (error: unknown) => (error as { code?: string }).code ?? String(error)
const outcome = (act: Promise<unknown>) => act.then(() => 'done', codeOf)
const owing = async (endpoint: string) => (await told(endpoint, await issue()))[0]?.id ?? ''

describe('40 at a time', () => {
  it('create endpoints of an organization: there are 20, and none more', async () => {
    const { id: organization } = await company()
    const outcomes = await times(40, (i) => outcome(at(i).create({ ...usual, organization })))
    expect(tally(outcomes)).toEqual({ done: 20, too_many_endpoints: 20 })
    expect(await endpoints.list({ organizationId: organization }, { limit: 200 })).toHaveLength(20)
    const [first] = await endpoints.list({ organizationId: organization })
    await endpoints.delete(first?.id ?? '')
    expect(await outcome(endpoints.create({ ...usual, organization }))).toBe('done')
  })

  it('create endpoints for everybody: there are 50, and none more', async () => {
    await sql('DELETE FROM webhook_endpoint WHERE organization_id IS NULL')
    await times(30, () => made())
    const outcomes = await times(40, (i) => outcome(at(i).create(usual)))
    expect(tally(outcomes)).toEqual({ done: 20, too_many_endpoints: 20 })
    // Those of organizations do not count among them.
    const { id: organization } = await company()
    expect(await outcome(endpoints.create({ ...usual, organization }))).toBe('done')
    await sql('DELETE FROM webhook_endpoint WHERE organization_id IS NULL')
  })

  it('rotate a secret: the last two of them sign, and every answer was good when it was given', async () => {
    const { id, secret } = await made()
    const rotated = await times(40, (i) => at(i).rotateSecret(id))
    const all = [secret, ...rotated.map((one) => one.secret)]
    expect(new Set(all).size).toBe(41)
    const { secrets = [] } = (await domain.endpoints.forSending(id)) ?? {}
    expect(secrets).toHaveLength(2)
    const when = ({ endpoint }: (typeof rotated)[number]) => endpoint.changedAt.getTime()
    const [current, previous] = secrets.map((one) => rotated.find((answer) => answer.secret === one))
    if (!current || !previous) throw new Error('not among the answers')
    expect(rotated.filter((one) => when(one) > when(current))).toEqual([])
    // The one before it is the one before it, and not one that two have taken for that.
    expect(rotated.filter((one) => one !== current && when(one) > when(previous))).toEqual([])
    const last = await endpoints.rotateSecret(id, { overlapMs: hour })
    expect((await domain.endpoints.forSending(id))?.secrets).toEqual([last.secret, secrets[0]])
  })

  it('change different things of one endpoint: no change is lost', async () => {
    const { id } = await made()
    await times(40, (i) =>
      at(i).update(
        id,
        [
          ...[{ description: 'new' }, { kinds: ['plain'] }, { events: ['expired'] }, { contact: 'ada@example.com' }],
          ...[{ headers: { 'X-A': 'a' } }, { url: 'https://example.com/new' }],
        ][i % 6] ?? {},
      ),
    )
    expect(await endpoints.get(id)).toMatchObject({
      ...{ url: 'https://example.com/new', description: 'new', kinds: ['plain'], events: ['expired'] },
      ...{ contact: 'ada@example.com', headerNames: ['X-A'] },
    })
    expect((await domain.endpoints.forSending(id))?.headers).toEqual({ 'X-A': 'a' })
    const [row] = await sql<{ count: number }>(
      `SELECT count(*)::int AS count FROM event WHERE resource_id = $1 AND type = 'updated' AND data -> 'changed' <> '["headers"]'`,
      [id],
    )
    expect(row?.count).toBe(5)
  })

  it('attempts find that an endpoint is gone: it is disabled once, and its owner told once', async () => {
    const { id } = await made({ contact: 'ada@example.com' })
    const deliveries = await times(40, () => owing(id))
    for (const delivery of deliveries) await domain.deliveries.claim(delivery, minute)
    await times(40, (i) =>
      domain.deliveries.settle(
        deliveries[i] ?? '',
        ...([1, 5] as const),
        i % 4 === 0 ? { status: 'sent' } : { status: 'dead', error: 'gone', code: 410 },
      ),
    )
    expect(await endpoints.get(id)).toMatchObject({ status: 'disabled', disabledReason: 'it answered 410 Gone' })
    const types = await sql<{ type: string }>('SELECT type FROM event WHERE resource_id = $1', [id])
    expect(tally(types.map(({ type }) => type))).toEqual({ created: 1, disabled: 1 })
    expect(await sql(`SELECT FROM delivery WHERE notice #>> '{data,endpoint_id}' = $1`, [id])).toHaveLength(1)
  })

  it('replay the same span: each event has one delivery, and is sent once', async () => {
    const { id: organization } = await company()
    const resources = await times(20, () => issue('coupon', organization))
    const { id } = await made({ organization })
    for (const resource of resources) await domain.resources.consume('coupon', resource)
    const half = await told(id)
    for (const delivery of half) await attempt(delivery.id, { status: 'sent' })
    const since = new Date((await domain.clock()).getTime() - hour)
    const replayed = await times(40, (i) => at(i).replay(id, { since }))
    expect(replayed.reduce((sum, one) => sum + one.replayed, 0)).toBe(40)
    const after = await told(id)
    expect(after).toHaveLength(40)
    expect(new Set(after.map(({ round }) => round))).toEqual(new Set([0, 1]))
  })

  it('replay while another replays some of it: neither waits for the other, and none waits in a circle', async () => {
    const { id: organization } = await company()
    const { id } = await made({ organization })
    await times(4, () => issue('plain', organization))
    const [first, ...others] = await told(id)
    for (const delivery of [first, ...others]) await attempt(delivery?.id ?? '', { status: 'sent' })
    const since = new Date((await domain.clock()).getTime() - hour)
    await holding(
      first?.id ?? '',
      async (holder) => {
        await holder.query(`UPDATE delivery SET round = round + 1 WHERE id = $1`, [first?.id])
        expect(await endpoints.replay(id, { since })).toMatchObject({ replayed: others.length })
      },
      'delivery',
    )
  })

  it('replay while resources are suspended, restored and deleted: nothing waits for each other for good', async () => {
    const { id: organization } = await company()
    await times(30, () => issue('plain', organization))
    const { id } = await made({ organization })
    const since = new Date((await domain.clock()).getTime() - hour)
    const outcomes = await times(40, (i) => {
      if (i % 4 === 0) return outcome(verbs.organizations[i % 8 ? 'suspend' : 'restore'](organization))
      return outcome(at(i).replay(id, { since }))
    })
    expect(tally(outcomes)).toEqual({ done: 40 })
    const rows = await sql<{ count: number }>(
      `SELECT count(*)::int AS count FROM delivery WHERE target = $1 GROUP BY event_id`,
      [id],
    )
    expect(rows.every(({ count }) => count === 1)).toBe(true)
  })

  it('is disabled, deleted and settled at once: no deadlock, nothing left over', async () => {
    for (let round = 0; round < 4; round++) {
      const { id } = await made()
      const deliveries = await times(36, () => owing(id))
      for (const delivery of deliveries) await domain.deliveries.claim(delivery, minute)
      const outcomes = await times(40, (i) => {
        const delivery = deliveries[i]
        const status = i % 3 ? 'failed' : 'sent'
        if (delivery === undefined) return outcome(i % 2 ? at(i).delete(id) : at(i).rotateSecret(id))
        return outcome(domain.deliveries.settle(delivery, 1, 5, { status, error: 'no', retryInMs: 0, code: 500 }))
      })
      expect(outcomes.filter((one) => one !== 'done' && one !== 'not_found')).toEqual([])
      for (const { id: delivery } of await told(id)) await domain.deliveries.claim(delivery, minute)
      expect((await told(id)).filter(({ status }) => status === 'pending' || status === 'failed')).toEqual([])
    }
  })
})

it('what is purged while a replay waits for it is left out, and the rest is sent', async () => {
  const { id: organization } = await company()
  const [purged, stays] = [await issue('plain', organization), await issue('plain', organization)]
  const { id } = await made({ organization })
  const since = new Date((await domain.clock()).getTime() - hour)
  let replaying: ReturnType<typeof endpoints.replay> | undefined
  await holding(purged, async (holder) => {
    replaying = endpoints.replay(id, { since })
    await lockWaiters(1)
    await holder.query('DELETE FROM resource WHERE id = $1', [purged])
  })
  expect(await replaying).toEqual({ replayed: 1, cursor: null })
  expect([await told(id, purged), (await told(id, stays)).length]).toEqual([[], 1])
})

it('an endpoint is deleted without waiting for whoever settles a delivery to it, who waits for the endpoint next', async () => {
  const { id } = await made()
  const delivery = await owing(id)
  const settle = async (holder: { query: (text: string, values: unknown[]) => Promise<unknown> }) => {
    await endpoints.delete(id)
    await holder.query(`UPDATE webhook_endpoint SET failing_since = ${nowSql} WHERE id = $1`, [id])
  }
  await holding(delivery, settle, 'delivery')
  expect(await domain.deliveries.claim(delivery, minute)).toMatchObject({ verdict: 'settled' })
})
