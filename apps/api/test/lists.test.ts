import { beforeAll, describe, expect, it } from 'vitest'
import { type Body, testApi } from './api.ts'

let api: Awaited<ReturnType<typeof testApi>>
let ids: string[]
beforeAll(async () => {
  api = await testApi()
  const items = Array.from({ length: 25 }, (_, i) => ({
    kind: i % 5 === 0 ? 'pass' : 'ticket',
    scope: i % 2 === 0 ? 'even' : 'odd',
    subject: `s-${i}`,
    expires_in: 3_600,
  }))
  ids = (await api.call('POST', '/v1/resources/bulk', { items })).body.items.map((item: Body) => item.id)
})

/** All pages of a list. */
const walk = async (path: string): Promise<Body[][]> => {
  const pages: Body[][] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body } = await api.call('GET', `${path}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)
    pages.push(body.items)
    cursor = body.next_cursor
  }
  return pages
}

describe('lists', () => {
  it('pages hold everything once, the newest first, and the last one says so', async () => {
    for (const path of ['/v1/resources?limit=10', '/v1/events?limit=10&type=issued', '/v1/resources?limit=5']) {
      const pages = await walk(path)
      const seen = pages.flat().map((item) => item.resource_id ?? item.id)
      expect(pages.map((page) => page.length)).toEqual(path.includes('limit=5') ? [5, 5, 5, 5, 5] : [10, 10, 5])
      expect([...seen].sort()).toEqual([...ids].sort())
    }
    const [all] = await walk('/v1/resources?limit=200')
    expect(all?.map((item) => item.id)).toEqual([...ids].sort().reverse())
  })

  it('what is issued in between does not disturb the pages that follow', async () => {
    const first = await api.call('GET', '/v1/resources?limit=10&scope=even')
    await api.call('POST', '/v1/resources', { kind: 'ticket', scope: 'even', subject: 'late', expires_in: 3_600 })
    const rest = await walk(`/v1/resources?limit=10&scope=even&cursor=${first.body.next_cursor}`)
    const seen = [...first.body.items, ...rest.flat()].map((item) => item.subject)
    expect(seen).toHaveLength(13)
    expect(seen).not.toContain('late')
  })

  it('filters narrow, together; count counts them all', async () => {
    const count = async (query: string) =>
      (await api.call('GET', `/v1/resources?limit=1&count=true&${query}`)).body.count
    expect(await count('kind=pass')).toBe(5)
    expect(await count('kind=pass&scope=even')).toBe(3)
    expect(await count('subject=s-7')).toBe(1)
    expect(await count('kind=nobody')).toBe(0)
    expect((await api.call('GET', '/v1/resources')).body.count).toBeUndefined()
  })

  it('C4: ended but not swept: absent from live lists and counts, expired everywhere', async () => {
    const id = ids[1] ?? ''
    await api.age(id, 7_200)
    const live = await walk('/v1/resources?limit=200&live=true')
    expect(live.flat().map((item) => item.id)).not.toContain(id)
    const over = await api.call('GET', '/v1/resources?live=false&count=true')
    expect([over.body.count, over.body.items[0].id, over.body.items[0].status]).toEqual([1, id, 'expired'])
    expect((await api.call('GET', '/v1/resources?status=expired&count=true')).body.count).toBe(1)
    expect((await api.call('GET', '/v1/resources?status=active&subject=s-1')).body.items).toEqual([])
  })

  it('events are filtered by resource, kind, type, trigger and time', async () => {
    const id = ids[2] ?? ''
    await api.call('POST', `/v1/resources/${id}/revoke`)
    const types = async (query: string) =>
      (await api.call('GET', `/v1/events?${query}`)).body.items.map((event: Body) => event.type)
    expect(await types(`resource_id=${id}`)).toEqual(['revoked', 'issued'])
    expect(await types(`resource_id=${id}&type=revoked&trigger=manual&kind=ticket`)).toEqual(['revoked'])
    expect(await types(`resource_id=${id}&trigger=job`)).toEqual([])
    const [revoked] = (await api.call('GET', `/v1/events?resource_id=${id}&limit=1`)).body.items
    expect(await types(`resource_id=${id}&since=${revoked.at}`)).toEqual(['revoked'])
    expect(await types(`resource_id=${id}&until=${revoked.at}`)).toEqual(['issued'])
    expect((await api.call('GET', '/v1/events?since=yesterday')).body).toMatchObject({ status: 422, field: 'since' })
    expect((await api.call('GET', '/v1/events?resource_id=7')).body).toMatchObject({
      status: 422,
      field: 'resource_id',
    })
  })

  it('J1: the events of a resource outlive it', async () => {
    const id = ids[3] ?? ''
    await api.sql('DELETE FROM resource WHERE id = $1', [id])
    expect((await api.call('GET', `/v1/resources/${id}`)).status).toBe(404)
    expect((await api.call('GET', `/v1/resources/${id}/events`)).body.items).toMatchObject([{ type: 'issued' }])
    expect((await api.call('GET', `/v1/resources/${id}/events?type=expired`)).body.items).toEqual([])
  })
})
