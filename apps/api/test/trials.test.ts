import { beforeAll, describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'

let api: Awaited<ReturnType<typeof testApi>>
beforeAll(async () => {
  api = await testApi()
})

const start = async (body: object = {}): Promise<Body> => (await api.call('POST', '/v1/trials', body)).body
const act = (id: string, name: string, body?: object) => api.call('POST', `/v1/trials/${id}/${name}`, body)
const day = 86_400

describe('trials', () => {
  it('starting one takes 14 days and a day of grace by default, and shows its banner', async () => {
    const sent = {
      email: 'ada@example.com',
      product: 'Acme',
      plan: 'pro',
      scope: 'acme',
      subject: 'ada',
      reference: 't',
    }
    const { status, headers, body } = await api.call('POST', '/v1/trials', sent)
    expect([status, headers.get('location')]).toEqual([201, `/v1/trials/${body.id}`])
    expect(body).toMatchObject({
      kind: 'trial',
      status: 'active',
      reference: 't',
      scope: 'acme',
      subject: 'ada',
      payload: { email: 'ada@example.com', product: 'Acme', plan: 'pro' },
      timer: 'armed',
      banner: { phase: 'running', ends_at: body.ends_at, remaining_seconds: 15 * day },
    })
    expect(Date.parse(body.expires_at) - Date.parse(body.issued_at)).toBe(14 * day * 1_000)
    expect((await api.timers(body.id)).map((job) => job.name).sort()).toEqual(['expire', 'remind', 'remind'])
  })

  it('the banner follows its life: running, ending, grace, ended, converted', async () => {
    const { id } = await start({ expires_in: 10 * day })
    const phase = async () => (await api.call('GET', `/v1/trials/${id}`)).body.banner
    expect(await phase()).toMatchObject({ phase: 'running' })
    await api.age(id, 8 * day)
    expect(await phase()).toMatchObject({ phase: 'ending' })
    await api.age(id, 2 * day)
    const grace = await phase()
    expect(grace.phase).toBe('grace')
    expect(grace.remaining_seconds).toBeGreaterThan(day - 60)
    await api.age(id, day)
    expect(await phase()).toMatchObject({ phase: 'ended', remaining_seconds: 0 })
    const sold = await start()
    expect((await act(sold.id, 'convert')).body).toMatchObject({
      status: 'consumed',
      word: 'converted',
      banner: { phase: 'converted', remaining_seconds: 0 },
    })
  })

  it('extending gives a later end; one that is not later is a 422 and changes nothing', async () => {
    const { id, expires_at } = await start({ expires_in: 5 * day })
    for (const end of [{ expires_in: day }, { expires_at }]) {
      const { body } = await act(id, 'extend', end)
      expect(body).toMatchObject({ status: 422, code: 'not_later', field: Object.keys(end)[0] })
      expect(body.detail).toContain(expires_at)
    }
    expect((await api.call('GET', `/v1/trials/${id}`)).body).toMatchObject({ version: 1, expires_at })
    const later = await act(id, 'extend', { expires_in: 6 * day, reason: 'asked nicely' })
    expect(later.body).toMatchObject({ version: 2, timer: 'armed', banner: { phase: 'running' } })
    expect((await act(id, 'extend', {})).body).toMatchObject({ status: 422, field: 'expires_at' })
  })

  it('B7: never past 60 days in all: 422 says until when', async () => {
    const { id, issued_at } = await start()
    const { body } = await act(id, 'extend', { expires_in: 61 * day })
    expect(body).toMatchObject({ status: 422, code: 'lifetime_too_long', field: 'expires_in' })
    expect(body.detail).toContain(new Date(Date.parse(issued_at) + 60 * day * 1_000).toISOString())
  })

  it('E2: extended in grace it is active again', async () => {
    const { id } = await start({ expires_in: day })
    await api.age(id, day + 60)
    expect((await act(id, 'extend', { expires_in: day })).body).toMatchObject({ status: 'active', version: 2 })
  })

  it('20 who extend at once: each is later than the one before it, or refused', async () => {
    const { id } = await start({ expires_in: day })
    const ends = Array.from({ length: 20 }, (_, i) => ({ expires_in: 2 * day + ((i * 7) % 20) * 3_600 }))
    const answers = await Promise.all(ends.map((end) => act(id, 'extend', end)))
    expect(new Set(answers.map((answer) => answer.status)).size).toBeLessThanOrEqual(2)
    for (const { status, body } of answers) expect([200, 'not_later']).toContain(status === 200 ? 200 : body.code)
    const { items } = (await api.call('GET', `/v1/resources/${id}/events?type=renewed`)).body
    for (const { data } of items) expect(data.after.expires_at > data.before.expires_at).toBe(true)
    const shown = (await api.call('GET', `/v1/trials/${id}`)).body
    expect(Date.parse(shown.expires_at)).toBeGreaterThan(Date.now() + (2 * day + 18 * 3_600) * 1_000)
  })

  it('converted or cancelled: no timer is left; again it is a 409, or quiet', async () => {
    const [sold, left] = [await start(), await start()]
    await act(sold.id, 'convert', { reason: 'bought pro' })
    const again = await act(sold.id, 'convert')
    expect(again.body).toMatchObject({
      status: 409,
      code: 'already_ended',
      detail: expect.stringContaining('converted'),
    })
    expect((await act(sold.id, 'extend', { expires_in: day })).status).toBe(409)
    expect((await act(left.id, 'cancel', { reason: 'no interest' })).body).toMatchObject({ status: 'revoked' })
    expect((await act(left.id, 'cancel')).body).toMatchObject({ status: 'revoked', banner: { phase: 'ended' } })
    for (const { id } of [sold, left]) expect(await api.timers(id)).toEqual([])
  })

  it('a converted trial frees its reference; the list filters and counts', async () => {
    const { id } = await start({ reference: 'org-1', scope: 'list' })
    expect((await api.call('POST', '/v1/trials', { reference: 'org-1' })).status).toBe(409)
    await act(id, 'convert')
    expect((await api.call('POST', '/v1/trials', { reference: 'org-1', scope: 'list' })).status).toBe(201)
    const { body } = await api.call('GET', '/v1/trials?scope=list&count=true&limit=1')
    expect([body.count, body.items[0].banner.phase]).toEqual([2, 'running'])
    expect((await api.call('GET', '/v1/trials?scope=list&status=consumed')).body.items).toMatchObject([{ id }])
    expect((await api.call('GET', '/v1/trials?kind=pass')).body).toMatchObject({ status: 422, field: 'kind' })
  })

  it('another kind’s id is a 404 for every verb, and nothing happens to it', async () => {
    const { body } = await api.call('POST', '/v1/resources', { kind: 'pass' })
    expect((await api.call('GET', `/v1/trials/${body.id}`)).body).toMatchObject({ status: 404, code: 'not_found' })
    expect((await act(body.id, 'extend', { expires_in: 10 * day })).status).toBe(404)
    for (const name of ['convert', 'cancel']) expect([name, (await act(body.id, name)).status]).toEqual([name, 404])
    expect((await api.call('GET', `/v1/resources/${body.id}`)).body).toMatchObject({ status: 'active', version: 1 })
    const trials = (await api.call('GET', '/v1/trials?limit=200')).body.items
    expect(trials.every((trial: Body) => trial.kind === 'trial')).toBe(true)
  })
})
