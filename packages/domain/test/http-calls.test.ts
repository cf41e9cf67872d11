import { makeDue } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { type HttpCallInput, httpCall, openCall } from '../src/index.ts'
import { testPeople } from './people.ts'
import { day, hour, minute } from './support.ts'

const { age, another, company, domain, history, httpCalls, organizations, sql } = await testPeople([httpCall])
const { deliveries, resources, secrets } = domain
const lease = minute

const schedule = async (more: Partial<HttpCallInput> = {}) => {
  const input = { url: 'https://example.com/hook?key=canary-query', expiresInMs: hour, ...more }
  return (await httpCalls.schedule(input)).httpCall
}
/** Its time has come. */
const ended = async (more: Partial<HttpCallInput> = {}) => {
  const { id } = await schedule(more)
  await age(id, 2 * hour)
  await domain.advance({ trigger: 'sweep' })
  return { id, delivery: (await httpCalls.get(id)).delivery?.id ?? '' }
}
const enclosedOf = async (id: string) => {
  const [row] = await sql<{ enclosed: Buffer | null }>('SELECT enclosed FROM resource WHERE id = $1', [id])
  return row?.enclosed ?? null
}
const claimed = async (delivery: string) => {
  const result = await deliveries.claim(delivery, lease)
  if (result.verdict !== 'claimed') throw new Error(`not claimed: ${JSON.stringify(result)}`)
  return result.claim
}
const attempt = async (delivery: string, outcome: Parameters<typeof deliveries.settle>[3]) => {
  const claim = await claimed(delivery)
  await deliveries.settle(delivery, claim.delivery.attempt, 12, outcome)
}

