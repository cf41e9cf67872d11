import { spawnSync } from 'node:child_process'
import { createDomain, defineKind, httpCall, invite, promoCode, verification } from '@lapse/domain'
import { makeDue, type SinkRequest, testDatabase, testSink } from '@lapse/testkit'
import pg from 'pg'
import { Webhook } from 'standardwebhooks'
import { afterAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createDeliverer } from '../src/delivery/deliverer.ts'
import type { Mailer } from '../src/mail/mailer.ts'

const pass = defineKind({
  name: 'pass',
  payload: z.strictObject({ note: z.string() }),
  lifetime: { max: '400d' },
  reminders: [],
  words: { expired: 'over' },
})

const { url, ownerUrl } = await testDatabase()
const domain = createDomain({
  ...{ url, kinds: [pass, httpCall], secrets: ['a key for the tests of the senders alone'] },
  allowAddresses: ['127.0.0.1'],
})
const owner = new pg.Pool({ connectionString: ownerUrl, max: 1 })
afterAll(async () => {
  await domain.close()
  await owner.end()
})
const { webhookEndpoints, httpCalls } = domain.ownVerbs(async () => true)
const deliver = createDeliverer(domain, { backoff: { baseMs: 1_000, capMs: 1_000, attempts: 3 } })
const sink = await testSink()

const day = 86_400_000
/** As if its end had come: what is owed because of it. */
const ended = async (id: string): Promise<string> => {
  await owner.query(
    `UPDATE resource SET issued_at = issued_at - s, expires_at = expires_at - s, ends_at = ends_at - s, due_at = due_at - s,
      latest_at = latest_at - s FROM (SELECT interval '2 days' AS s) AS shift WHERE id = $1`,
    [id],
  )
  const { rows } = await domain.advance({ trigger: 'job' }, { ids: [id] })
  return rows[0]?.owed?.[0]?.id ?? ''
}
/** As if its next try had come. */
const due = (id: string) => makeDue((text, values) => owner.query(text, values), id)
const last = (): SinkRequest => sink.requests.at(-1) as SinkRequest
const lastAttempt = async (id: string) => (await domain.deliveries.get(id)).log.at(-1)

/** One endpoint, and a pass whose end it is told of. */
const told = async (headers: Record<string, string> = {}) => {
  const { endpoint, secret } = await webhookEndpoints.create({
    url: `${sink.url}hook`,
    kinds: ['pass'],
    events: ['expired'],
    headers,
  })
  const { resource } = await domain.resources.issue({
    ...{ kind: 'pass', reference: endpoint.id, scope: 'acme', subject: 'ada@example.com' },
    ...{ payload: { note: 'a payload of ours' }, expiresInMs: day },
  })
  const delivery = await ended(resource.id)
  // Others of this file are told no more than of their own.
  await owner.query(`DELETE FROM delivery WHERE channel = 'webhook' AND target <> $1 AND status = 'pending'`, [
    endpoint.id,
  ])
  const [own] = await domain.deliveries.list({ resourceId: resource.id, channel: 'webhook' })
  return { endpoint, secret, resource, delivery: own?.id ?? delivery }
}

/** In another language than ours. */
const verifiedByPython = (secret: string, { headers, body }: SinkRequest): boolean => {
  const script = `
import base64, hashlib, hmac, json, sys
m = json.load(sys.stdin)
key = base64.b64decode(m['secret'].removeprefix('whsec_'))
signed = '.'.join([m['id'], m['timestamp'], m['body']]).encode()
expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
print(any(hmac.compare_digest(s, 'v1,' + expected) for s in m['signature'].split(' ')))`
  const named = {
    id: headers['webhook-id'],
    timestamp: headers['webhook-timestamp'],
    signature: headers['webhook-signature'],
  }
  const { stdout } = spawnSync('python3', ['-c', script], { input: JSON.stringify({ secret, body, ...named }) })
  return stdout.toString().trim() === 'True'
}
const hasPython = spawnSync('python3', ['--version']).status === 0

