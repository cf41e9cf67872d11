import { beforeAll, describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'

let api: Awaited<ReturnType<typeof testApi>>
beforeAll(async () => {
  api = await testApi()
})

const inAnHour = new Date(Date.now() + 3_600_000).toISOString()
const nested = (levels: number): Body => (levels === 0 ? 1 : { a: nested(levels - 1) })

/** What is sent, the field that is named, and a word of the detail. */
const refused: [string, unknown, string | undefined, RegExp][] = [
  ['no body', undefined, undefined, /JSON object/],
  ['an array', [], undefined, /JSON object/],
  ['null', 'null', undefined, /JSON object/],
  ['no kind', {}, 'kind', /missing/],
  ['a kind that is none', { kind: 'nope', expires_in: 5 }, 'kind', /Configured here: trial, .*ticket, pass/],
  ['an unknown field', { kind: 'pass', expire_in: 5 }, 'expire_in', /Known here: .*expires_in/],
  ['null for a text', { kind: 'pass', scope: null }, 'scope', /string/],
  ['a number for a text', { kind: 'pass', subject: 7 }, 'subject', /string/],
  ['an empty text', { kind: 'pass', reference: '' }, 'reference', /characters/],
  ['an over-long reference', { kind: 'pass', reference: 'a'.repeat(201) }, 'reference', /200/],
  ['an over-long scope', { kind: 'pass', scope: 'a'.repeat(201) }, 'scope', /200/],
  ['an over-long subject', { kind: 'pass', subject: 'a'.repeat(201) }, 'subject', /200/],
  ['a NUL character', { kind: 'pass', scope: 'a\0b' }, 'scope', /NUL/],
  ['half a character', '{"kind":"pass","scope":"\\ud800"}', 'scope', /broken/],
  ['both ends', { kind: 'pass', expires_in: 5, expires_at: inAnHour }, 'expires_in', /not both/],
  ['no end where none is usual', { kind: 'ticket' }, 'expires_at', /expires_in/],
  ['zero seconds', { kind: 'pass', expires_in: 0 }, 'expires_in', />=1/],
  ['seconds below zero', { kind: 'pass', expires_in: -5 }, 'expires_in', />=1/],
  ['half a second', { kind: 'pass', expires_in: 1.5 }, 'expires_in', /int/],
  ['seconds as text', { kind: 'pass', expires_in: '5' }, 'expires_in', /number/],
  ['an unsafe number', '{"kind":"pass","expires_in":9007199254740993}', 'expires_in', /<=/],
  ['the largest safe number', { kind: 'pass', expires_in: Number.MAX_SAFE_INTEGER }, 'expires_in', /<=/],
  ['an endless number', '{"kind":"pass","expires_in":1e999}', 'expires_in', /./],
  ['seconds over the maximum', { kind: 'pass', expires_in: 401 * 86_400 }, 'expires_in', /at most 34560000 seconds/],
  [
    'A4: an instant in the past',
    { kind: 'pass', expires_at: '2020-01-01T00:00:00Z' },
    'expires_at',
    /at least one second/,
  ],
  ['A4: an instant over the maximum', { kind: 'pass', expires_at: '9999-01-01T00:00:00Z' }, 'expires_at', /at most/],
  ['an instant without a zone', { kind: 'pass', expires_at: '2027-01-01T00:00:00' }, 'expires_at', /offset/],
  ['a date', { kind: 'pass', expires_at: '2027-01-01' }, 'expires_at', /offset/],
  ['an instant without seconds', { kind: 'pass', expires_at: '2027-01-01T00:00Z' }, 'expires_at', /offset/],
  ['a day that does not exist', { kind: 'pass', expires_at: '2026-02-30T10:00:00Z' }, 'expires_at', /exists/],
  ['29 February of a common year', { kind: 'pass', expires_at: '2027-02-29T10:00:00Z' }, 'expires_at', /exists/],
  ['a leap second', { kind: 'pass', expires_at: '2026-12-31T23:59:60Z' }, 'expires_at', /exists/],
  ['24 o’clock', { kind: 'pass', expires_at: '2026-12-31T24:00:00Z' }, 'expires_at', /exists/],
  ['an offset of 25 hours', { kind: 'pass', expires_at: '2026-12-31T10:00:00+25:00' }, 'expires_at', /exists/],
  ['an epoch', { kind: 'pass', expires_at: 1_800_000_000 }, 'expires_at', /string/],
  ['too much grace', { kind: 'pass', grace: 3_601 }, 'grace', /3600 seconds/],
  ['grace below zero', { kind: 'pass', grace: -1 }, 'grace', />=0/],
  ['a payload that is none', { kind: 'pass', payload: [] }, 'payload', /./],
  [
    'a field the kind does not know',
    { kind: 'pass', payload: { nam: 'x' } },
    'payload.nam',
    /Known here: name|no such/i,
  ],
  ['a wrong field of the kind', { kind: 'trial', payload: { email: 'x' } }, 'payload.email', /e-mail/],
  [
    'a NUL deep in the payload',
    { kind: 'ticket', expires_in: 5, payload: { a: [{ b: '\0' }] } },
    'payload.a.0.b',
    /NUL/,
  ],
  ['a NUL in a key of it', { kind: 'ticket', expires_in: 5, payload: { 'a\0': 1 } }, 'payload', /NUL/],
  [
    'an unsafe number in it',
    '{"kind":"ticket","expires_in":5,"payload":{"n":12345678901234567890}}',
    'payload.n',
    /text/,
  ],
  ['an endless number in it', '{"kind":"ticket","expires_in":5,"payload":{"n":1e999}}', 'payload.n', /text/],
  ['a bottomless payload', { kind: 'ticket', expires_in: 5, payload: nested(40) }, 'payload.a.a.a', /deep/],
  ['a payload over 16 KiB', { kind: 'ticket', expires_in: 5, payload: { a: 'ä'.repeat(8_200) } }, 'payload', /16 KiB/],
]

describe('strict input', () => {
  it.each(refused)('%s is a 422 that names the field', async (_, body, field, detail) => {
    const answer = await api.call('POST', '/v1/resources', body)
    expect(answer.body).toMatchObject({ status: 422, detail: expect.stringMatching(detail) })
    expect(answer.body.field).toBe(field)
    expect(answer.status).toBe(422)
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  })

  it('an unknown field of a body that may be left out is told which there are', async () => {
    const { body } = await api.call('POST', '/v1/resources/019abcde-0000-7000-8000-00000000000f/revoke', { reson: 'x' })
    expect(body).toMatchObject({ status: 422, field: 'reson', detail: expect.stringMatching(/Known here: .*reason/) })
  })

  it('nothing of it was written', async () => {
    expect(await api.everything()).toEqual([{ resources: null, events: null, deliveries: null, answers: '0' }])
  })

  it.each([
    ['2027-01-31T23:30:00+02:00', '2027-01-31T21:30:00.000Z'],
    ['2027-01-31T23:30:00.5-00:30', '2027-02-01T00:00:00.500Z'],
    ['2027-01-31T10:00:00.123456Z', '2027-01-31T10:00:00.123Z'],
    ['2027-01-31t10:00:00z', '2027-01-31T10:00:00.000Z'],
  ])('the instant %s comes out as %s', async (given, shown) => {
    const { status, body } = await api.call('POST', '/v1/resources', { kind: 'ticket', expires_at: given })
    expect([status, body.expires_at, body.ends_at]).toEqual([201, shown, shown])
  })

  it('texts of full length and a payload of 16 KiB come back as they were sent', async () => {
    const text = (of: string) => of.repeat(200)
    const payload = { a: 'ä'.repeat(8_000), n: [1.5, -1e-9, 2 ** 53 - 1, null, true], ключ: { '': '\u{1F600}' } }
    const sent = { kind: 'ticket', reference: text('r'), scope: text('ß'), subject: text('s'), payload, expires_in: 60 }
    const { status, body } = await api.call('POST', '/v1/resources', sent)
    const { expires_in: _, ...same } = sent
    expect(status).toBe(201)
    expect(body).toMatchObject(same)
    expect((await api.call('GET', `/v1/resources/${body.id}`)).body.payload).toEqual(payload)
  })

  it.each([
    ['limit=0', 'limit'],
    ['limit=201', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=1&limit=2', 'limit'],
    ['cursor=zzz', 'cursor'],
    ['live=yes', 'live'],
    ['status=dead', 'status'],
    ['scope=', 'scope'],
    ['scop=acme', 'scop'],
    ['organization_id=acme', 'organization_id'],
    ['scope=a%00', 'scope'],
  ])('the query %s is a 422', async (query, field) => {
    const { body } = await api.call('GET', `/v1/resources?${query}`)
    expect(body).toMatchObject({ status: 422, code: 'invalid', field })
  })

  it('says of everything that is missing that it is, choices too', async () => {
    const { body } = await api.call('POST', '/v1/memberships', { organization: 'acme', user: 'ada' })
    expect(body).toMatchObject({ code: 'invalid', field: 'role', detail: 'It is missing.' })
    const other = await api.call('POST', '/v1/memberships', { organization: 'acme', user: 'ada', role: null })
    expect(other.body).toMatchObject({ field: 'role', detail: expect.stringContaining('"member"') })
  })

  it('a reason of more than 500 characters is a 422, and nothing ends', async () => {
    const { body } = await api.call('POST', '/v1/resources', { kind: 'pass' })
    const refusal = await api.call('POST', `/v1/resources/${body.id}/revoke`, { reason: 'x'.repeat(501) })
    expect(refusal.body).toMatchObject({ status: 422, field: 'reason' })
    expect((await api.call('GET', `/v1/resources/${body.id}`)).body.status).toBe('active')
  })
})
