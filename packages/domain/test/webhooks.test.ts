import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createDomain } from '../src/index.ts'
import { plain } from './kinds.ts'
import { day, hour } from './support.ts'
import { key, testWebhooks } from './webhooks.ts'

const { domain, endpoints, made, company, told, issue, deeds, sql, url, queued } = await testWebhooks()

const usual = { url: 'https://example.com/hook' }
const whsec = /^whsec_[A-Za-z0-9+/]{43}=$/

describe('a webhook endpoint', () => {
  it('has a secret that is shown once, and is what was asked for', async () => {
    const { id: organization } = await company()
    const input = {
      ...{ url: 'https://Hooks.Example.com/in?for=acme#top', description: 'Billing', kinds: ['plain'], organization },
      ...{ events: ['expired', 'revoked'], headers: { 'X-Login': 'a b' }, contact: 'Ada@Example.com' },
    }
    const { endpoint, secret } = await endpoints.create(input, { actor: 'root' })
    expect(secret).toMatch(whsec)
    expect(endpoint).toEqual({
      ...{ id: expect.any(String), organizationId: organization, url: 'https://hooks.example.com/in?for=acme' },
      ...{ description: 'Billing', kinds: ['plain'], events: ['expired', 'revoked'], headerNames: ['X-Login'] },
      ...{ contact: 'Ada@Example.com', status: 'enabled', failingSince: null, disabledAt: null, disabledReason: null },
      ...{ maxPerSecond: null, consecutiveFailures: 0, circuitOpenedAt: null, nextProbeAt: null },
      ...{ previousUntil: null, createdAt: expect.any(Date), changedAt: endpoint.createdAt },
    })
    expect(await endpoints.get(endpoint.id)).toEqual(endpoint)
    expect(await endpoints.list({ organizationId: organization })).toEqual([endpoint])
    expect(await domain.endpoints.forSending(endpoint.id)).toEqual({
      ...{ organizationId: organization, url: endpoint.url, secrets: [secret], headers: { 'X-Login': 'a b' } },
    })
  })

  it.each([
    ['url', { url: 'http://example.com/hook' }],
    ['url', { url: 'https://10.0.0.1/hook' }],
    ['url', { url: 'https://user:secret@example.com/' }],
    ['url', { url: 'nonsense' }],
    ['kinds.1', { kinds: ['plain', 'unheard-of'] }],
    ['kinds', { kinds: Array.from({ length: 51 }, () => 'plain') }],
    ['events.1', { events: ['expired', 'exploded'] }],
    ['headers.Webhook-Signature', { headers: { 'Webhook-Signature': 'v1,forged' } }],
    ['headers.Host', { headers: { Host: 'elsewhere' } }],
    ['headers.X-A', { headers: { 'X-A': 'a\r\nX-B: b' } }],
    ['headers.X A', { headers: { 'X A': 'a' } }],
    ['headers', { headers: Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`X-${i}`, 'a'])) }],
    ['contact', { contact: 'ada' }],
    ['description', { description: 'x'.repeat(501) }],
    ['organization', { organization: randomUUID() }],
  ])('is refused with a wrong %s, which is named', async (field, wrong) => {
    const before = await endpoints.list({}, { limit: 200 })
    await expect(endpoints.create({ ...usual, ...wrong })).rejects.toMatchObject({ field })
    expect(await endpoints.list({}, { limit: 200 })).toEqual(before)
  })

  it('of an organization is not told of alerts, which are about everything', async () => {
    const { id: organization } = await company()
    expect((await made({ events: ['alert'] })).events).toEqual(['alert'])
    await expect(endpoints.create({ ...usual, organization, events: ['alert'] })).rejects.toMatchObject({
      field: 'events.0',
    })
    const { id } = await made({ organization })
    await expect(endpoints.update(id, { events: ['alert'] })).rejects.toMatchObject({ field: 'events.0' })
  })

  it('needs a key to seal its secret with, and nothing is written without one', async () => {
    const keyless = createDomain({ url, kinds: [plain] })
    const count = (await endpoints.list({}, { limit: 200 })).length
    await expect(keyless.ownVerbs(async () => true).webhookEndpoints.create(usual)).rejects.toMatchObject({
      code: 'not_configured',
    })
    await keyless.close()
    expect(await endpoints.list({}, { limit: 200 })).toHaveLength(count)
  })

  it('keeps its secret and its headers to itself: they are in no list, no event, no row, and no database dump', async () => {
    const headers = { 'X-Login': 'canary-of-a-header' }
    const { id, secret } = await made({ headers, url: 'https://example.com/canary-of-a-path?canary-of-a-query' })
    const rotated = await endpoints.rotateSecret(id)
    await endpoints.update(id, { headers: { 'X-Login': 'canary-of-another' }, contact: 'canary@example.com' })
    await endpoints.test(id)
    await endpoints.disable(id, { reason: 'no more' })
    const known = [secret, rotated.secret].flatMap((one) => [one, one.slice('whsec_'.length)])
    const shown = JSON.stringify([await endpoints.get(id), await endpoints.list({}, { limit: 200 }), queued])
    for (const text of [...known, 'canary-of-a-header', 'canary-of-another']) expect(shown).not.toContain(text)
    const [dump] = await sql<{ rows: string }>(`SELECT (SELECT jsonb_agg(w) FROM webhook_endpoint w)::text
      || (SELECT jsonb_agg(d) FROM delivery d)::text || (SELECT jsonb_agg(e) FROM event e)::text AS rows`)
    for (const text of [...known, 'canary-of-a-header', 'canary-of-another']) expect(dump?.rows).not.toContain(text)
    const [audit] = await sql<{ rows: string }>('SELECT jsonb_agg(e)::text AS rows FROM event e')
    // Addresses may hold secrets, and people.
    expect(audit?.rows).not.toContain('canary')
    const [row] = await sql<{ sealed: Buffer }>('SELECT sealed FROM webhook_endpoint WHERE id = $1', [id])
    expect(row?.sealed.includes('canary')).toBe(false)
  })

  it('that nobody has is not there, whatever is done to it', async () => {
    for (const id of [randomUUID(), 'nonsense'])
      for (const act of [
        () => endpoints.get(id),
        () => endpoints.update(id, { description: 'x' }),
        () => endpoints.rotateSecret(id),
        () => endpoints.disable(id),
        () => endpoints.enable(id),
        () => endpoints.delete(id),
        () => endpoints.test(id),
        () => endpoints.replay(id, { since: new Date() }),
      ])
        await expect(act()).rejects.toMatchObject({ code: 'not_found' })
    expect(await domain.endpoints.forSending(randomUUID())).toBeUndefined()
  })
})

