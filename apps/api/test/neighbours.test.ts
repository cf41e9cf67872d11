import { request } from 'node:http'
import { until } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { costOf } from '../src/http/concurrency.ts'
import { type Answer, type Body, testApi } from './api.ts'

const api = await testApi({ env: { LAPSE_DB_POOL_SIZE: '12' } })

const organization = async (name: string): Promise<string> =>
  (await api.call('POST', '/v1/organizations', { name })).body.id

/** A token that is bound to an organization. */
const tokenOf = async (organization: string, scopes: string[]): Promise<Record<string, string>> => {
  const { body } = await api.call('POST', '/v1/api-tokens', { name: 'one of many', scopes, organization })
  return { authorization: `Bearer ${body.token}` }
}

const [noisy, quiet] = [await organization('Noisy'), await organization('Quiet')]
const all = ['access-grants:read', 'access-grants:write', 'deliveries:read', 'resources:read']
const noisyToken = await tokenOf(noisy, all)
const quietToken = await tokenOf(quiet, all)
const { body: ticket } = await api.call('POST', '/v1/resources', {
  kind: 'ticket',
  expires_in: 3_600,
  organization: quiet,
})

const statusesOf = (answers: readonly Answer[]): number[] => [...new Set(answers.map(({ status }) => status))].sort()

/** Goes on with it in so many loops until it is stopped; answers everything that was answered. */
const looping = (loops: number, ask: (i: number) => Promise<Answer>) => {
  let stopped = false
  const answers: Answer[] = []
  const running = Array.from({ length: loops }, async (_, loop) => {
    for (let i = 0; !stopped; i++) answers.push(await ask(loop * 1_000 + i))
  })
  return {
    answers,
    stop: async () => {
      stopped = true
      await Promise.all(running)
    },
  }
}

const grants = (of: number) =>
  Array.from({ length: 200 }, (_, i) => ({ resource: `d:${of}:${i}`, relation: 'viewer', subject: 'user:1' }))

const heaviest: Record<string, (i: number) => Promise<Answer>> = {
  deliveries: () => api.call('GET', '/v1/deliveries', undefined, noisyToken),
  counts: () => api.call('GET', '/v1/access-grants/count', undefined, noisyToken),
  imports: (i) => api.call('POST', '/v1/access-grants/import', { items: grants(i), organization: noisy }, noisyToken),
  polls: () => api.call('GET', '/v1/access-grants/watch?wait=20&cursor=now', undefined, noisyToken),
}

describe('K4: one organization’s token loops its heaviest reads and writes', () => {
  it.each([
    ['deliveries', 30],
    ['counts', 30],
    ['imports', 40],
  ])(
    '%s in %i loops: another organization’s checks are answered, /readyz is 200, and the loops are bounded',
    async (what, loops) => {
      const loop = looping(loops, heaviest[what] as (typeof heaviest)[string])
      await until(() => loop.answers.length > 0, { timeout: 20_000, what: 'the first answer' })
      const beside: Answer[] = []
      let most = 0
      for (let round = 0; round < 20; round++) {
        beside.push(
          await api.call('POST', `/v1/resources/${ticket.id}/check`, undefined, quietToken),
          await api.call('GET', '/readyz'),
        )
        const [row] = await api.sql(`SELECT count(*)::int AS n FROM pg_stat_activity
        WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()`)
        most = Math.max(most, row.n)
      }
      await loop.stop()
      expect(statusesOf(beside)).toEqual([200])
      // A third of twelve is what one organization may hold; one is the check's, or that of a statement all share.
      expect(most).toBeLessThanOrEqual(6)
      for (const { status, headers } of loop.answers)
        if (status !== 200 && status !== 201)
          expect([status, headers.get('retry-after')]).toEqual([429, expect.stringMatching(/^\d+$/)])
      expect(loop.answers.some(({ status }) => status < 300)).toBe(true)
    },
  )

  it('300 long polls: ten of a token wait, the others are refused at once, and their places are free again when they go', async () => {
    const answers: string[] = []
    // Each on a connection of its own, which goes with it.
    const polls = Array.from({ length: 300 }, () => {
      const poll = request(`${api.url}/v1/access-grants/watch?wait=20&cursor=now`, {
        headers: noisyToken,
        agent: false,
      })
      poll.on('error', () => {})
      poll.on('response', ({ statusCode, headers }) => answers.push(`${statusCode} ${headers['retry-after']}`))
      return poll.end()
    })
    await until(() => answers.length === 290, { timeout: 15_000, what: '290 refusals' })
    expect([...new Set(answers)]).toEqual(['429 1'])
    const { status } = await api.call('POST', `/v1/resources/${ticket.id}/check`, undefined, quietToken)
    expect([status, (await api.call('GET', '/readyz')).status]).toEqual([200, 200])
    for (const poll of polls) poll.destroy()
    const again = async () =>
      (await api.call('GET', '/v1/access-grants/watch?cursor=now', undefined, noisyToken)).status
    await until(async () => (await again()) === 200, { what: 'a free place' })
  })
})

describe('a client that asks again at once, whatever it is told', () => {
  it('is refused forty times a second, however many it sends', async () => {
    const { body } = await api.call('POST', '/v1/api-tokens', {
      name: 'in a hurry',
      scopes: ['resources:read'],
      rate_limit: { requests: 1, seconds: 600 },
    })
    const headers = { authorization: `Bearer ${body.token}` }
    const ask = () => api.call('GET', `/v1/resources/${ticket.id}`, undefined, headers)
    expect((await ask()).status).toBe(200)
    const start = performance.now()
    const refused = await Promise.all(Array.from({ length: 60 }, ask))
    expect(statusesOf(refused)).toEqual([429])
    // A timer may fire a millisecond early.
    expect(performance.now() - start).toBeGreaterThan(59 * 25 - 5)
  })
})

describe('what a request costs', () => {
  it('every list of the API is heavy, and nothing that names one thing is', async () => {
    const { body } = await api.call('GET', '/openapi.json')
    const operations = Object.entries(body.paths as Record<string, Record<string, Body>>).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
    )
    const costs = operations
      .filter(({ path }) => path.startsWith('/v1/'))
      .map(({ path, method, operation }) => {
        const url = path.replace(/\{(\w+)\}/g, ':$1')
        const isList = (operation.parameters ?? []).some(({ name }: Body) => name === 'limit')
        return { url, method, isList, cost: costOf({ url, method }) }
      })
    const lists = costs.filter(({ isList, cost }) => isList && cost === 'light')
    expect(lists).toEqual([])
    const single = costs.filter(({ url, method, cost }) => method === 'GET' && url.endsWith(':id') && cost !== 'light')
    expect(single).toEqual([])
    expect(costs.filter(({ cost }) => cost === 'heavy').length).toBeGreaterThan(25)
  })
})
