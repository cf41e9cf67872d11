import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Body, testApi, token } from './api.ts'
import { fill } from './list-rows.ts'

/** A table with fewer rows may be read whole. */
const manyRows = 1_000
/** What one answer may read: `mostLooked` along each of the few ways to it, once more where it stops, and counting them. */
const mostRead = 30_000

/** Each filter of each list with a value that is common and one that is rare; a filter that has neither fails the test. */
const kinds = { kind: ['ticket', 'rare'] }
const seen = { status: ['active', 'grace'], live: ['true', 'false'] }
const named = {
  scope: ['document:pro', 'document:7'],
  subject: ['user:robot', 'user:7'],
  organization_id: ['$big', '$small'],
}
const reference = { reference: ['reference-7', 'reference-none'] }
const time = { since: ['$past', '$recent'], until: ['$now', '$recent'] }
const grant = { resource: ['document:pro', 'document:7'], relation: ['viewer', 'owner'], subject: named.subject }
const counted = { count: ['true', 'true'] }

type Filters = Record<string, readonly [string, string] | readonly string[]>

const lists: Record<string, Filters> = {
  'GET /v1/resources': { ...kinds, ...seen, ...named, ...reference, ...counted },
  'GET /v1/trials': { ...seen, ...named, ...reference, ...counted },
  'GET /v1/invites': {
    organization: ['$big', '$small'],
    email: ['robot@example.com', 'a@example.com'],
    ...seen,
    ...counted,
  },
  'GET /v1/promo-codes': { code: ['reference-7', 'none'], organization_id: named.organization_id, ...seen, ...counted },
  'GET /v1/promo-codes/{id}/redemptions': {},
  'GET /v1/share-links': { ...named, ...seen, ...counted },
  'GET /v1/http-calls': { ...named, ...reference, status: ['active', 'revoked'], ...counted },
  'GET /v1/api-tokens': { organization_id: named.organization_id, live: seen.live },
  'GET /v1/access-grants': { ...grant, organization_id: named.organization_id, live: seen.live },
  'GET /v1/access-grants/count': { ...grant, organization_id: named.organization_id, live: seen.live },
  'GET /v1/access-grants/export': { ...grant, organization_id: named.organization_id },
  'GET /v1/access-grants/watch': { ...grant, organization_id: named.organization_id },
  'GET /v1/events': {
    resource_id: ['$busy', '$one'],
    ...kinds,
    type: ['expired', 'refused'],
    trigger: ['job', 'lazy'],
    ...time,
  },
  'GET /v1/resources/{id}/events': { type: ['used', 'issued'], trigger: ['job', 'lazy'], ...time },
  'GET /v1/deliveries': {
    ...{
      status: ['sent', 'failed'],
      channel: ['email', 'call'],
      kind: ['ticket', 'rare'],
      event: ['expired', 'reminded'],
    },
    ...{ target: ['user:robot@example.com', 'user:7@example.com'], resource_id: ['$busy', '$one'] },
    ...{ organization_id: named.organization_id, ...time },
  },
  'GET /v1/organizations': { status: ['active', 'deleted'], reference: ['organization-7', 'none'] },
  'GET /v1/users': { email: ['user-7@example.com', 'none@example.com'], reference: ['user-7', 'none'] },
  'GET /v1/memberships': { organization: ['$big', '$small'], user: ['user-7', 'user-0'] },
  'GET /v1/webhook-endpoints': { organization_id: named.organization_id, status: ['enabled', 'disabled'] },
  'GET /v1/mail-suppressions': { address: ['user-7@example.com', 'none@example.com'] },
}

/** What else can be got with a query. */
const others: Record<string, string> = {
  'GET /v1/sessions': 'of one user, the newest 200: the list of resources by kind, subject and live',
  'GET /v1/abuse': 'sums over a span, by the indexes of what was refused and who was invited',
  'GET /v1/forecast': 'sums over what is due',
}

let api: Awaited<ReturnType<typeof testApi>>
let values: Record<string, string>
let reader: pg.Client
let operations: Map<string, Body>
const asked: { text: string; values: unknown[] }[] = []
const real = pg.Client.prototype.query

beforeAll(async () => {
  api = await testApi({
    log: (line) => {
      if (line.includes('"err"')) console.log(line.slice(0, 600))
    },
  })
  values = await fill(api.sql, Number(process.env.LIST_ROWS ?? 60_000))
  reader = new pg.Client({
    connectionString: api.ownerUrl,
    // As every session of ours has it.
    options: '-c timezone=UTC -c plan_cache_mode=force_generic_plan',
  })
  await reader.connect()
  const { paths } = (await api.call('GET', '/openapi.json', undefined, { authorization: '' })).body
  operations = new Map(
    Object.entries<Body>(paths).flatMap(([path, methods]) => (methods.get ? [[`GET ${path}`, methods.get]] : [])),
  )
  // What the API asks PostgreSQL, as it asks it.
  pg.Client.prototype.query = function (this: pg.Client, ...args: Parameters<typeof real>) {
    const [query] = args as unknown as [{ text?: string; values?: unknown[] }]
    if (this !== reader && /^\s*(SELECT|WITH)/.test(query?.text ?? ''))
      asked.push({ text: query.text ?? '', values: query.values ?? [] })
    return real.apply(this, args)
  } as typeof real
}, 600_000)

