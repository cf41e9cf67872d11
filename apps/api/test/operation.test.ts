import { spawnSync } from 'node:child_process'
import { request } from 'node:http'
import { fileURLToPath } from 'node:url'
import { startProcess, testDatabase, testRedis } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { testApi, token } from './api.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

const run = (env: Record<string, string>, ...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['apps/api/dist/main.js', ...args], {
    cwd: root,
    env: { PATH: process.env.PATH, LAPSE_CONFIG: 'apps/api/test/kinds.config.ts', ...env },
    encoding: 'utf8',
    timeout: 20_000,
  })
  return { status, output: stdout + stderr }
}

const environment = async () => {
  const redis = testRedis()
  const { url } = await testDatabase()
  return { DATABASE_URL: url, REDIS_URL: redis.url, LAPSE_PREFIX: redis.prefix, LAPSE_ROOT_TOKEN: token }
}

/** A request of which the server has said that it has begun, with `100 Continue`, before its body is sent. */
const begin = (url: string, body: string) => {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', expect: '100-continue' }
  const outgoing = request(url, { method: 'POST', headers })
  const status = new Promise<number | undefined>((resolve, reject) => {
    outgoing.on('error', reject).on('response', (answer) => {
      answer.resume()
      resolve(answer.statusCode)
    })
  })
  const begun = new Promise<void>((resolve) => outgoing.on('continue', () => resolve(void outgoing.end(body))))
  outgoing.flushHeaders()
  return { begun, status }
}

describe('operation', () => {
  it('--check prints the configuration and the kinds, and no secret', async () => {
    const env = { ...(await environment()), LAPSE_BOARD_PASSWORD: 'a-password-not-to-be-seen' }
    const { status, output } = run({ ...env, DATABASE_URL: 'postgresql://someone:hidden@localhost/lapse' }, '--check')
    expect([status, output]).toEqual([0, expect.stringContaining('LAPSE_ROOT_TOKEN=(set)')])
    expect(output).toMatch(/^kinds: trial, invite, .*, ticket, pass$/m)
    for (const secret of [token, env.LAPSE_BOARD_PASSWORD, ':hidden@']) expect(output).not.toContain(secret)
  })

  it('it does not start without PostgreSQL or on a wrong environment; and says why', async () => {
    const env = await environment()
    const away = run({ ...env, DATABASE_URL: 'postgresql://localhost:1/lapse' })
    expect([away.status, away.output]).toEqual([1, expect.stringMatching(/PostgreSQL cannot be reached.*DATABASE_URL/)])
    const missing = run({})
    expect([missing.status, missing.output]).toEqual([1, expect.stringMatching(/DATABASE_URL.*\n.*REDIS_URL/)])
    for (const { output } of [away, missing]) expect(output).not.toMatch(/ at .*\.js:/)
  })

  it('J3: SIGTERM finishes what has begun and ends within 10 s', async () => {
    const api = await startProcess({
      entry: 'api',
      env: { ...(await environment()), LAPSE_CONFIG: 'apps/api/test/kinds.config.ts' },
    })
    const items = Array.from({ length: 1_000 }, () => ({ kind: 'ticket', expires_in: 3_600 }))
    const requests = Array.from({ length: 10 }, () => begin(`${api.url}/v1/resources/bulk`, JSON.stringify({ items })))
    await Promise.all(requests.map(({ begun }) => begun))
    const { code, ms } = await api.stop()
    expect([code, ms < 10_000]).toEqual([0, true])
    const statuses = await Promise.all(requests.map(({ status }) => status))
    // Who has waited too long for their turn, on a busy machine, is told so.
    expect(statuses.filter((status) => status !== 429)).not.toEqual([])
    expect(new Set(statuses.filter((status) => status !== 429))).toEqual(new Set([201]))
    expect(api.output()).not.toContain(token)
  })

  it('/metrics counts requests by route and not by id', async () => {
    const { call } = await testApi()
    const { body } = await call('POST', '/v1/resources', { kind: 'pass' })
    await call('GET', `/v1/resources/${body.id}`)
    await call('GET', `/v1/not-here-${body.id}`)
    const { text, headers } = await call('GET', '/metrics')
    expect(headers.get('content-type')).toMatch(/^text\/plain/)
    const requests = 'lapse_http_request_duration_seconds_count'
    expect(text).toContain(`${requests}{method="GET",route="/v1/resources/:id",status="200"} 1`)
    expect(text).toContain(`${requests}{method="POST",route="/v1/resources",status="201"} 1`)
    expect(text).not.toContain(body.id)
    expect(text).toContain('process_cpu_seconds_total')
  })
})