const verified = (secret: string, { headers, body }: SinkRequest) =>
  new Webhook(secret).verify(body, headers as Record<string, string>)

describe('H1: a webhook that fails three times', () => {
  it('finds access denied already, waits longer each time, and is accepted once, under one id and a valid signature', async () => {
    const { secret, resource, delivery } = await told()
    expect(await domain.resources.check('pass', resource.id)).toMatchObject({ allowed: false, reason: 'expired' })
    const before = sink.requests.length
    sink.answerNext(500, 503, 404)
    const waits: number[] = []
    for (let i = 0; i < 3; i++) {
      const outcome = await deliver('webhook', delivery)
      waits.push(outcome.do === 'retry' ? outcome.inMs : 0)
      expect(await domain.deliveries.get(delivery)).toMatchObject({ status: 'failed', attempts: i + 1 })
      await due(delivery)
    }
    for (const [i, wait] of waits.entries()) {
      expect(wait).toBeGreaterThanOrEqual(2_500 * 2 ** i)
      expect(wait).toBeLessThanOrEqual(5_000 * 2 ** i)
    }
    expect(await deliver('webhook', delivery)).toEqual({ do: 'done' })
    expect(await deliver('webhook', delivery)).toEqual({ do: 'drop', reason: 'already sent' })
    const requests = sink.requests.slice(before)
    expect(requests.map(({ method, path, headers }) => [method, path, headers['webhook-id']])).toEqual(
      Array(4).fill(['POST', '/hook', delivery]),
    )
    const { log } = await domain.deliveries.get(delivery)
    expect(log.map(({ status, code, error }) => [status, code, error])).toEqual([
      ['failed', 500, 'It answered 500.'],
      ['failed', 503, 'It answered 503.'],
      ['failed', 404, 'It answered 404.'],
      ['sent', 204, null],
    ])
    for (const [i, request] of requests.entries()) {
      expect(verified(secret, request)).toMatchObject({ type: 'pass.expired' })
      expect(() => verified(`whsec_${Buffer.alloc(32).toString('base64')}`, request)).toThrow('No matching signature')
      expect(() => verified(secret, { ...request, body: `${request.body} ` })).toThrow('No matching signature')
      if (hasPython) expect(verifiedByPython(secret, request)).toBe(true)
      // The database's clock: a receiver refuses what is five minutes off.
      expect(request.headers['webhook-timestamp']).toBe(String(Math.floor(Number(log[i]?.at) / 1_000)))
    }
  })

  it('and goes on failing for about three days is given up, seen, and can be sent by hand', async () => {
    const { delivery } = await told()
    sink.answerAlways(500)
    let waited = 0
    for (let i = 0; i < 28; i++) {
      const outcome = await deliver('webhook', delivery)
      waited += outcome.do === 'retry' ? outcome.inMs : 0
      await due(delivery)
    }
    sink.answerAlways(204)
    expect(waited / day).toBeGreaterThan(2)
    expect(waited / day).toBeLessThan(4)
    expect(await domain.deliveries.list({ status: 'dead', channel: 'webhook' })).toMatchObject([
      { id: delivery, attempts: 28, lastError: 'It answered 500.' },
    ])
    expect(await domain.deliveries.retry(delivery)).toBeTruthy()
    expect(await deliver('webhook', delivery)).toEqual({ do: 'done' })
    expect(last().headers['webhook-id']).toBe(delivery)
  })
})