afterAll(async () => {
  pg.Client.prototype.query = real
  await reader?.end()
})

interface Node {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly 'Rows Removed by Index Recheck'?: number
  readonly Plans?: Node[]
}

const nodesOf = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)]

/** The plan of a statement as a prepared one has it, and how many rows of tables it read. */
const planOf = async ({ text, values }: { text: string; values: unknown[] }) => {
  const given = values.map((value) =>
    value === null ? 'NULL' : pg.escapeLiteral(Array.isArray(value) ? `{${value.join(',')}}` : String(value)),
  )
  await reader.query(`PREPARE one AS ${text}`)
  try {
    const { rows } = await reader.query(
      `EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF, BUFFERS OFF) EXECUTE one${given.length > 0 ? `(${given.join(', ')})` : ''}`,
    )
    const nodes = nodesOf(rows[0]['QUERY PLAN'][0].Plan)
    const scans = nodes.filter((node) => node['Relation Name'])
    const read = (node: Node) =>
      (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)) *
      node['Actual Loops']
    return {
      read: scans.reduce((sum, node) => sum + read(node), 0),
      whole: scans
        .filter((node) => node['Node Type'] === 'Seq Scan' && read(node) > manyRows)
        .map((node) => node['Relation Name']),
      plan: scans.map((node) =>
        [node['Node Type'], node['Index Name'] ?? node['Relation Name'], read(node), node['Actual Loops']].join(' '),
      ),
    }
  } finally {
    await reader.query('DEALLOCATE one')
  }
}

/** Every subset of the filters, with common and rare values in turn; the small subsets with all of either. */
const combinationsOf = (filters: Filters): string[] => {
  const names = Object.keys(filters)
  const queries = new Set<string>()
  for (let subset = 0; subset < 2 ** names.length; subset++) {
    const chosen = names.filter((_, i) => subset & (1 << i))
    const picks = [(i: number) => (i + chosen.length + subset) % 2]
    if (chosen.length <= 2)
      picks.push(
        () => 0,
        () => 1,
      )
    for (const pick of picks) {
      const query = new URLSearchParams({ limit: '50' })
      chosen.forEach((name, i) => {
        const value = filters[name]?.[pick(i)] ?? ''
        query.set(name, value.startsWith('$') ? (values[value.slice(1)] ?? value) : value)
      })
      queries.add(query.toString())
    }
  }
  return [...queries]
}

describe('every list', () => {
  it('is known to this test, with all its filters', () => {
    const described = [...operations].filter(
      ([name, { parameters = [] }]) => name.includes(' /v1/') && parameters.some((one: Body) => one.in === 'query'),
    )
    const known = described.map(([name, { parameters }]) => [
      name,
      parameters
        .filter((one: Body) => one.in === 'query' && !['limit', 'cursor', 'wait'].includes(one.name))
        .map((one: Body) => one.name)
        .sort(),
    ])
    expect(Object.fromEntries(known.filter(([name]) => !others[name as string]))).toEqual(
      Object.fromEntries(Object.entries(lists).map(([name, filters]) => [name, Object.keys(filters).sort()])),
    )
  })

  it.each(Object.keys(lists))(
    '%s reads by an index, and little, whatever its filters',
    async (name) => {
      const worst: { read: number; query: string; plans: string[] } = { read: 0, query: '', plans: [] }
      let refused = 0
      const streams = name.endsWith('/export') || name.endsWith('/watch')
      // A watch that finds nothing looks again and again.
      const combinations = combinationsOf(lists[name] ?? {}).filter(
        (query) => !name.endsWith('/watch') || query.split('&').length < 3,
      )
      for (const query of combinations) {
        asked.length = 0
        const path = name.replace('GET ', '').replace('{id}', values.busy ?? '')
        const asIs = name.endsWith('/count') || name.endsWith('/export') ? query.replace(/&?limit=50&?/, '') : query
        const response = await fetch(`${api.url}${path}?${asIs}`, { headers: { authorization: `Bearer ${token}` } })
        const [status, text] = [response.status, await response.text()]
        const body: Body = status === 422 ? JSON.parse(text) : undefined
        expect([query, status, text]).toEqual([query, expect.toBeOneOf([200, 422, 404]), text])
        if (status === 422) {
          expect([query, body.code]).toEqual([query, 'too_broad'])
          refused++
        }
        let read = 0
        const plans: string[] = []
        const statements = asked.splice(0)
        // An export asks the same for page after page, and a watch until it finds something: the last stands for them.
        const judged = streams ? [...new Map(statements.map((one) => [one.text, one])).values()] : statements
        for (const statement of judged) {
          const found = await planOf(statement)
          expect([query, found.whole, found.whole.length > 0 && found.plan]).toEqual([query, [], false])
          read += found.read
          plans.push(...found.plan)
        }
        if (read > worst.read) Object.assign(worst, { read, query, plans })
      }
      if (process.env.LIST_ROWS) console.log(name, combinations.length, refused, worst.read, worst.query)
      expect(refused).toBeLessThan(combinations.length * 0.6)
      expect([worst.query, worst.read]).toEqual([worst.query, expect.toSatisfy((read: number) => read < mostRead)])
    },
    300_000,
  )
})