describe('a call', () => {
  it('is owed by its end and no sooner, once, and carries what it was given', async () => {
    const headers = { Authorization: 'Bearer canary-header' }
    const { id, state, payload } = await schedule({ headers, body: { canary: 'body' }, attempts: 3, timeoutSeconds: 5 })
    expect([state, payload]).toEqual([
      'scheduled',
      { method: 'POST', url: 'https://example.com/hook', attempts: 3, timeoutSeconds: 5 },
    ])
    expect(await deliveries.list({ resourceId: id })).toEqual([])
    await age(id, hour)
    await Promise.all([1, 2, 3].map(() => domain.advance({ trigger: 'job' }, { ids: [id] })))
    expect(await deliveries.list({ resourceId: id })).toMatchObject([
      { channel: 'call', target: 'call', event: 'expired' },
    ])
    const { state: due, delivery } = await httpCalls.get(id)
    expect([due, delivery?.status]).toEqual(['due', 'pending'])
    const { about } = await claimed(delivery?.id ?? '')
    if ('notice' in about || about.enclosed === null) throw new Error('nothing enclosed')
    expect(openCall(secrets, about.row, about.enclosed)).toEqual({
      ...{ method: 'POST', url: 'https://example.com/hook?key=canary-query', timeoutMs: 5_000 },
      ...{ headers: { 'content-type': 'application/json', ...headers }, body: '{"canary":"body"}' },
    })
  })

  it('is sent as JSON, as a text, as whatever type it says, or without a body', async () => {
    const sent = async (more: Partial<HttpCallInput>) => {
      const { id, payload } = await schedule(more)
      const { headers, body } = openCall(secrets, { id, payload }, (await enclosedOf(id)) as Buffer)
      return [headers, body]
    }
    expect(await sent({ body: [1, null] })).toEqual([{ 'content-type': 'application/json' }, '[1,null]'])
    expect(await sent({ body: null })).toEqual([{ 'content-type': 'application/json' }, 'null'])
    expect(await sent({ body: 'plain' })).toEqual([{ 'content-type': 'text/plain; charset=utf-8' }, 'plain'])
    expect(await sent({ body: '<a/>', headers: { 'Content-Type': 'text/xml' } })).toEqual([
      { 'Content-Type': 'text/xml' },
      '<a/>',
    ])
    expect(await sent({ method: 'GET' })).toEqual([{}, undefined])
  })

  it.each<[string, Partial<HttpCallInput>]>([
    ['url', { url: 'http://example.com/' }],
    ['url', { url: 'https://127.0.0.1/' }],
    ['url', { url: 'https://user:secret@example.com/' }],
    ['url', { url: 'nonsense' }],
    ['headers.Host', { headers: { Host: 'elsewhere' } }],
    ['headers.x', { headers: { x: 'a\r\nb: c' } }],
    ['headers', { headers: Object.fromEntries(Array.from({ length: 31 }, (_, i) => [`x-${i}`, ''])) }],
    ['body', { body: 'x'.repeat(64 * 1024 + 1) }],
    ['body', { body: { text: 'ä'.repeat(33 * 1024) } }],
    ['body', { body: 'half \ud800' }],
    ['body', { body: 12n }],
    ['body', { body: () => {} }],
    ['body', { method: 'GET', body: 'x' }],
    ['body', { method: 'HEAD', body: {} }],
    ['payload.attempts', { attempts: 0 }],
    ['payload.attempts', { attempts: 29 }],
    ['payload.timeoutSeconds', { timeoutSeconds: 31 }],
    ['payload.method', { method: 'TRACE' as 'GET' }],
    ['expires_at', { expiresInMs: undefined }],
    ['expires_in', { expiresInMs: 999 }],
    ['expires_in', { expiresInMs: 366 * day + 1 }],
  ])('with a bad %s is refused, and nothing is written', async (field, more) => {
    const before = await resources.count({ kind: 'http-call' })
    await expect(schedule(more)).rejects.toMatchObject({ status: 422, field })
    expect(await resources.count({ kind: 'http-call' })).toBe(before)
  })

  it('is scheduled once for a reference, until its time has come', async () => {
    const { id } = await schedule({ reference: 'once' })
    await expect(schedule({ reference: 'once' })).rejects.toMatchObject({
      code: 'reference_taken',
      detail: `It belongs to ${id}.`,
    })
    await httpCalls.makeNow(id)
    expect((await schedule({ reference: 'once' })).id).not.toBe(id)
  })

  it('is not scheduled without a key to seal with', async () => {
    const keyless = another([httpCall], []).ownVerbs(async () => true).httpCalls
    await expect(keyless.schedule({ url: 'https://example.com', expiresInMs: hour })).rejects.toMatchObject({
      code: 'not_configured',
    })
  })

  it('stands nowhere but in itself: no query, header or body in the row’s other columns, events or deliveries', async () => {
    const { id, delivery } = await ended({ headers: { 'x-key': 'canary-header' }, body: { secret: 'canary-body' } })
    await attempt(delivery, { status: 'dead', error: 'no' })
    const tables = ['resource', 'event', 'delivery', 'delivery_attempt', 'idempotency_key']
    const rows = await Promise.all(tables.map((table) => sql(`SELECT t::text AS row FROM ${table} t`)))
    const all = JSON.stringify(rows)
    expect(all).toContain(id)
    expect(all).not.toContain('canary')
    expect(all).not.toContain(Buffer.from('canary').toString('hex'))
  })
})

