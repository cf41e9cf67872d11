import { randomUUID } from 'node:crypto'
import { nowSql } from '@lapse/testkit'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Answer, type Body, testApi } from './api.ts'
import { machines, type Operation, operationsOf } from './operations.ts'
import { people } from './people.ts'

/** What another organization has, or what nobody has. */
interface Place {
  readonly organization: string
  readonly reference: string
  /** One of each kind. */
  readonly resources: readonly string[]
  readonly membership: string
  readonly user: string
  readonly delivery: string
  readonly endpoint: string
  /** A test that it was sent. */
  readonly webhook: string
  readonly scope: string
  readonly subject: string
  readonly token: string
  readonly code: string
  readonly pass: string
  readonly grant: { readonly resource: string; readonly relation: string; readonly subject: string }
}

/** Asks for what there is at a place: the whole address, and perhaps a body. */
type Asked = readonly [path: string, body?: object]

/**
 * One row for each route that takes a token: what to ask for. `unbound`: it is not for tokens that are bound to an
 * organization. `secret`: whoever has the secret that it takes may have what it opens, without any token.
 */
const table: Record<string, 'unbound' | 'secret' | ((place: Place) => Asked[])> = {
  'POST /v1/resources': ({ organization, reference }) =>
    [organization, reference].map((name) => ['/v1/resources', { kind: 'pass', organization: name }]),
  'POST /v1/resources/bulk': ({ organization, reference }) =>
    [organization, reference].map((name) => [
      '/v1/resources/bulk',
      { items: [{ kind: 'pass' }, { kind: 'pass', organization: name }] },
    ]),
  'GET /v1/resources': ({ organization, scope, subject }) => [
    [`/v1/resources?organization_id=${organization}&count=true`],
    [`/v1/resources?scope=${scope}&count=true`],
    [`/v1/resources?subject=${subject}&count=true`],
  ],
  'GET /v1/resources/{id}': (place) => place.resources.map((id) => [`/v1/resources/${id}`]),
  'POST /v1/resources/{id}/check': (place) => place.resources.map((id) => [`/v1/resources/${id}/check`]),
  'POST /v1/resources/{id}/consume': (place) => place.resources.map((id) => [`/v1/resources/${id}/consume`]),
  'POST /v1/resources/{id}/renew': (place) =>
    place.resources.map((id) => [`/v1/resources/${id}/renew`, { expires_in: 60 }]),
  'POST /v1/resources/{id}/revoke': (place) => place.resources.map((id) => [`/v1/resources/${id}/revoke`]),
  'POST /v1/resources/{id}/expire': (place) => place.resources.map((id) => [`/v1/resources/${id}/expire`]),
  'GET /v1/resources/{id}/events': (place) => place.resources.map((id) => [`/v1/resources/${id}/events`]),
  'POST /v1/resources/bulk/renew': ({ organization, scope }) =>
    [{ organization_id: organization }, { scope }].map((filter) => [
      '/v1/resources/bulk/renew',
      { filter: { kind: 'trial', ...filter }, expires_in: 60 },
    ]),
  'POST /v1/resources/bulk/revoke': ({ organization, scope, subject }) =>
    [{ organization_id: organization }, { scope }, { subject }].map((filter) => [
      '/v1/resources/bulk/revoke',
      { filter },
    ]),
  'GET /v1/forecast': ({ organization }) => [[`/v1/forecast?organization_id=${organization}&bucket=day&count=400`]],

  'POST /v1/trials': ({ organization, reference }) =>
    [organization, reference].map((name) => ['/v1/trials', { organization: name }]),
  'GET /v1/trials': ({ organization, scope }) => [
    [`/v1/trials?organization_id=${organization}&count=true`],
    [`/v1/trials?scope=${scope}&count=true`],
  ],
  'GET /v1/trials/{id}': (place) => place.resources.map((id) => [`/v1/trials/${id}`]),
  'POST /v1/trials/{id}/extend': (place) =>
    place.resources.map((id) => [`/v1/trials/${id}/extend`, { expires_in: 5_000_000 }]),
  'POST /v1/trials/{id}/convert': (place) => place.resources.map((id) => [`/v1/trials/${id}/convert`]),
  'POST /v1/trials/{id}/cancel': (place) => place.resources.map((id) => [`/v1/trials/${id}/cancel`]),

  'POST /v1/organizations': 'unbound',
  'GET /v1/organizations': 'unbound',
  'GET /v1/organizations/{id}': ({ organization, reference }) =>
    [organization, reference].map((name) => [`/v1/organizations/${name}`]),
  'PATCH /v1/organizations/{id}': 'unbound',
  'DELETE /v1/organizations/{id}': 'unbound',
  'POST /v1/organizations/{id}/suspend': 'unbound',
  'POST /v1/organizations/{id}/restore': 'unbound',

  'POST /v1/users': 'unbound',
  'GET /v1/users': 'unbound',
  'GET /v1/users/{id}': 'unbound',
  'PATCH /v1/users/{id}': 'unbound',
  'DELETE /v1/users/{id}': 'unbound',

  'POST /v1/memberships': ({ organization, reference }) =>
    [organization, reference].map((name) => [
      '/v1/memberships',
      { organization: name, user: 'the-member', role: 'owner' },
    ]),
  'GET /v1/memberships': ({ organization, reference }) =>
    [organization, reference].map((name) => [`/v1/memberships?organization=${name}`]),
  'GET /v1/memberships/{id}': ({ membership }) => [[`/v1/memberships/${membership}`]],
  'PATCH /v1/memberships/{id}': ({ membership }) => [[`/v1/memberships/${membership}`, { role: 'owner' }]],
  'DELETE /v1/memberships/{id}': ({ membership }) => [[`/v1/memberships/${membership}`]],

  'POST /v1/invites': ({ organization, reference }) =>
    [organization, reference].map((name) => [
      '/v1/invites',
      { organization: name, email: 'new@example.com', role: 'member', deliver: 'return' },
    ]),
  'GET /v1/invites': ({ organization, reference }) =>
    [organization, reference].map((name) => [`/v1/invites?organization=${name}&count=true`]),
  'GET /v1/invites/{id}': (place) => place.resources.map((id) => [`/v1/invites/${id}`]),
  'POST /v1/invites/{id}/resend': (place) =>
    place.resources.map((id) => [`/v1/invites/${id}/resend`, { deliver: 'return' }]),
  'POST /v1/invites/{id}/revoke': (place) => place.resources.map((id) => [`/v1/invites/${id}/revoke`]),
  'POST /v1/invites/accept': 'unbound',

  'POST /v1/sessions': 'unbound',
  'GET /v1/sessions': 'unbound',
  'POST /v1/sessions/check': 'unbound',
  'POST /v1/sessions/{id}/revoke': 'unbound',
  'POST /v1/sessions/revoke': 'unbound',
  'POST /v1/verifications': 'unbound',
  'POST /v1/verifications/consume': 'unbound',

  'POST /v1/api-tokens': ({ organization, reference }) =>
    [organization, reference].map((name) => ['/v1/api-tokens', { name: 'x', scopes: ['*'], organization: name }]),
  'GET /v1/api-tokens': ({ organization }) => [[`/v1/api-tokens?organization_id=${organization}`]],
  'GET /v1/api-tokens/{id}': (place) => place.resources.map((id) => [`/v1/api-tokens/${id}`]),
  'POST /v1/api-tokens/{id}/rotate': (place) => place.resources.map((id) => [`/v1/api-tokens/${id}/rotate`]),
  'POST /v1/api-tokens/{id}/renew': (place) =>
    place.resources.map((id) => [`/v1/api-tokens/${id}/renew`, { expires_in: 60 }]),
  'POST /v1/api-tokens/{id}/revoke': (place) => place.resources.map((id) => [`/v1/api-tokens/${id}/revoke`]),
  'POST /v1/api-tokens/verify': ({ token }) => [['/v1/api-tokens/verify', { token }]],

  'POST /v1/promo-codes': ({ organization, reference }) =>
    [organization, reference].map((name) => ['/v1/promo-codes', { organization: name }]),
  'GET /v1/promo-codes': ({ organization, code }) => [
    [`/v1/promo-codes?organization_id=${organization}&count=true`],
    [`/v1/promo-codes?code=${code}&count=true`],
  ],
  'GET /v1/promo-codes/{id}': (place) => place.resources.map((id) => [`/v1/promo-codes/${id}`]),
  'GET /v1/promo-codes/{id}/redemptions': (place) => place.resources.map((id) => [`/v1/promo-codes/${id}/redemptions`]),
  'POST /v1/promo-codes/check': ({ organization, reference, code }) =>
    [organization, reference, undefined].map((name) => ['/v1/promo-codes/check', { code, organization: name }]),
  'POST /v1/promo-codes/redeem': ({ organization, reference, code }) =>
    [organization, reference, undefined].map((name) => [
      '/v1/promo-codes/redeem',
      { code, holder: 'ada', organization: name },
    ]),
  'POST /v1/promo-codes/{id}/renew': (place) =>
    place.resources.map((id) => [`/v1/promo-codes/${id}/renew`, { expires_in: 60 }]),
  'POST /v1/promo-codes/{id}/revoke': (place) => place.resources.map((id) => [`/v1/promo-codes/${id}/revoke`]),

  'POST /v1/share-links': ({ organization, reference }) =>
    [organization, reference].map((name) => ['/v1/share-links', { title: 'x', organization: name }]),
  'GET /v1/share-links': ({ organization, scope }) => [
    [`/v1/share-links?organization_id=${organization}&count=true`],
    [`/v1/share-links?scope=${scope}&count=true`],
  ],
  'GET /v1/share-links/{id}': (place) => place.resources.map((id) => [`/v1/share-links/${id}`]),
  'POST /v1/share-links/unlock': 'secret',
  'POST /v1/share-links/check': ({ pass }) => [['/v1/share-links/check', { pass }]],
  'POST /v1/share-links/{id}/renew': (place) =>
    place.resources.map((id) => [`/v1/share-links/${id}/renew`, { expires_in: 60 }]),
  'POST /v1/share-links/{id}/revoke': (place) => place.resources.map((id) => [`/v1/share-links/${id}/revoke`]),

  'POST /v1/access-grants': ({ organization, reference, grant }) =>
    [organization, reference].map((name) => ['/v1/access-grants', { ...grant, organization: name }]),
  'POST /v1/access-grants/touch': ({ organization, reference, grant }) =>
    [organization, reference].map((name) => [
      '/v1/access-grants/touch',
      { ...grant, expires_in: 60, organization: name },
    ]),
  'POST /v1/access-grants/delete': ({ organization, reference, grant }) =>
    [organization, reference, undefined].flatMap((name): Asked[] => [
      ['/v1/access-grants/delete', { ...grant, organization: name }],
      ['/v1/access-grants/delete', { resource: grant.resource, organization: name }],
      ['/v1/access-grants/delete', { subject: grant.subject, organization: name }],
    ]),
  'POST /v1/access-grants/write': ({ organization, reference, grant }) =>
    [organization, reference].map((name) => [
      '/v1/access-grants/write',
      { updates: [{ op: 'delete', ...grant }], organization: name },
    ]),
  'POST /v1/access-grants/import': ({ organization, reference, grant }) =>
    [organization, reference].map((name) => ['/v1/access-grants/import', { items: [grant], organization: name }]),
  'POST /v1/access-grants/check': ({ organization, reference, grant }) =>
    [organization, reference, undefined].map((name) => ['/v1/access-grants/check', { ...grant, organization: name }]),
  'POST /v1/access-grants/check-many': ({ organization, reference, grant }) =>
    [organization, reference, undefined].map((name) => [
      '/v1/access-grants/check-many',
      { items: [grant], organization: name },
    ]),
  'GET /v1/access-grants': (place) => grantLists('/v1/access-grants', place),
  'GET /v1/access-grants/count': (place) => grantLists('/v1/access-grants/count', place),
  'GET /v1/access-grants/export': (place) => grantLists('/v1/access-grants/export', place),
  'GET /v1/access-grants/watch': (place) => grantLists('/v1/access-grants/watch', place),

  'POST /v1/http-calls': ({ organization, reference }) =>
    [organization, reference].map((name) => [
      '/v1/http-calls',
      { url: 'https://example.com/', expires_in: 60, organization: name },
    ]),
  'GET /v1/http-calls': ({ organization, scope, subject }) => [
    [`/v1/http-calls?organization_id=${organization}&count=true`],
    [`/v1/http-calls?scope=${scope}&count=true`],
    [`/v1/http-calls?subject=${subject}&count=true`],
  ],
  'GET /v1/http-calls/{id}': (place) => place.resources.map((id) => [`/v1/http-calls/${id}`]),
  'POST /v1/http-calls/{id}/reschedule': (place) =>
    place.resources.map((id) => [`/v1/http-calls/${id}/reschedule`, { expires_in: 60 }]),
  'POST /v1/http-calls/{id}/make-now': (place) => place.resources.map((id) => [`/v1/http-calls/${id}/make-now`]),
  'POST /v1/http-calls/{id}/cancel': (place) => place.resources.map((id) => [`/v1/http-calls/${id}/cancel`]),

  'POST /v1/webhook-endpoints': ({ organization, reference }) =>
    [organization, reference].map((name) => [
      '/v1/webhook-endpoints',
      { url: 'https://example.com/hook', organization: name },
    ]),
  'GET /v1/webhook-endpoints': ({ organization }) => [[`/v1/webhook-endpoints?organization_id=${organization}`]],
  'GET /v1/webhook-endpoints/{id}': ({ endpoint }) => [[`/v1/webhook-endpoints/${endpoint}`]],
  'PATCH /v1/webhook-endpoints/{id}': ({ endpoint }) => [[`/v1/webhook-endpoints/${endpoint}`, { description: 'x' }]],
  'DELETE /v1/webhook-endpoints/{id}': ({ endpoint }) => [[`/v1/webhook-endpoints/${endpoint}`]],
  'POST /v1/webhook-endpoints/{id}/rotate-secret': ({ endpoint }) => [
    [`/v1/webhook-endpoints/${endpoint}/rotate-secret`],
  ],
  'POST /v1/webhook-endpoints/{id}/disable': ({ endpoint }) => [[`/v1/webhook-endpoints/${endpoint}/disable`]],
  'POST /v1/webhook-endpoints/{id}/enable': ({ endpoint }) => [[`/v1/webhook-endpoints/${endpoint}/enable`]],
  'POST /v1/webhook-endpoints/{id}/test': ({ endpoint }) => [[`/v1/webhook-endpoints/${endpoint}/test`]],
  'POST /v1/webhook-endpoints/{id}/replay': ({ endpoint }) => [
    [`/v1/webhook-endpoints/${endpoint}/replay`, { since: '2020-01-01T00:00:00Z' }],
  ],

  'GET /v1/events': 'unbound',
  'GET /v1/deliveries': ({ organization, resources }) => [
    [`/v1/deliveries?organization_id=${organization}`],
    ...resources.map((id): Asked => [`/v1/deliveries?resource_id=${id}`]),
  ],
  'GET /v1/alerts': 'unbound',
  'GET /v1/deliveries/{id}': ({ delivery, webhook }) => [delivery, webhook].map((id) => [`/v1/deliveries/${id}`]),
  'POST /v1/deliveries/{id}/retry': ({ delivery, webhook }) =>
    [delivery, webhook].map((id) => [`/v1/deliveries/${id}/retry`]),
  'POST /v1/deliveries/{id}/replay': ({ delivery, webhook }) =>
    [delivery, webhook].map((id) => [`/v1/deliveries/${id}/replay`]),
  'POST /v1/deliveries/{id}/cancel': ({ delivery }) => [[`/v1/deliveries/${delivery}/cancel`]],
  'POST /v1/deliveries/retry': ({ organization, resources }) => [
    ['/v1/deliveries/retry', { organization_id: organization }],
    ...resources.map((id): Asked => ['/v1/deliveries/retry', { resource_id: id }]),
    ['/v1/deliveries/retry'],
  ],
  'POST /v1/deliveries/{id}/bounced': 'unbound',
  'GET /v1/mail-suppressions': 'unbound',
  'DELETE /v1/mail-suppressions/{id}': 'unbound',
  'GET /v1/abuse': 'unbound',
}