describe('a change', () => {
  it('keeps what is left out, clears what is null, and is written down with who did it', async () => {
    const { id } = await made({ description: 'old', contact: 'ada@example.com', headers: { 'X-A': 'a' } })
    const changed = await endpoints.update(id, { description: null, kinds: ['coupon'] }, { actor: 'token:7' })
    expect(changed).toMatchObject({
      ...{ url: usual.url, description: null, contact: 'ada@example.com', kinds: ['coupon'], headerNames: ['X-A'] },
    })
    expect((await domain.endpoints.forSending(id))?.headers).toEqual({ 'X-A': 'a' })
    await endpoints.update(id, { headers: { 'X-B': 'b' } })
    expect((await domain.endpoints.forSending(id))?.headers).toEqual({ 'X-B': 'b' })
    expect((await deeds(id)).slice(1)).toMatchObject([
      {
        ...{ type: 'updated', actor: 'token:7', trigger: 'manual' },
        data: { changed: ['description', 'kinds'], before: { kinds: [] }, after: { kinds: ['coupon'] } },
      },
      { type: 'updated', data: { changed: ['headers'], after: { header_names: ['X-B'] } } },
    ])
  })

  it('that changes nothing leaves no event, and a wrong one changes nothing', async () => {
    const { id } = await made({ description: 'same' })
    const before = await endpoints.update(id, { description: 'same', url: usual.url, kinds: [] })
    await expect(endpoints.update(id, { description: 'new', kinds: ['unheard-of'] })).rejects.toMatchObject({
      field: 'kinds.0',
    })
    expect(await endpoints.get(id)).toEqual(before)
    expect(await deeds(id)).toHaveLength(1)
  })
})

describe('a new secret', () => {
  it('signs beside the one before for a day; then alone', async () => {
    const { id, secret } = await made({ headers: { 'X-A': 'a' } })
    const rotated = await endpoints.rotateSecret(id, {}, { actor: 'root' })
    expect(rotated.secret).toMatch(whsec)
    expect(await domain.endpoints.forSending(id)).toMatchObject({
      ...{ secrets: [rotated.secret, secret], headers: { 'X-A': 'a' } },
    })
    const { previousUntil, changedAt } = rotated.endpoint
    expect((previousUntil?.getTime() ?? 0) - changedAt.getTime()).toBeCloseTo(day, -2)
    await sql(`UPDATE webhook_endpoint SET previous_until = previous_until - interval '1 day' WHERE id = $1`, [id])
    expect((await domain.endpoints.forSending(id))?.secrets).toEqual([rotated.secret])
    expect((await endpoints.get(id)).previousUntil).toBeNull()
    expect(await deeds(id)).toMatchObject([{}, { type: 'rotated', actor: 'root', data: { overlap_seconds: 86_400 } }])
  })

  it('within the overlap ends the oldest; without any overlap it ends the one before at once', async () => {
    const { id, secret } = await made()
    const second = await endpoints.rotateSecret(id, { overlapMs: hour })
    const third = await endpoints.rotateSecret(id, { overlapMs: 7 * day })
    expect((await domain.endpoints.forSending(id))?.secrets).toEqual([third.secret, second.secret])
    const fourth = await endpoints.rotateSecret(id, { overlapMs: 0 })
    expect((await domain.endpoints.forSending(id))?.secrets).toEqual([fourth.secret])
    expect(new Set([secret, second.secret, third.secret, fourth.secret]).size).toBe(4)
    for (const overlapMs of [-1, 7 * day + 1, Number.NaN])
      await expect(endpoints.rotateSecret(id, { overlapMs })).rejects.toMatchObject({ field: 'overlap' })
  })
})

