import { beforeAll, describe, expect, it } from 'vitest'
import { type Body, board, testApi } from './api.ts'

const authorization = `Basic ${Buffer.from(`${board.user}:${board.password}`).toString('base64')}`

let api: Awaited<ReturnType<typeof testApi>>
beforeAll(async () => {
  api = await testApi()
})

const look = (path = '', headers: Record<string, string> = {}) =>
  api.call('GET', `/queues${path}`, undefined, { authorization, ...headers })

/** What the board shows of a resource's timers. */
const shown = async (id: string): Promise<Body[]> => {
  const { body } = await look('/api/queues?activeQueue=timers&status=delayed&page=1&jobsPerPage=100')
  const timers = body.queues.find((queue: Body) => queue.name === 'timers')
  return timers.jobs.filter((job: Body) => job.data.id === id)
}

describe('the board', () => {
  it('J2: 401 without a login, or with a wrong one, for every page and call', async () => {
    const basic = (login: string) => `Basic ${Buffer.from(login).toString('base64')}`
    for (const path of ['', '/', '/queue/timers', '/api/queues', '/api/redis/stats', '/static/favicon.ico'])
      for (const wrong of ['', basic('lapse:nope'), basic(`root:${board.password}`), basic('lapse'), 'Bearer x']) {
        const { status, headers, body } = await look(path, { authorization: wrong })
        expect([path, wrong, status, body.code]).toEqual([path, wrong, 401, 'unauthorized'])
        expect(headers.get('www-authenticate')).toMatch(/^Basic realm="Lapse"/)
      }
    expect((await api.call('PUT', '/queues/api/queues/pause', undefined, { authorization: '' })).status).toBe(401)
  })

  it('shows all its queues under the name of Lapse, keeps nothing, and lets no other host in', async () => {
    const page = await look()
    expect([page.status, page.headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect(page.text).toContain('<title>Lapse</title>')
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'none'/)
    expect(page.headers.get('content-security-policy')).not.toMatch(/https?:|\*/)
    const { body } = await look('/api/queues')
    expect(body.queues.map((queue: Body) => queue.name).sort()).toEqual([
      ...['call', 'email', 'handler', 'timers', 'upkeep', 'webhook'],
    ])
    expect(body.queues.every((queue: Body) => queue.readOnlyMode)).toBe(true)
  })

  it('J2: after a renewal it shows the true run time, and exactly one expire job', async () => {
    const issued = await api.call('POST', '/v1/resources', { kind: 'pass', expires_at: '2027-05-01T10:00:00Z' })
    const { id } = issued.body
    const due = (jobs: Body[]) => jobs.filter((job) => job.opts.jobId.includes('-expire-')).map((job) => job.name)
    expect(due(await shown(id))).toEqual(['expire · pass · due 2027-05-01T10:00:00.000Z'])
    await api.call('POST', `/v1/resources/${id}/renew`, { expires_at: '2027-06-01T10:00:00Z' })
    const jobs = await shown(id)
    expect(due(jobs)).toEqual(['expire · pass · due 2027-06-01T10:00:00.000Z'])
    const [expire] = jobs.filter((job) => job.opts.jobId.includes('-expire-'))
    expect(new Date(expire.timestamp + expire.delay).toISOString()).toBe('2027-06-01T10:00:00.000Z')
    expect(expire.data).toEqual({ id, kind: 'pass', version: 2 })
  })

  it('J2: a timer that came early and was delayed again shows its true time too', async () => {
    const { id, expires_at } = (await api.call('POST', '/v1/resources', { kind: 'ticket', expires_in: 86_400 })).body
    const [job] = await api.timers(id)
    // As if it had been made an hour ago.
    const { redis, timers } = api.lapse.queues
    await redis.hset(timers.toKey(job?.id ?? ''), 'timestamp', Date.now() - 3_600_000)
    // What the runner does with a timer that was promoted too early.
    await job?.changeDelay(Date.parse(expires_at) - Date.now())
    const [seen] = await shown(id)
    const off = Math.abs(seen.timestamp + seen.delay - Date.parse(expires_at))
    expect(off).toBeLessThan(60_000)
    const one = (await look(`/api/queues/timers/${job?.id}`)).body.job
    expect(one.name).toBe(seen.name)
  })

  it('J2: read-only: nothing that acts is let through', async () => {
    const { id } = (await api.call('POST', '/v1/resources', { kind: 'ticket', expires_in: 3_600 })).body
    const [job] = await api.timers(id)
    for (const [method, path] of [
      ['PUT', '/api/queues/pause'],
      ['PUT', '/api/queues/timers/empty'],
      ['PUT', '/api/queues/timers/obliterate'],
      ['PUT', `/api/queues/timers/${job?.id}/promote`],
      ['PUT', `/api/queues/timers/${job?.id}/clean`],
      ['PATCH', `/api/queues/timers/${job?.id}/update-data`],
      ['POST', '/api/queues/timers/add'],
    ] as const) {
      const { status, body } = await api.call(
        method,
        `/queues${path}`,
        {},
        { authorization, 'sec-fetch-site': 'same-origin' },
      )
      expect([path, status, body.code]).toEqual([path, 403, 'forbidden'])
      expect(body.detail).toContain('LAPSE_BOARD_WRITABLE')
    }
    expect(await api.timers(id)).toHaveLength(1)
    expect(await api.lapse.queues.timers.isPaused()).toBe(false)
  })

  it('J2: nothing done there extends or ends a resource; writable, it acts for its own page only', async () => {
    const { call, timers } = await testApi({ env: { LAPSE_BOARD_WRITABLE: 'true' } })
    const issued = (await call('POST', '/v1/resources', { kind: 'ticket', expires_in: 3_600 })).body
    const [job] = await timers(issued.id)
    const promote = (headers: Record<string, string>) =>
      call('PUT', `/queues/api/queues/timers/${job?.id}/promote`, undefined, { authorization, ...headers })
    for (const headers of [
      {},
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'https://elsewhere.example' },
      { origin: 'null' },
    ])
      expect((await promote(headers)).body).toMatchObject({ status: 403, code: 'forbidden' })
    expect(await job?.isDelayed()).toBe(true)
    expect((await promote({ 'sec-fetch-site': 'same-origin' })).status).toBeLessThan(300)
    expect(await job?.isDelayed()).toBe(false)
    const { timer: _, ...seen } = issued
    expect((await call('GET', `/v1/resources/${issued.id}`)).body).toEqual(seen)
  })

  it('without a password it is closed, and says how to open it', async () => {
    const { call } = await testApi({ env: { LAPSE_BOARD_PASSWORD: '' } })
    for (const [method, path] of [
      ['GET', '/queues'],
      ['GET', '/queues/api/queues'],
      ['PUT', '/queues/api/queues/pause'],
    ] as const) {
      const { body } = await call(method, path, undefined, { authorization: `Basic ${btoa('lapse:')}` })
      expect(body).toMatchObject({ status: 404, detail: expect.stringContaining('LAPSE_BOARD_PASSWORD') })
    }
  })
})