const grantLists = (path: string, { organization, grant: { resource, subject } }: Place): Asked[] => [
  [`${path}?organization_id=${organization}`],
  [`${path}?resource=${resource}`],
  [`${path}?subject=${subject}`],
]

/** Those that say in their own way that there is nothing of this id. */
const otherwise = ['POST /v1/resources/{id}/check']

let api: Awaited<ReturnType<typeof testApi>>
let operations: Operation[]
let theirs: Place
let nobodys: Place
let own: { id: string; ask: ReturnType<ReturnType<typeof machines>['asking']> }
let their: typeof own
let root: readonly string[]

beforeAll(async () => {
  api = await testApi()
  const all = people(api)
  const { created, machine } = machines(api)
  const post = async (path: string, body: object): Promise<Body> => {
    const answer = await api.call('POST', path, body)
    if (answer.status !== 201) throw new Error(`${path}: ${answer.text}`)
    return answer.body
  }
  operations = (await operationsOf(api)).filter(({ scope }) => scope)

  const [mine, other] = [await all.organization({ reference: 'mine' }), await all.organization({ reference: 'theirs' })]
  const user = await all.user('member@example.com', { reference: 'the-member' })
  const membership = await all.member(other.id, user.id)
  const about = { organization: other.id, scope: 'their-scope', subject: 'their-subject' }
  const trial = await post('/v1/trials', { ...about, email: 'their@example.com' })
  const token = await created({ organization: other.id })
  const code = await post('/v1/promo-codes', { organization: other.id, code: 'THEIR-CODE' })
  const link = await post('/v1/share-links', { ...about, title: 'theirs' })
  const { pass } = (await api.call('POST', '/v1/share-links/unlock', { token: link.token })).body
  const grant = { resource: 'document:theirs', relation: 'viewer', subject: 'user:theirs' }
  const made = [
    trial,
    await post('/v1/resources', { kind: 'pass', ...about }),
    await all.invite(other.id, 'guest@example.com'),
    token,
    code,
    link,
    await post('/v1/access-grants', { ...grant, organization: other.id, expires_in: 3600 }),
    await post('/v1/http-calls', { ...about, url: 'https://example.com/theirs', expires_in: 3600 }),
  ]
  const ended = await post('/v1/trials', { ...about, email: 'their@example.com', grace: 0 })
  await api.call('POST', `/v1/resources/${ended.id}/expire`)
  const [delivery] = (await api.call('GET', `/v1/deliveries?resource_id=${ended.id}`)).body.items
  await api.sql(`UPDATE delivery SET status = 'dead', next_attempt_at = NULL, settled_at = ${nowSql} WHERE id = $1`, [
    delivery.id,
  ])
  const endpoint = await post('/v1/webhook-endpoints', { url: 'https://example.com/hook', organization: other.id })
  const { delivery_id: webhook } = (await api.call('POST', `/v1/webhook-endpoints/${endpoint.id}/test`)).body
  // What belongs to no organization is not there for one either.
  const session = await post('/v1/sessions', { user: user.id })
  const verification = await post('/v1/verifications', {
    ...{ purpose: 'confirm-email', email: 'member@example.com', deliver: 'return' },
  })
  root = [session.session.id, verification.id, (await created()).id, (await post('/v1/trials', {})).id]

  theirs = {
    ...{ organization: other.id, reference: 'theirs', membership: membership.id, delivery: delivery.id },
    ...{ user: user.id, scope: 'their-scope', subject: 'their-subject', token: token.token, code: 'THEIR-CODE', pass },
    ...{ grant, endpoint: endpoint.id, webhook },
    resources: [...made.map(({ id }) => id), ended.id, ...root],
  }
  nobodys = {
    ...{ organization: randomUUID(), reference: 'nobodys', membership: randomUUID(), delivery: randomUUID() },
    ...{ endpoint: randomUUID(), webhook: randomUUID(), user: randomUUID() },
    ...{
      scope: 'no-scope',
      subject: 'no-subject',
      token: `${token.token.slice(0, -1)}_`,
      code: 'NO-CODE',
      pass: 'no-pass',
    },
    grant: { resource: 'document:nobodys', relation: 'viewer', subject: 'user:nobodys' },
    resources: theirs.resources.map(() => randomUUID()),
  }
  own = { ...(await machine({ organization: mine.id })), id: mine.id }
  their = { ...(await machine({ organization: other.id })), id: other.id }
})