describe('disabling', () => {
  it('stops it at once and for what waits, until it is enabled; both are quiet when repeated', async () => {
    const { id } = await made({ kinds: ['plain'] })
    const waiting = await issue()
    const disabled = await endpoints.disable(id, { actor: 'root', reason: 'moving' })
    expect(disabled).toMatchObject({ status: 'disabled', disabledReason: 'moving', disabledAt: expect.any(Date) })
    expect(await endpoints.disable(id, { reason: 'again' })).toEqual(disabled)
    const missed = await issue()
    expect(await told(id, missed)).toEqual([])
    const [delivery] = await told(id, waiting)
    expect(await domain.deliveries.claim(delivery?.id ?? '', hour)).toMatchObject({ verdict: 'settled' })
    expect(await domain.deliveries.get(delivery?.id ?? '')).toMatchObject({ status: 'cancelled', attempts: 0 })
    const enabled = await endpoints.enable(id)
    expect(enabled).toMatchObject({ status: 'enabled', disabledAt: null, disabledReason: null })
    expect(await endpoints.enable(id)).toEqual(enabled)
    expect(await told(id, await issue())).toHaveLength(1)
    expect((await deeds(id)).map(({ type }) => type)).toEqual(['created', 'disabled', 'enabled'])
    expect(await endpoints.list({ status: 'disabled' })).not.toContainEqual(expect.objectContaining({ id }))
  })

  it('deleting cancels what waits, and what a worker has in hand changes nothing when it comes back', async () => {
    const { id } = await made({ kinds: ['plain'] })
    const [inHand, waiting] = [await issue(), await issue()]
    const [first] = await told(id, inHand)
    const claimed = await domain.deliveries.claim(first?.id ?? '', hour)
    expect(claimed.verdict).toBe('claimed')
    await endpoints.delete(id, { actor: 'root' })
    expect((await told(id)).map(({ status }) => status)).toEqual(['cancelled', 'cancelled'])
    await domain.deliveries.settle(first?.id ?? '', 1, 5, { status: 'failed', error: 'late', retryInMs: 0 })
    expect((await told(id, waiting)).map(({ status }) => status)).toEqual(['cancelled'])
    expect((await told(id, inHand)).map(({ status }) => status)).toEqual(['cancelled'])
    await expect(endpoints.get(id)).rejects.toMatchObject({ code: 'not_found' })
    expect((await deeds(id)).at(-1)).toMatchObject({ type: 'deleted', actor: 'root' })
  })

  it('is for the database to see at the last moment, whoever had the delivery in a queue', async () => {
    const { id } = await made({ kinds: ['plain'] })
    const [delivery] = await told(id, await issue())
    await sql('DELETE FROM webhook_endpoint WHERE id = $1', [id])
    expect(await domain.deliveries.claim(delivery?.id ?? '', hour)).toMatchObject({ verdict: 'settled' })
  })
})

describe('a test', () => {
  it('is a delivery of its own, told to the queue, and goes out although the endpoint is disabled', async () => {
    const { id } = await made()
    await endpoints.disable(id)
    const { deliveryId } = await endpoints.test(id, { actor: 'root' })
    expect(queued).toContainEqual({ id: deliveryId, channel: 'webhook' })
    expect(await domain.deliveries.get(deliveryId)).toMatchObject({
      ...{ kind: 'lapse', event: 'lapse.test', channel: 'webhook', target: id, resourceId: null, status: 'pending' },
    })
    expect(await domain.deliveries.claim(deliveryId, hour)).toMatchObject({
      ...{ verdict: 'claimed', claim: { about: { notice: { type: 'lapse.test', data: { endpoint_id: id } } } } },
    })
    expect((await deeds(id)).at(-1)).toMatchObject({ type: 'tested', actor: 'root' })
  })
})

it('the key may be changed: the old one opens what it has sealed, the new one seals', async () => {
  const { id, secret } = await made()
  const newer = createDomain({ url, kinds: [plain], secrets: ['another key that is just as long', key] })
  expect((await newer.endpoints.forSending(id))?.secrets).toEqual([secret])
  const rotated = await newer.ownVerbs(async () => true).webhookEndpoints.rotateSecret(id)
  expect((await newer.endpoints.forSending(id))?.secrets).toEqual([rotated.secret, secret])
  await newer.close()
  await expect(domain.endpoints.forSending(id)).rejects.toMatchObject({ code: 'not_configured' })
})