describe('what an endpoint is told', () => {
  it('is thin: the event and the resource, neither payload nor secret', async () => {
    const { endpoint, resource, delivery } = await told({ Authorization: 'Bearer of-the-receiver' })
    await deliver('webhook', delivery)
    const { headers, body } = last()
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': 'Lapse',
      authorization: 'Bearer of-the-receiver',
    })
    const [event] = await domain.events({ resourceId: resource.id, type: 'expired' })
    const at = event?.at.toISOString()
    const seen = await domain.resources.get(resource.id)
    expect(JSON.parse(body)).toEqual({
      type: 'pass.expired',
      timestamp: at,
      data: {
        event: { id: event?.id, type: 'expired', at, from: 'active', to: 'expired', version: 1, trigger: 'job' },
        resource: {
          ...{ id: resource.id, kind: 'pass', status: 'expired', word: 'over', reference: endpoint.id, scope: 'acme' },
          ...{ subject: 'ada@example.com', organization_id: null, version: 1 },
          issued_at: seen.issuedAt.toISOString(),
          expires_at: seen.expiresAt.toISOString(),
          ends_at: seen.endsAt.toISOString(),
          ended_at: seen.endedAt?.toISOString(),
        },
      },
    })
  })

  it('and the audit lack the reference and the subject of kinds where these are a code or an address', async () => {
    const options = { url, secrets: ['a key for the tests of the senders alone'], allowAddresses: ['127.0.0.1'] }
    const own = createDomain({ ...options, kinds: [promoCode, verification(), invite] })
    const verbs = own.ownVerbs(async () => true)
    const { endpoint } = await verbs.webhookEndpoints.create({ url: `${sink.url}hook`, events: ['issued'] })
    const organization = (await verbs.organizations.create({ name: 'Acme' })).id
    const email = 'canary@example.com'
    const sent = { deliver: 'return', email } as const
    await verbs.promoCodes.create({ code: 'CANARY-2026' })
    await verbs.verifications.request({ ...sent, purpose: 'code' })
    await verbs.invites.create({ ...sent, organization, role: 'member' })
    const deliveries = (await own.deliveries.list({ channel: 'webhook' })).filter((one) => one.target === endpoint.id)
    const before = sink.requests.length
    const deliverOwn = createDeliverer(own, { backoff: { baseMs: 1, capMs: 1, attempts: 1 } })
    for (const { id } of deliveries) expect(await deliverOwn('webhook', id)).toEqual({ do: 'done' })
    const bodies = sink.requests.slice(before).map(({ body }) => JSON.parse(body))
    expect(bodies.map(({ type }) => type).sort()).toEqual(['invite.issued', 'promo-code.issued', 'verification.issued'])
    for (const { data } of bodies) expect(data.resource).not.toHaveProperty('reference')
    const people = bodies.filter(({ type }) => type !== 'promo-code.issued')
    for (const { data } of people) expect(data.resource).not.toHaveProperty('subject')
    const events = await own.events({ type: 'issued' })
    expect(JSON.stringify([bodies, events.filter(({ kind }) => kind !== 'pass')])).not.toMatch(/canary/i)
    await verbs.webhookEndpoints.delete(endpoint.id)
    await own.close()
  })

  it('is signed with both secrets while one takes the place of the other', async () => {
    const { endpoint, secret, delivery } = await told()
    const rotated = await webhookEndpoints.rotateSecret(endpoint.id)
    await deliver('webhook', delivery)
    expect(String(last().headers['webhook-signature']).split(' ')).toHaveLength(2)
    for (const one of [secret, rotated.secret]) {
      expect(verified(one, last())).toMatchObject({ type: 'pass.expired' })
      if (hasPython) expect(verifiedByPython(one, last())).toBe(true)
    }
  })

  it('may be a test', async () => {
    const { endpoint, secret } = await told()
    const { deliveryId } = await webhookEndpoints.test(endpoint.id)
    expect(await deliver('webhook', deliveryId)).toEqual({ do: 'done' })
    expect(verified(secret, last())).toEqual({
      type: 'lapse.test',
      timestamp: (await domain.deliveries.get(deliveryId)).createdAt.toISOString(),
      data: { endpoint_id: endpoint.id },
    })
  })
})