/** What an answer tells: not when it was given, nor under which id the log has it. */
const told = ({ status, headers, text }: Answer) => ({
  status,
  type: headers.get('content-type'),
  text: text.replaceAll(/"instance":"[^"]+"/g, '').replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, ''),
})

const rowOf = (name: string) => {
  const row = table[name]
  if (!row)
    throw new Error(`${name} has no row in the table of isolation.test.ts: say what another organization has there`)
  return row
}

/** Everything that is not in the organization whose token asks. */
const everythingElse = () =>
  api.sql(
    `SELECT (SELECT jsonb_agg(r ORDER BY id) FROM resource r WHERE organization_id IS DISTINCT FROM $1) AS resources,
      (SELECT jsonb_agg(d ORDER BY id) FROM delivery d) AS deliveries,
      (SELECT jsonb_agg(m ORDER BY id) FROM directory_membership m) AS memberships,
      (SELECT jsonb_agg(o ORDER BY id) FROM directory_organization o) AS organizations,
      (SELECT jsonb_agg(u ORDER BY id) FROM directory_user u) AS users, (SELECT count(*) FROM redemption) AS redemptions,
      (SELECT jsonb_agg(w ORDER BY id) FROM webhook_endpoint w WHERE organization_id IS DISTINCT FROM $1) AS endpoints,
      (SELECT count(*) FROM event e JOIN resource r ON r.id = e.resource_id
        WHERE r.organization_id IS DISTINCT FROM $1) AS events`,
    [own.id],
  )

