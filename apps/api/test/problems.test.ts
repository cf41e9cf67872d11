import { request } from 'node:http'
import { connect } from 'node:net'
import { stopwatch, until } from '@lapse/testkit'
import Fastify from 'fastify'
import { LapseError } from 'lapse'
import { beforeAll, describe, expect, it } from 'vitest'
import { sendProblem } from '../src/http/errors.ts'
import { breakableWay, testApi } from './api.ts'

let api: Awaited<ReturnType<typeof testApi>>
beforeAll(async () => {
  api = await testApi()
})

const members = ['type', 'title', 'status', 'code', 'instance']

describe('problems', () => {
  it.each([
    ['POST', '/v1/resources', '{"kind":', {}, 400, 'malformed'],
    ['POST', '/v1/resources', '{"kind":"pass","payload":{"__proto__":{}}}', {}, 400, 'malformed'],
    ['GET', '/v1/resources/%zz', undefined, {}, 400, 'malformed'],
    ['GET', '/v1/nothing-here', undefined, {}, 404, 'no_such_address'],
    ['GET', '/nothing-here', undefined, {}, 404, 'no_such_address'],
    ['GET', '/v1/resources/019abcde-0000-7000-8000-000000000001', undefined, {}, 404, 'not_found'],
    ['GET', '/v1/resources/no-id', undefined, {}, 404, 'not_found'],
    ['GET', '/v1/resources/no-id/events', undefined, {}, 404, 'not_found'],
    ['POST', '/v1/resources/no-id/consume', undefined, {}, 404, 'not_found'],
    ['POST', '/v1/resources/no-id/renew', { expires_in: 5 }, {}, 404, 'not_found'],
    ['POST', '/v1/resources/no-id/revoke', undefined, {}, 404, 'not_found'],
    ['POST', '/v1/resources/no-id/expire', undefined, {}, 404, 'not_found'],
    ['GET', '/v1/deliveries/no-id', undefined, {}, 404, 'not_found'],
    ['POST', '/v1/deliveries/no-id/retry', undefined, {}, 404, 'not_found'],
    [
      'POST',
      '/v1/resources',
      'kind=pass',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'wrong_media_type',
    ],
    ['POST', '/v1/resources', '{"kind":"pass"}', { 'content-type': 'text/plain' }, 415, 'wrong_media_type'],
    ['POST', '/v1/resources/bulk', JSON.stringify({ items: 'x'.repeat(1024 * 1024) }), {}, 413, 'too_large'],
  ] as const)('%s %s (%#) is a problem', async (method, path, body, headers, status, code) => {
    const answer = await api.call(method, path, body, headers)
    expect([answer.status, answer.body.status, answer.body.code]).toEqual([status, status, code])
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(Object.keys(answer.body).filter((key) => !['detail', 'field'].includes(key))).toEqual(members)
    expect(answer.body.instance).toMatch(/^urn:uuid:[0-9a-f-]{36}$/)
    expect(answer.text).not.toMatch(/node_modules|\.[jt]s:\d/)
  })

  it.each([
    [
      'headers of 64 KiB',
      `GET /v1/resources HTTP/1.1\r\nhost: x\r\nx-long: ${'x'.repeat(65_536)}\r\n\r\n`,
      431,
      'headers_too_large',
    ],
    ['what is no HTTP', 'EHLO lapse.example\r\n\r\n', 400, 'malformed'],
  ])('%s are a problem too, although they never become a request', async (_, text, status, code) => {
    const { hostname, port } = new URL(api.url)
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => void socket.write(text))
      let read = ''
      socket.setEncoding('utf8').on('data', (piece) => {
        read += piece
      })
      socket.once('end', () => resolve(read)).once('error', (error) => (read ? resolve(read) : reject(error)))
    })
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(head).toMatch(/content-type: application\/problem\+json/)
    expect(head).toMatch(/x-content-type-options: nosniff/)
    expect(JSON.parse(body)).toMatchObject({ status, code, detail: expect.any(String) })
  })

  it.each([
    ['PUT', '/v1/resources', 'GET, HEAD, POST'],
    ['DELETE', '/v1/resources/019abcde-0000-7000-8000-000000000001', 'GET, HEAD'],
    ['GET', '/v1/resources/bulk', 'POST'],
    ['GET', '/v1/resources/x/renew', 'POST'],
    ['PATCH', '/v1/trials', 'GET, HEAD, POST'],
    ['OPTIONS', '/v1/events', 'GET, HEAD'],
    ['POST', '/healthz', 'GET, HEAD'],
  ])('%s %s is a 405 that says what is allowed', async (method, path, allow) => {
    const { status, headers, body } = await api.call(method, path, undefined, { 'content-type': 'text/plain' })
    expect([status, headers.get('allow'), body.code]).toEqual([405, allow, 'method_not_allowed'])
  })

  it('a body that never comes is not waited for', { timeout: 15_000 }, async () => {
    const { port } = new URL(api.url)
    const status = await new Promise((resolve) => {
      const open = request({ port, method: 'POST', path: '/v1/resources', headers: headersOf(100) }, (response) =>
        resolve(response.statusCode),
      )
      open.on('error', () => resolve('cut'))
      open.write('{')
    })
    expect(status).toBe(408)
  })

  it('what is our own fault says nothing but where the log has it', async () => {
    const lines: string[] = []
    const broken = await testApi({ log: (line) => lines.push(line) })
    const { body } = await broken.call('POST', '/v1/resources', { kind: 'pass' })
    await broken.sql('ALTER TABLE resource RENAME COLUMN uses TO used')
    const answer = await broken.call('GET', `/v1/resources/${body.id}`)
    expect([answer.status, answer.body.code]).toEqual([500, 'internal'])
    expect(answer.text).not.toMatch(/uses|column|Prisma|SELECT/)
    const id = answer.body.instance.slice('urn:uuid:'.length)
    expect(lines.find((line) => line.includes(id) && line.includes('"level":50'))).toMatch(/uses/)
  })
})