describe('what it carries', () => {
  it('is erased when it was made, and kept as long as it may be made yet', async () => {
    const { id, delivery } = await ended()
    await attempt(delivery, { status: 'failed', error: 'no', retryInMs: 0, code: 500 })
    expect(await enclosedOf(id)).not.toBeNull()
    await attempt(delivery, { status: 'dead', error: 'no', code: 404, answer: 'nobody here' })
    expect(await enclosedOf(id)).not.toBeNull()
    expect(await httpCalls.get(id)).toMatchObject({
      state: 'dead',
      log: [
        { number: 1, status: 'failed', code: 500, durationMs: 12, nextAt: expect.any(Date) },
        { number: 2, status: 'dead', code: 404, answer: 'nobody here', nextAt: null },
      ],
    })
    await deliveries.retry(delivery)
    expect((await httpCalls.get(id)).state).toBe('due')
    await attempt(delivery, { status: 'sent', code: 204 })
    expect([(await httpCalls.get(id)).state, await enclosedOf(id)]).toEqual(['made', null])
  })

  it('is not erased by an attempt that has lost its lease', async () => {
    const { id, delivery } = await ended()
    await claimed(delivery)
    await makeDue(sql, delivery)
    await claimed(delivery)
    await deliveries.settle(delivery, 1, 5, { status: 'sent' })
    expect(await enclosedOf(id)).not.toBeNull()
    await deliveries.settle(delivery, 2, 5, { status: 'sent' })
    expect(await enclosedOf(id)).toBeNull()
  })

  it.each<[string, (id: string) => Promise<unknown>]>([
    ['cancelled', (id) => httpCalls.cancel(id)],
    ['revoked', (id) => resources.revoke('http-call', id)],
  ])('is erased when it is %s', async (_, end) => {
    const { id } = await schedule()
    await end(id)
    expect(await enclosedOf(id)).toBeNull()
  })

  it('is erased when what is left of its attempts is called off', async () => {
    const { id, delivery } = await ended()
    await attempt(delivery, { status: 'failed', error: 'no', retryInMs: hour })
    expect(await deliveries.cancel(delivery)).toBe(true)
    expect([(await httpCalls.get(id)).state, await enclosedOf(id)]).toEqual(['cancelled', null])
  })

  it('goes with the row when that is purged', async () => {
    const { id, delivery } = await ended()
    await age(id, 31 * day)
    await domain.cleanUp()
    expect(await enclosedOf(id)).not.toBeNull()
    await attempt(delivery, { status: 'dead', error: 'no' })
    await domain.cleanUp()
    await expect(httpCalls.get(id)).rejects.toMatchObject({ code: 'not_found' })
    expect(await history(id)).toEqual(['issued', 'expired', 'purged'])
  })
})

describe('changing one’s mind', () => {
  it('cancelled it is never made; again is quiet', async () => {
    const { id } = await schedule()
    const { httpCall: cancelled } = await httpCalls.cancel(id, { actor: 'ada', reason: 'no need' })
    expect([cancelled.state, cancelled.word]).toEqual(['cancelled', 'cancelled'])
    expect((await httpCalls.cancel(id)).httpCall.state).toBe('cancelled')
    await age(id, 2 * hour)
    await domain.advance({ trigger: 'sweep' })
    expect(await deliveries.list({ resourceId: id })).toEqual([])
    expect(await history(id)).toEqual(['issued', 'revoked'])
    await expect(httpCalls.makeNow(id)).rejects.toMatchObject({
      code: 'already_ended',
      detail: expect.stringMatching(/^It was cancelled at .*Schedule a new one/),
    })
  })

  it('rescheduled it is made at its new instant, and not at the old one', async () => {
    const { id } = await schedule()
    const { httpCall: later } = await httpCalls.reschedule(id, { expiresInMs: 3 * hour })
    expect([later.version, later.state]).toEqual([2, 'scheduled'])
    await age(id, 2 * hour)
    await domain.advance({ trigger: 'sweep' })
    expect(await deliveries.list({ resourceId: id })).toEqual([])
    await age(id, hour)
    await domain.advance({ trigger: 'sweep' })
    expect(await deliveries.list({ resourceId: id })).toMatchObject([{ event: 'expired', version: 2 }])
    expect(await enclosedOf(id)).not.toBeNull()
  })

  it('made now it is owed at once, and once', async () => {
    const { id } = await schedule()
    expect((await httpCalls.makeNow(id)).httpCall).toMatchObject({ state: 'due', delivery: { status: 'pending' } })
    expect((await httpCalls.makeNow(id)).httpCall.state).toBe('due')
    expect(await deliveries.list({ resourceId: id })).toHaveLength(1)
  })

  it('is too late once its time has come, swept or not, and the conflict says what can be done', async () => {
    const { id } = await schedule()
    await age(id, 2 * hour)
    for (const act of [() => httpCalls.cancel(id), () => httpCalls.reschedule(id, { expiresInMs: hour })])
      await expect(act()).rejects.toMatchObject({
        code: 'already_ended',
        detail: expect.stringMatching(/^It is being made, since \d{4}-/),
      })
    await domain.advance({ trigger: 'sweep' })
    const delivery = (await httpCalls.get(id)).delivery?.id ?? ''
    await expect(httpCalls.cancel(id)).rejects.toMatchObject({ detail: expect.stringContaining(delivery) })
    await attempt(delivery, { status: 'dead', error: 'no' })
    await expect(httpCalls.cancel(id)).rejects.toMatchObject({
      detail: expect.stringMatching(/^It was given up at .*Retry/),
    })
    await deliveries.retry(delivery)
    await attempt(delivery, { status: 'sent' })
    await expect(httpCalls.cancel(id)).rejects.toMatchObject({ detail: expect.stringMatching(/^It was made at /) })
  })

  it('of another kind, or of nothing, is not there', async () => {
    const session = await resources.list({ kind: 'session' })
    for (const id of ['nonsense', '00000000-0000-7000-8000-000000000000', ...session.map((one) => one.id)]) {
      await expect(httpCalls.get(id)).rejects.toMatchObject({ code: 'not_found' })
      await expect(httpCalls.cancel(id)).rejects.toMatchObject({ code: 'not_found' })
      await expect(httpCalls.makeNow(id)).rejects.toMatchObject({ code: 'not_found' })
      await expect(httpCalls.reschedule(id, { expiresInMs: hour })).rejects.toMatchObject({ code: 'not_found' })
    }
  })
})