describe('H2: what an endpoint answers', () => {
  it('410: it is never told this again', async () => {
    const { delivery } = await told()
    sink.answerNext(410)
    expect(await deliver('webhook', delivery)).toEqual({ do: 'done' })
    expect(await domain.deliveries.get(delivery)).toMatchObject({
      status: 'dead',
      log: [{ code: 410, error: 'It answered 410: it is gone for good.' }],
    })
  })

  it.each([429, 503, 500])('%i with Retry-After: it is left alone until then', async (status) => {
    const { delivery } = await told()
    sink.answerNext({ status, headers: { 'retry-after': '3600' } })
    expect(await deliver('webhook', delivery)).toEqual({ do: 'retry', inMs: 3_600_000 })
    const attempt = await lastAttempt(delivery)
    expect(Number(attempt?.nextAt) - Number(attempt?.at)).toBeGreaterThanOrEqual(3_600_000)
  })

  it('Retry-After with an instant is measured by its own clock', async () => {
    const { delivery } = await told()
    const [date, until] = ['Tue, 01 Jan 2030 00:00:00 GMT', 'Tue, 01 Jan 2030 02:00:00 GMT']
    sink.answerNext({ status: 503, headers: { date, 'retry-after': until } })
    expect(await deliver('webhook', delivery)).toEqual({ do: 'retry', inMs: 7_200_000 })
  })

  it('a redirect is told, and tried again', async () => {
    const { delivery } = await told()
    sink.answerNext({ status: 301, headers: { location: 'https://example.com/' } })
    expect(await deliver('webhook', delivery)).toMatchObject({ do: 'retry' })
    expect(await lastAttempt(delivery)).toMatchObject({
      code: 301,
      error: 'It answered 301, a redirect, which is not followed. Give the address where it ends.',
    })
  })

  it('half an answer is none, whatever its beginning says', async () => {
    const { delivery } = await told()
    sink.answerNext((response) =>
      response.writeHead(200, { 'content-length': 100 }).write('half', () => response.destroy()),
    )
    expect(await deliver('webhook', delivery)).toMatchObject({ do: 'retry' })
    expect(await lastAttempt(delivery)).toMatchObject({
      code: 200,
      answer: 'half',
      error: 'It answered 200, but not to the end. The connection was cut before the answer had come. (ECONNRESET)',
    })
  })

  it('is kept up to its 1,000th character, without any secret of ours or of the receiver', async () => {
    const { secret, delivery } = await told({
      Authorization: 'Bearer canary-of-the-receiver',
      'X-Key': 'canary "quoted"',
    })
    sink.answerNext((response, { headers }) =>
      response.writeHead(500).end(`${JSON.stringify(headers)} ${secret} ${secret.slice(6)} ${'x'.repeat(5_000)}`),
    )
    await deliver('webhook', delivery)
    const answer = (await lastAttempt(delivery))?.answer ?? ''
    expect(answer).toHaveLength(1_000)
    expect(answer).toContain('"authorization":"[removed]"')
    for (const canary of ['canary', secret, secret.slice(6)]) expect(answer).not.toContain(canary)
  })
})

describe('a worker that lacks the key', () => {
  it('says so, and blames no endpoint for it', async () => {
    const { endpoint, delivery } = await told()
    const keyless = createDomain({
      url,
      kinds: [pass, httpCall],
      secrets: ['another key'],
      allowAddresses: ['127.0.0.1'],
    })
    await createDeliverer(keyless, { backoff: { baseMs: 1, capMs: 1, attempts: 1 } })('webhook', delivery)
    await keyless.close()
    const error = 'What was sealed cannot be opened: LAPSE_SECRET lacks the key that sealed it.'
    expect(await domain.deliveries.get(delivery)).toMatchObject({ status: 'failed', lastError: error })
    expect((await webhookEndpoints.get(endpoint.id)).failingSince).toBeNull()
    await due(delivery)
    sink.answerNext(500)
    await deliver('webhook', delivery)
    expect((await webhookEndpoints.get(endpoint.id)).failingSince).toBeInstanceOf(Date)
    await due(delivery)
    expect(await deliver('webhook', delivery)).toEqual({ do: 'done' })
  })
})