it('a refusal for a while says for how long', async () => {
  const app = Fastify()
  app.setErrorHandler(sendProblem)
  app.get('/', async () => {
    throw new LapseError('too_soon', { retryAfter: 90 })
  })
  const { statusCode, headers } = await app.inject('/')
  expect([statusCode, headers['retry-after']]).toEqual([429, '90'])
})

const headersOf = (length: number) => ({
  authorization: 'Bearer lps_root_for_the_tests_of_the_api_only',
  'content-type': 'application/json',
  'content-length': length,
})

describe('PostgreSQL away', () => {
  it('cut: 503 with Retry-After at once, not ready, and all well again when it is back', async () => {
    const way = breakableWay()
    const { call } = await testApi({ databaseUrl: way.to })
    const issued = await call('POST', '/v1/resources', { kind: 'pass' })
    way.cut()
    for (const [method, path, body] of [
      ['GET', '/v1/resources', undefined],
      ['POST', '/v1/resources', { kind: 'pass' }],
      ['POST', '/v1/resources/bulk', { items: [{ kind: 'pass' }] }],
      ['POST', `/v1/resources/${issued.body.id}/check`, undefined],
      ['GET', '/readyz', undefined],
    ] as const) {
      const answer = await call(method, path, body, method === 'POST' ? { 'idempotency-key': path } : {})
      expect([path, answer.status, answer.body.code]).toEqual([path, 503, 'unavailable'])
      expect(answer.headers.get('retry-after')).toBe('2')
    }
    expect((await call('GET', '/healthz')).status).toBe(200)
    way.open()
    expect((await call('GET', '/readyz')).status).toBe(200)
    expect((await call('GET', `/v1/resources/${issued.body.id}`)).status).toBe(200)
  })

  it('frozen: nobody waits longer than 6.5 seconds, and what hangs is given up', { timeout: 60_000 }, async () => {
    const way = breakableWay()
    const { call } = await testApi({ databaseUrl: way.to })
    // Every connection of the pool is there, and will hang.
    await Promise.all(Array.from({ length: 10 }, () => call('POST', '/v1/resources', { kind: 'pass' })))
    way.freeze()
    const clock = stopwatch()
    const asked = await Promise.all([
      ...Array.from({ length: 12 }, () => call('POST', '/v1/resources', { kind: 'pass' })),
      call('POST', '/v1/resources', { kind: 'pass' }, { 'idempotency-key': 'frozen' }),
      call('GET', '/v1/resources'),
    ])
    expect(clock.ms()).toBeLessThan(6_500)
    expect(asked.map((answer) => answer.status)).toEqual(asked.map(() => 503))
    const ready = stopwatch()
    expect((await call('GET', '/readyz')).status).toBe(503)
    expect(ready.ms()).toBeLessThan(2_500)
    way.open()
    // The connections that hang are still open, and nothing will ever come of them.
    await until(async () => (await call('GET', '/v1/resources')).status === 200, { timeout: 20_000 })
  })
})