describe('its organization', () => {
  it('suspended, it waits although its time has come, and is made when that is restored', async () => {
    const { organization } = await company()
    const { id } = await schedule({ organization: organization.id })
    await organizations.suspend(organization.id)
    expect((await httpCalls.get(id)).state).toBe('suspended')
    await age(id, 2 * hour)
    await domain.advance({ trigger: 'sweep' })
    const delivery = (await httpCalls.get(id)).delivery?.id ?? ''
    expect(await deliveries.claim(delivery, lease)).toEqual({ verdict: 'later', inMs: 5 * minute })
    await organizations.restore(organization.id)
    await makeDue(sql, delivery)
    await attempt(delivery, { status: 'sent' })
    expect((await httpCalls.get(id)).state).toBe('made')
  })

  it('deleted, it is never made, due or not, and what it carries is erased', async () => {
    const { organization } = await company()
    const [scheduled, due] = [
      await schedule({ organization: organization.id }),
      await ended({ organization: organization.id }),
    ]
    await organizations.delete(organization.id)
    expect(await deliveries.claim(due.delivery, lease)).toEqual({
      verdict: 'settled',
      reason: 'its organization is deleted',
    })
    for (const { id } of [scheduled, due])
      expect([(await httpCalls.get(id)).state, await enclosedOf(id)]).toEqual(['cancelled', null])
  })
})

it('lists hold the calls as they stand, the newest first, with the filters of all resources', async () => {
  const scope = 'a-list'
  const [one, two, three] = [await schedule({ scope }), await ended({ scope }), await schedule({ scope })]
  await httpCalls.cancel(three.id)
  const listed = await httpCalls.list({ scope })
  expect(listed.map(({ id, state }) => [id, state])).toEqual([
    [three.id, 'cancelled'],
    [two.id, 'due'],
    [one.id, 'scheduled'],
  ])
  expect((await httpCalls.list({ scope, status: 'active' })).map(({ id }) => id)).toEqual([one.id])
  expect((await httpCalls.list({ scope }, { before: two.id })).map(({ id }) => id)).toEqual([one.id])
})