describe('an address that is not public', () => {
  it('is not called for an organization that may not any more, by its webhooks or by its calls', async () => {
    const options = { url, kinds: [pass, httpCall], secrets: ['a key for the tests of the senders alone'] }
    const generous = createDomain({ ...options, allowAddresses: ['127.0.0.1'], allowAddressesFor: ['*'] })
    const own = generous.ownVerbs(async () => true)
    const organization = (await own.organizations.create({ name: 'Acme' })).id
    const { endpoint } = await own.webhookEndpoints.create({ url: `${sink.url}hook`, organization })
    const call = () => own.httpCalls.schedule({ url: `${sink.url}call`, organization, expiresInMs: day, attempts: 1 })
    const before = sink.requests.length
    const once = { backoff: { baseMs: 1, capMs: 1, attempts: 1 } }
    const made = await ended((await call()).httpCall.id)
    expect(await createDeliverer(generous, once)('call', made)).toEqual({ do: 'done' })
    expect(sink.requests).toHaveLength(before + 1)
    const refused = await ended((await call()).httpCall.id)
    const test = await own.webhookEndpoints.test(endpoint.id)
    await generous.close()
    for (const [channel, id] of [
      ['call', refused],
      ['webhook', test.deliveryId],
    ] as const) {
      await deliver(channel, id)
      expect((await domain.deliveries.get(id)).lastError).toMatch('LAPSE_ALLOW_ADDRESSES')
    }
    expect(sink.requests).toHaveLength(before + 1)
  })
})

