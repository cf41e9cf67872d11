import { describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'

const lines: string[] = []
const api = await testApi({ log: (line) => lines.push(line) })
const { age, call, lapse, sql, timers } = api

const scheduled = async (more: object = {}, headers: Record<string, string> = {}): Promise<Body> => {
  const input = { url: 'https://example.com/hook', expires_in: 3_600, ...more }
  const answer = await call('POST', '/v1/http-calls', input, headers)
  if (answer.status !== 201) throw new Error(answer.text)
  return answer.body
}
const act = (id: string, verb: string, body?: object) => call('POST', `/v1/http-calls/${id}/${verb}`, body)

describe('a call', () => {
  it('is scheduled as it was asked for, with its timer, and shown without what it carries', async () => {
    const answer = await call('POST', '/v1/http-calls', {
      ...{ url: 'https://example.com/a/b?key=canary', method: 'PUT', headers: { 'X-Key': 'canary' } },
      ...{ body: { deep: ['canary'] }, attempts: 3, timeout_seconds: 5, reference: 'call-1', expires_in: 3_600 },
    })
    expect(answer.status).toBe(201)
    const { id, issued_at, expires_at, ...rest } = answer.body
    expect(answer.headers.get('location')).toBe(`/v1/http-calls/${id}`)
    expect(Date.parse(expires_at) - Date.parse(issued_at)).toBe(3_600_000)
    expect(rest).toEqual({
      ...{ state: 'scheduled', method: 'PUT', url: 'https://example.com/a/b', attempts: 3, timeout_seconds: 5 },
      ...{ reference: 'call-1', scope: null, organization_id: null, subject: null, version: 1, timer: 'armed' },
      ...{
        ended_at: null,
        delivery_id: null,
        attempts_made: 0,
        next_attempt_at: null,
        last_error: null,
        made_at: null,
      },
    })
    expect((await timers(id)).map((job) => [job.id, job.data])).toEqual([
      [`${id}-expire-v1`, { id, kind: 'http-call', version: 1 }],
    ])
    const { timer, ...shown } = answer.body
    expect((await call('GET', `/v1/http-calls/${id}`)).body).toEqual({ ...shown, log: [] })
    expect((await call('GET', '/v1/http-calls?reference=call-1&count=true')).body).toEqual({
      ...{ items: [shown], next_cursor: null, count: 1 },
    })
  })

  it('scheduled twice under one Idempotency-Key, or one reference, is one call', async () => {
    const key = { 'idempotency-key': 'call-once' }
    const [first, second] = [await scheduled({ scope: 'keyed' }, key), await scheduled({ scope: 'keyed' }, key)]
    expect(first).toEqual(second)
    expect((await call('GET', '/v1/http-calls?scope=keyed&count=true')).body.count).toBe(1)
    const other = await call('POST', '/v1/http-calls', { url: 'https://example.com/', expires_in: 60 }, key)
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_mismatch'])
    const { id } = await scheduled({ reference: 'call-2' })
    const again = await call('POST', '/v1/http-calls', {
      ...{ url: 'https://example.com/', reference: 'call-2', expires_in: 60 },
    })
    expect([again.status, again.body.code, again.body.detail]).toEqual([409, 'reference_taken', `It belongs to ${id}.`])
  })

  it('is rescheduled, made now, and cancelled; and then it is too late, which is said with what can be done', async () => {
    const [one, two] = [await scheduled(), await scheduled()]
    const later = await act(one.id, 'reschedule', { expires_in: 7_200, reason: 'they asked' })
    expect(later.body).toMatchObject({ state: 'scheduled', version: 2, timer: 'armed' })
    expect((await timers(one.id)).map((job) => job.id)).toEqual([`${one.id}-expire-v2`])
    const now = await act(one.id, 'make-now')
    expect(now.body).toMatchObject({ state: 'due', delivery_id: expect.any(String) })
    expect((await call('GET', `/v1/deliveries/${now.body.delivery_id}`)).body).toMatchObject({
      channel: 'call',
      status: 'pending',
    })
    expect((await act(one.id, 'make-now')).body.delivery_id).toBe(now.body.delivery_id)
    const late = await act(one.id, 'cancel')
    expect([late.status, late.body.code, late.body.detail]).toEqual([
      ...[409, 'already_ended', expect.stringMatching(`being made.*cancel its delivery, ${now.body.delivery_id}`)],
    ])
    expect((await act(one.id, 'reschedule', { expires_in: 60 })).status).toBe(409)
    expect((await act(two.id, 'cancel', { reason: 'no need' })).body).toMatchObject({ state: 'cancelled' })
    expect((await act(two.id, 'cancel')).body.state).toBe('cancelled')
    expect((await act(two.id, 'make-now')).body.detail).toMatch(/^It was cancelled at .*Schedule a new one/)
    expect(await timers(two.id)).toEqual([])
    const { items } = (await call('GET', `/v1/resources/${two.id}/events`)).body
    expect(items[0]).toMatchObject({ type: 'revoked', actor: 'root', reason: 'no need' })
  })

  it('is listed by what a call can be; another word, as its state, is refused and not quietly none', async () => {
    const { id } = await scheduled()
    const { body } = await call('GET', '/v1/http-calls?status=active')
    expect(body.items).toContainEqual(expect.objectContaining({ id, state: 'scheduled' }))
    for (const word of ['scheduled', 'consumed'])
      expect((await call('GET', `/v1/http-calls?status=${word}`)).body).toMatchObject({ status: 422, field: 'status' })
  })

  it('that is late is shown as due before anybody has swept it', async () => {
    const { id } = await scheduled()
    await age(id, 3_600)
    expect((await call('GET', `/v1/http-calls/${id}`)).body).toMatchObject({ state: 'due', delivery_id: null })
    const cancelled = await act(id, 'cancel')
    expect([cancelled.status, cancelled.body.detail]).toEqual([409, expect.stringMatching(/^It is being made/)])
  })

  it('is its own kind: another’s id is not there, and it is not issued in another way', async () => {
    const { body: trial } = await call('POST', '/v1/trials', {})
    expect((await call('GET', `/v1/http-calls/${trial.id}`)).status).toBe(404)
    for (const [verb, body] of [['reschedule', { expires_in: 60 }], ['cancel'], ['make-now']] as [string, object?][])
      expect([verb, (await act(trial.id, verb, body)).status]).toEqual([verb, 404])
    const issued = await call('POST', '/v1/resources', { kind: 'http-call', payload: {}, expires_in: 60 })
    expect([issued.body.code, issued.body.detail]).toEqual([
      'kind_has_verbs',
      'Use lapse.httpCalls, or /v1/http-calls.',
    ])
  })

  it.each([
    ['url', { url: 'http://example.com/' }],
    ['url', { url: 'https://localhost/' }],
    ['url', { url: 'https://169.254.169.254/latest' }],
    ['url', { url: undefined }],
    ['method', { method: 'CONNECT' }],
    ['headers.Content-Length', { headers: { 'Content-Length': '3' } }],
    ['headers.x', { headers: { x: 1 } }],
    ['headers', { headers: [] }],
    ['body.n', { body: { n: 2 ** 60 } }],
    ['body', { body: 'x'.repeat(65_537) }],
    ['body', { method: 'GET', body: {} }],
    ['attempts', { attempts: 29 }],
    ['timeout_seconds', { timeout_seconds: 31 }],
    ['expires_in', { expires_in: 366 * 86_400 + 1 }],
    ['expires_at', { expires_in: undefined }],
    ['organization', { organization: 'nobody' }],
    ['retries', { retries: 3 }],
  ])('with a bad %s is refused', async (field, body) => {
    const answer = await call('POST', '/v1/http-calls', { url: 'https://example.com/', expires_in: 60, ...body })
    expect([answer.status, answer.body.field]).toEqual([422, field])
  })

  it('what it carries stands nowhere else: not in the database, the queue, the log or an answer', async () => {
    const secret = { url: 'https://example.com/?q=canary1', headers: { x: 'canary2' }, body: { y: 'canary3' } }
    const { id } = await scheduled(secret, { 'idempotency-key': 'canary' })
    await act(id, 'make-now')
    const tables = ['resource', 'event', 'delivery', 'delivery_attempt', 'idempotency_key']
    const rows = await Promise.all(tables.map((table) => sql(`SELECT t::text AS row FROM ${table} t`)))
    const jobs = await lapse.queues.call.getJobs()
    const answers = await Promise.all(
      ['http-calls', 'resources', 'events', 'deliveries', `http-calls/${id}`, `resources/${id}/events`].map(
        async (path) => (await call('GET', `/v1/${path}`)).text,
      ),
    )
    const all = [JSON.stringify(rows), JSON.stringify(jobs.map((job) => job.data)), lines.join(''), ...answers]
    for (const text of all) expect(text).not.toMatch(/canary\d/)
    expect(all[0]).toContain(id)
    expect(all[2]).toContain('/v1/http-calls')
  })
})

it('asks for the token', async () => {
  const { id } = await scheduled()
  for (const [method, path] of [
    ...[
      ['POST', ''],
      ['GET', ''],
      ['GET', `/${id}`],
    ],
    ...['reschedule', 'make-now', 'cancel'].map((verb) => ['POST', `/${id}/${verb}`]),
  ] as [string, string][])
    expect((await call(method, `/v1/http-calls${path}`, undefined, { authorization: '' })).status).toBe(401)
})