describe('a token that is bound to an organization', () => {
  it('every route that takes a token has a row in the table, and no other', () => {
    expect(operations.map(({ name }) => name).sort()).toEqual(Object.keys(table).sort())
  })

  it('what another organization has is answered like what nobody has, on every route, and nothing changes', async () => {
    const before = await everythingElse()
    for (const { name, method, path, query, fields } of operations) {
      const row = rowOf(name)
      if (row === 'secret') continue
      if (row === 'unbound') {
        const address = path.replace('{id}', theirs.organization)
        const { status, body } = await own.ask(method, address, method === 'GET' ? undefined : {})
        expect([name, status, body.code]).toEqual([name, 403, 'forbidden'])
        continue
      }
      const [asked, unknown] = [row(theirs), row(nobodys)]
      expect([name, asked.length > 0]).toEqual([name, true])
      if ([...query, ...fields].some((field) => field.startsWith('organization')))
        expect([name, JSON.stringify(asked).includes(theirs.organization)]).toEqual([name, true])
      for (const [i, [address, body]] of asked.entries()) {
        const answer = await own.ask(method, address, body)
        const [nowhere = '', nothing] = unknown[i] ?? []
        const like = await own.ask(method, nowhere, nothing)
        expect([name, address, told(answer)]).toEqual([name, address, told(like)])
        expect([name, address, answer.status < 500]).toEqual([name, address, true])
        if (path.includes('{id}') && !otherwise.includes(name))
          expect([name, address, answer.status]).toEqual([name, address, 404])
      }
    }
    expect(await everythingElse()).toEqual(before)
  }, 120_000)

  it('lists hold nothing of another organization, whatever is asked for', async () => {
    const { organization, membership, delivery, endpoint, webhook } = theirs
    const secrets = [...theirs.resources, organization, membership, delivery, endpoint, webhook, 'their']
    const seen: string[] = []
    for (const { name, method, path } of operations) {
      if (method !== 'GET' || path.includes('{id}') || rowOf(name) === 'unbound') continue
      for (const [address] of [[path] as const, ...(rowOf(name) as (place: Place) => Asked[])(theirs)]) {
        const { status, text } = await own.ask('GET', address)
        if (address === path) expect([address, status]).toEqual([address, 200])
        for (const secret of secrets) expect([address, text.includes(secret)]).toEqual([address, false])
      }
      seen.push(name)
    }
    expect(seen.length).toBeGreaterThan(5)
  })

  it('its own organization has all of that: the ids are real', async () => {
    for (const { name, method, path } of operations) {
      const row = rowOf(name)
      if (method !== 'GET' || typeof row === 'string' || !path.includes('{id}')) continue
      const statuses = await Promise.all(row(theirs).map(async ([address]) => (await their.ask('GET', address)).status))
      expect([name, statuses.includes(200)]).toEqual([name, true])
    }
    const { items } = (await their.ask('GET', '/v1/resources?limit=200')).body
    const ids = items.map(({ id }: Body) => id)
    expect(theirs.resources.filter((id) => !root.includes(id)).every((id) => ids.includes(id))).toBe(true)
    expect(root.some((id) => ids.includes(id))).toBe(false)
  })

  it('M1: shares no references with others: each issues under the same one, and a refusal names its own', async () => {
    const issue = (ask: typeof own.ask | typeof api.call) =>
      ask('POST', '/v1/resources', { kind: 'pass', reference: 'same' })
    const [mine, other, host] = [await issue(own.ask), await issue(their.ask), await issue(api.call)]
    expect([mine.status, other.status, host.status]).toEqual([201, 201, 201])
    const refused = await issue(own.ask)
    expect(refused.body).toMatchObject({ code: 'reference_taken', detail: `It belongs to ${mine.body.id}.` })
    for (const { body } of [other, host]) expect(refused.text).not.toContain(body.id)
    const { items } = (await own.ask('GET', '/v1/resources?reference=same')).body
    expect(items.map(({ id }: Body) => id)).toEqual([mine.body.id])
  })

  describe('M3: users', () => {
    const foreign = async () => [theirs.user, 'the-member', randomUUID(), 'nobody-at-all']

    it('of other organizations are unknown to it: it adds none and invites in no one else’s name', async () => {
      const seen = new Set<string>()
      for (const user of await foreign()) {
        const added = await own.ask('POST', '/v1/memberships', { organization: own.id, user, role: 'member' })
        const invited = await own.ask('POST', '/v1/invites', {
          ...{ organization: own.id, email: 'new@example.com', role: 'member', deliver: 'return', invited_by: user },
        })
        expect([added.status, added.body.field, invited.status, invited.body.field]).toEqual([
          ...[422, 'user', 422, 'invited_by'],
        ])
        seen.add(JSON.stringify([told(added), told(invited)]))
      }
      expect(seen.size).toBe(1)
      expect((await own.ask('GET', `/v1/memberships?user=${theirs.user}`)).body.items).toEqual([])
    })

    it('of its own can invite, and it is shown their ids only', async () => {
      const all = people(api)
      const user = await all.user('olga@example.com', { name: 'Olga Secret' })
      await all.member(own.id, user.id, 'owner')
      const body = { organization: own.id, email: 'friend@example.com', role: 'member', deliver: 'return' }
      const invited = await own.ask('POST', '/v1/invites', { ...body, invited_by: user.id })
      expect(invited.status).toBe(201)
      expect(invited.body.invited_by).toEqual({ id: user.id })
      const { id } = invited.body
      const asked = ['/v1/invites', `/v1/invites/${id}`, '/v1/resources?kind=invite', `/v1/resources/${id}`]
      const answers = [
        ...(await Promise.all(asked.map((path) => own.ask('GET', path)))),
        await own.ask('POST', `/v1/resources/${id}/check`),
        await own.ask('POST', `/v1/invites/${id}/resend`, { deliver: 'return' }),
      ]
      for (const { text } of answers) {
        expect(text).toContain(user.id)
        expect(text).not.toMatch(/Olga|olga/)
      }
      expect((await api.call('GET', `/v1/invites/${id}`)).body.invited_by).toMatchObject({ name: 'Olga Secret' })
    })
  })

  it('what it issues is in its own organization, whether that is said or not', async () => {
    for (const named of [undefined, own.id, own.id.toUpperCase(), 'mine'])
      for (const [path, body] of [
        ['/v1/resources', { kind: 'pass' }],
        ['/v1/trials', {}],
        ['/v1/api-tokens', { name: 'x', scopes: ['*'] }],
        ['/v1/promo-codes', {}],
        ['/v1/share-links', { title: 'x' }],
        ['/v1/http-calls', { url: 'https://example.com/', expires_in: 60 }],
        ['/v1/access-grants', { resource: `document:${randomUUID()}`, relation: 'viewer', subject: 'user:7' }],
        ['/v1/invites', { email: `${randomUUID()}@example.com`, role: 'member', deliver: 'return' }],
      ] as const) {
        // An invite always says whom it is for.
        const organization = path === '/v1/invites' ? (named ?? own.id) : named
        const { status, body: made } = await own.ask('POST', path, { ...body, organization })
        expect([path, named, status]).toEqual([path, named, 201])
        const [row] = await api.sql('SELECT organization_id FROM resource WHERE id = $1', [made.id])
        expect([path, row.organization_id]).toEqual([path, own.id])
      }
    const { body } = await own.ask('POST', '/v1/resources/bulk', { items: [{ kind: 'pass' }, { kind: 'pass' }] })
    expect(body.items.map((item: Body) => item.organization_id)).toEqual([own.id, own.id])
  })
})