describe('a call', () => {
  const scheduled = async (more: Partial<Parameters<typeof httpCalls.schedule>[0]> = {}) => {
    const { httpCall: call } = await httpCalls.schedule({
      url: `${sink.url}call`,
      expiresInMs: day,
      attempts: 3,
      ...more,
    })
    return ended(call.id)
  }

  it('is made with what it carries, a key of its own that stays, and its number', async () => {
    const headers = { Authorization: 'Bearer of-the-callee' }
    const delivery = await scheduled({
      url: `${sink.url}call?key=of-the-query`,
      method: 'PUT',
      headers,
      body: { a: 1 },
    })
    sink.answerNext(503)
    expect(await deliver('call', delivery)).toMatchObject({ do: 'retry' })
    await due(delivery)
    expect(await deliver('call', delivery)).toEqual({ do: 'done' })
    const [first, second] = sink.requests.slice(-2)
    for (const [i, request] of [first, second].entries()) {
      expect(request).toMatchObject({ method: 'PUT', path: '/call?key=of-the-query', body: '{"a":1}' })
      expect(request?.headers).toMatchObject({
        'content-type': 'application/json',
        'idempotency-key': delivery,
        'lapse-attempt': String(i + 1),
        authorization: 'Bearer of-the-callee',
      })
    }
  })

  it('keeps the key that its owner has given', async () => {
    await deliver('call', await scheduled({ headers: { 'IDEMPOTENCY-KEY': 'mine', 'lapse-attempt': 'mine' } }))
    expect(last().headers).toMatchObject({ 'idempotency-key': 'mine', 'lapse-attempt': 'mine' })
  })

  it.each([400, 401, 404, 410, 422, 301, 307])('answered %i is not made again', async (status) => {
    const delivery = await scheduled()
    sink.answerNext(status)
    expect(await deliver('call', delivery)).toEqual({ do: 'done' })
    expect(await domain.deliveries.get(delivery)).toMatchObject({
      status: 'dead',
      attempts: 1,
      log: [{ code: status }],
    })
  })

  it.each([408, 425, 429, 500, 502, 503, 504])('answered %i is made again, not before it is wanted', async (status) => {
    const delivery = await scheduled()
    sink.answerNext({ status, headers: { 'retry-after': '600' } })
    expect(await deliver('call', delivery)).toEqual({ do: 'retry', inMs: 600_000 })
  })

  it('that reaches nobody is made again, and then given up', async () => {
    const delivery = await scheduled({ url: 'http://127.0.0.1:9/' })
    for (let i = 0; i < 2; i++) {
      expect(await deliver('call', delivery)).toMatchObject({ do: 'retry' })
      await due(delivery)
    }
    expect(await deliver('call', delivery)).toEqual({ do: 'done' })
    expect(await domain.deliveries.get(delivery)).toMatchObject({
      status: 'dead',
      lastError: 'The connection was refused. Does anybody listen there? (ECONNREFUSED)',
    })
  })

  it('to an address that is not allowed any more is not made', async () => {
    const delivery = await scheduled()
    const stricter = createDomain({
      ...{ url, kinds: [pass, httpCall], secrets: ['a key for the tests of the senders alone'] },
    })
    const before = sink.connections()
    const outcome = await createDeliverer(stricter, { backoff: { baseMs: 1, capMs: 1, attempts: 1 } })('call', delivery)
    await stricter.close()
    expect(outcome).toMatchObject({ do: 'retry' })
    expect(await lastAttempt(delivery)).toMatchObject({ error: expect.stringContaining('https://') })
    expect(sink.connections()).toBe(before)
  })

  it('leaves nothing of what it carries in the log of its answer', async () => {
    const delivery = await scheduled({
      url: `${sink.url}call?token=canary-query%2Bone`,
      headers: { 'X-Key': 'canary-header' },
      body: { deep: [{ secret: 'canary-body "quoted"' }] },
    })
    sink.answerNext((response, { path, headers, body }) =>
      response.writeHead(500).end(JSON.stringify({ url: path, headers, body, json: JSON.parse(body), said: 'no' })),
    )
    await deliver('call', delivery)
    const { answer } = (await lastAttempt(delivery)) ?? {}
    expect(answer).toContain('"said":"no"')
    expect(answer).not.toContain('canary')
  })

  it('leaves nothing of a text either that is longer than what is looked at', async () => {
    const delivery = await scheduled({ body: `canary${'-canary'.repeat(2_000)}` })
    sink.answerNext((response, { body }) => response.writeHead(500).end(`You said: ${body}`))
    await deliver('call', delivery)
    expect(await lastAttempt(delivery)).toMatchObject({ code: 500, answer: 'You said: [removed]' })
  })
})

describe('a mail whose turn does not come', () => {
  it('is given back and no try of it is lost, however often; then it goes, once', async () => {
    let isOpen = false
    const sent: string[] = []
    const mailer: Mailer = {
      send: async ({ id }, options) => {
        await options?.mayGo?.()
        sent.push(id)
        return {}
      },
      close: () => {},
    }
    const pace = () => (isOpen ? Promise.resolve() : new Promise<void>(() => {}))
    const options = { mailer, leaseMs: 150, backoff: { baseMs: 1, capMs: 1, attempts: 1 } }
    const mails = createDeliverer(domain, options, pace)
    const letter = { subject: 'A letter', lines: ['It waits.'] }
    const [owed] = await domain.deliveries.owe({ type: 'lapse.letter', data: {}, letter }, [
      { channel: 'email', target: 'ada@example.com' },
    ])
    const id = owed?.id ?? ''
    for (let n = 1; n <= 3; n++) {
      expect(await mails('email', id)).toEqual({ do: 'retry', inMs: 0 })
      expect(await domain.deliveries.get(id)).toMatchObject({ status: 'pending', attempts: n })
      expect(await lastAttempt(id)).toMatchObject({ status: 'interrupted', error: 'its turn did not come in time' })
    }
    isOpen = true
    expect(await mails('email', id)).toEqual({ do: 'done' })
    expect(await domain.deliveries.get(id)).toMatchObject({ status: 'sent', attempts: 4 })
    expect(sent).toEqual([id])
  })
})
