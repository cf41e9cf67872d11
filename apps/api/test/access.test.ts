import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { caller, testApi, token } from './api.ts'

describe('access', () => {
  it.each([
    ['none', ''],
    ['another token', 'Bearer lps_root_for_the_tests_of_the_api_onlyy'],
    ['a part of it', `Bearer ${token.slice(0, -1)}`],
    ['another scheme', `Basic ${Buffer.from(`root:${token}`).toString('base64')}`],
    ['the bare token', token],
    ['an empty one', 'Bearer '],
    ['its hash', `Bearer ${createHash('sha256').update(token).digest('hex')}`],
  ])('%s: 401 with WWW-Authenticate, at every address of /v1', async (_, authorization) => {
    const { call } = await shared
    for (const [method, path] of [
      ['GET', '/v1/resources'],
      ['POST', '/v1/resources'],
      ['PUT', '/v1/resources'],
      ['POST', '/v1/resources/bulk'],
      ['GET', '/v1/events'],
      ['GET', '/v1/deliveries'],
      ['POST', '/v1/trials'],
      ['DELETE', '/v1/users/somebody'],
      ['GET', '/v1/nothing-here'],
    ] as const) {
      const { status, body, headers } = await call(method, path, undefined, { authorization })
      expect([method, path, status, body.code]).toEqual([method, path, 401, 'unauthorized'])
      expect(headers.get('www-authenticate')).toMatch(/^Bearer realm="lapse"/)
    }
  })

  it('the token opens it, in either letter case of the scheme; the actor of what it does is root', async () => {
    const { call } = await shared
    const issued = await call('POST', '/v1/resources', { kind: 'pass' }, { authorization: `bearer ${token}` })
    expect(issued.status).toBe(201)
    const { body } = await call('GET', `/v1/resources/${issued.body.id}/events`)
    expect(body.items).toMatchObject([{ type: 'issued', actor: 'root', trigger: 'manual' }])
  })

  it('its hash alone is enough to configure it', async () => {
    const hash = createHash('sha256').update(token).digest('hex').toUpperCase()
    const { call } = await testApi({ env: { LAPSE_ROOT_TOKEN: '', LAPSE_ROOT_TOKEN_HASH: hash } })
    expect((await call('GET', '/v1/resources')).status).toBe(200)
  })

  it('health, metrics and the description need none, and show no secret', async () => {
    const { url, variables } = await shared
    const password = new URL(variables.DATABASE_URL).password || 'no password'
    for (const path of ['/healthz', '/readyz', '/metrics', '/openapi.json', '/docs']) {
      const { status, text } = await caller(url)('GET', path, undefined, { authorization: '' })
      expect([path, status]).toEqual([path, 200])
      for (const secret of [token, variables.LAPSE_BOARD_PASSWORD, password]) expect(text).not.toContain(secret)
    }
  })

  it('everything is told not to be kept, guessed at, framed or followed', async () => {
    const { call } = await shared
    for (const path of ['/v1/resources', '/v1/nothing-here', '/healthz', '/docs', '/queues', '/nothing-here']) {
      const { headers } = await call('GET', path)
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('content-security-policy')).toMatch(/default-src 'none'.*frame-ancestors 'none'/)
      if (path !== '/docs') expect(headers.get('cache-control')).toBe('no-store')
    }
  })

  it('where the pages are served by HTTPS browsers are told to come by it from then on, and nowhere else', async () => {
    const secure = await testApi({ env: { LAPSE_PUBLIC_URL: 'https://lapse.example' } })
    for (const path of ['/v1/resources', '/healthz', '/sign-in', '/nothing-here'])
      expect((await secure.call('GET', path)).headers.get('strict-transport-security')).toBe('max-age=63072000')
    expect((await (await shared).call('GET', '/healthz')).headers.has('strict-transport-security')).toBe(false)
  })

  it('the log tells each request without its token, its body and its query', async () => {
    const lines: string[] = []
    const { call } = await testApi({ log: (line) => lines.push(line) })
    await call('POST', '/v1/trials', { email: 'hidden@example.com' })
    await call('GET', '/v1/resources?subject=hidden@example.com')
    await call('GET', '/v1/resources', undefined, { authorization: 'Bearer wrong-but-maybe-somebody-elses' })
    const log = lines.join('')
    expect(log).toContain('"path":"/v1/resources","status":200')
    expect(log).toContain('"status":401')
    for (const secret of [token, 'hidden', 'somebody-elses']) expect(log).not.toContain(secret)
  })
})

const shared = testApi()
