import type { HttpAnswer } from './client.ts'
import type { Answer, Instant, KindName, Verb } from './history.ts'

export interface Ask {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: object
  /** Until when what it shows is good, whatever becomes of the resource. */
  readonly goodUntil?: Instant
}

/** What a client knows of its resource. */
export interface Known {
  readonly name: string
  id: string
  /** Only the first answer has it; or its mail does. */
  token?: string | undefined
  /** What opening a share link has given. */
  pass?: { readonly secret: string; readonly until: Instant }
}

/** How one kind is spoken to. A verb that it does not have is left out. */
export interface Ways {
  readonly graceSeconds?: number
  /** How long it always lives, where nobody is asked. */
  readonly seconds?: number
  /** Whether a check gives it that time anew. */
  readonly slides?: boolean
  readonly maxUses?: number
  readonly staysUsedUp?: boolean
  readonly issue: (name: string, seconds: number, sinkUrl: string) => Ask
  readonly check: (one: Known) => Ask | undefined
  readonly renew?: (one: Known, seconds: number) => Ask
  readonly consume?: (one: Known, holder: string) => Ask | undefined
  readonly revoke: (one: Known) => Ask
  readonly expire?: (one: Known) => Ask
  /** What the answer 200 to a check says. */
  // biome-ignore lint/suspicious/noExplicitAny: each knows its own.
  readonly verdict: (body: any) => Answer
  /** What the answer 200 to a use says, when not that it is done. */
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  readonly used?: (body: any) => Answer
  /** What there is to be kept of the answer to the issue, or to a use. */
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  readonly keep?: (body: any) => Partial<Known>
}

const post = (path: string, body?: object): Ask => ({ method: 'POST', path, ...(body && { body }) })
const allowed: Answer = { is: 'allowed' }
const done: Answer = { is: 'done' }
const refusedCode = (reason: string): Answer => denied(reason === 'used_up' ? 'consumed' : reason)
const standing = ({ status }: { status: string }): Answer => (status === 'active' ? allowed : denied(status))
const denied = (reason: string): Answer => ({ is: 'denied', reason })

const generic = {
  check: ({ id }: Known) => post(`/v1/resources/${id}/check`),
  renew: ({ id }: Known, seconds: number) => post(`/v1/resources/${id}/renew`, { expires_in: seconds }),
  consume: ({ id }: Known) => post(`/v1/resources/${id}/consume`),
  revoke: ({ id }: Known) => post(`/v1/resources/${id}/revoke`),
  expire: ({ id }: Known) => post(`/v1/resources/${id}/expire`),
  verdict: (body: { allowed: boolean; reason: string }) => (body.allowed ? allowed : denied(body.reason)),
}

const own = (area: string) => ({
  renew: ({ id }: Known, seconds: number) => post(`/v1/${area}/${id}/renew`, { expires_in: seconds }),
  revoke: ({ id }: Known) => post(`/v1/${area}/${id}/revoke`),
})

const codeOf = (name: string) => `CHAOS-${numberOf(name)}`
const grantOf = (name: string) => ({ resource: `document:${name}`, relation: 'viewer', subject: `user:${name}` })

const addressOf = (name: string) => `${name}@example.com`
/** Each may send 200 invites an hour. */
export const organizations = Array.from({ length: 40 }, (_, n) => `chaos-${n}`)
export const somebody = 'chaos-user'

const passUses = 3
const trialGrace = 2
/** Of what is told in `lapse.config.ts`. */
const shortSeconds = 5

export const ways: Record<KindName, Ways> = {
  trial: {
    ...generic,
    graceSeconds: trialGrace,
    maxUses: 1,
    issue: (name, seconds) =>
      post('/v1/trials', { subject: name, email: addressOf(name), expires_in: seconds, grace: trialGrace }),
    consume: ({ id }) => post(`/v1/trials/${id}/convert`),
    revoke: ({ id }) => post(`/v1/trials/${id}/cancel`),
  },
  pass: {
    ...generic,
    maxUses: passUses,
    issue: (name, seconds) =>
      post('/v1/resources', {
        kind: 'pass',
        subject: name,
        payload: { email: addressOf(name) },
        expires_in: seconds,
      }),
  },
  seat: {
    ...generic,
    maxUses: 1,
    issue: (name, seconds) => post('/v1/resources', { kind: 'seat', subject: name, expires_in: seconds }),
  },
  'api-token': {
    ...own('api-tokens'),
    issue: (name, seconds) => post('/v1/api-tokens', { name, scopes: ['chaos:read'], expires_in: seconds }),
    check: ({ token }) => (token === undefined ? undefined : post('/v1/api-tokens/verify', { token })),
    verdict: ({ status }) => (status === 'valid' ? allowed : denied(status)),
  },
  'promo-code': {
    ...own('promo-codes'),
    maxUses: passUses,
    issue: (name, seconds) =>
      post('/v1/promo-codes', {
        ...{ code: codeOf(name), description: name, max_uses: passUses, max_uses_each: null },
        expires_in: seconds,
      }),
    check: ({ name }) => post('/v1/promo-codes/check', { code: codeOf(name) }),
    consume: ({ name }, holder) => post('/v1/promo-codes/redeem', { code: codeOf(name), holder }),
    verdict: ({ redeemable, reason }) => (redeemable ? allowed : refusedCode(reason)),
    used: ({ redeemed, reason }) => (redeemed ? done : refusedCode(reason)),
  },
  'access-grant': {
    issue: (name, seconds) => post('/v1/access-grants', { ...grantOf(name), expires_in: seconds }),
    check: ({ name }) => post('/v1/access-grants/check', grantOf(name)),
    revoke: ({ name }) => post('/v1/access-grants/delete', grantOf(name)),
    verdict: (body: { allowed: boolean }) => (body.allowed ? allowed : denied('ended')),
  },
  'http-call': {
    issue: (name, seconds, sinkUrl) =>
      post('/v1/http-calls', { url: `${sinkUrl}/call/${name}`, subject: name, attempts: 28, expires_in: seconds }),
    check: ({ id }) => ({ method: 'GET', path: `/v1/http-calls/${id}` }),
    renew: ({ id }, seconds) => post(`/v1/http-calls/${id}/reschedule`, { expires_in: seconds }),
    revoke: ({ id }) => post(`/v1/http-calls/${id}/cancel`),
    verdict: ({ state }) => (state === 'scheduled' ? allowed : denied(state === 'cancelled' ? 'revoked' : 'expired')),
  },
  invite: {
    maxUses: 1,
    issue: (name, seconds) => {
      const organization = organizations[numberOf(name) % organizations.length]
      return post('/v1/invites', { organization, email: addressOf(name), role: 'member', expires_in: seconds })
    },
    check: ({ id }) => ({ method: 'GET', path: `/v1/invites/${id}` }),
    consume: ({ name, token }) =>
      token === undefined ? undefined : post('/v1/invites/accept', { token, email: addressOf(name) }),
    revoke: ({ id }) => post(`/v1/invites/${id}/revoke`),
    expire: generic.expire,
    verdict: standing,
    used: ({ status }) => (status === 'already-member' ? denied('consumed') : done),
  },
  session: {
    seconds: shortSeconds,
    slides: true,
    issue: (name) => post('/v1/sessions', { user: somebody, agent: name }),
    check: ({ token }) => (token === undefined ? undefined : post('/v1/sessions/check', { token })),
    revoke: ({ id }) => post(`/v1/sessions/${id}/revoke`),
    expire: generic.expire,
    verdict: ({ valid, session }) =>
      valid ? { is: 'allowed', endsAt: Date.parse(session.expires_at) } : denied('ended'),
    keep: ({ session, token }) => ({ ...(session && { id: session.id }), ...(token && { token }) }),
  },
  verification: {
    seconds: shortSeconds,
    maxUses: 1,
    issue: (name) => post('/v1/verifications', { purpose: purposeOf(name), email: addressOf(name) }),
    check: generic.check,
    consume: ({ name, token }) => {
      if (token === undefined) return undefined
      const [purpose, email] = [purposeOf(name), addressOf(name)]
      return post('/v1/verifications/consume', purpose === 'code' ? { email, code: token } : { token, purpose })
    },
    revoke: generic.revoke,
    expire: generic.expire,
    verdict: generic.verdict,
  },
  'share-link': {
    ...own('share-links'),
    maxUses: passUses,
    staysUsedUp: true,
    issue: (name, seconds) =>
      post('/v1/share-links', { title: name, subject: name, max_views: passUses, expires_in: seconds }),
    check: ({ id, pass }) =>
      pass
        ? { ...post('/v1/share-links/check', { pass: pass.secret }), goodUntil: pass.until }
        : { method: 'GET', path: `/v1/share-links/${id}` },
    consume: ({ token }) => (token === undefined ? undefined : post('/v1/share-links/unlock', { token })),
    expire: generic.expire,
    verdict: (body) => ('allowed' in body ? (body.allowed ? allowed : denied('ended')) : standing(body)),
    keep: ({ id, token, pass, expires_at }) => ({
      ...(token && { token }),
      ...(pass ? { pass: { secret: pass, until: Date.parse(expires_at) } } : { id }),
    }),
  },
}

const numberOf = (name: string): number => Number(name.replace(/\D/g, ''))
const purposeOf = (name: string) => (numberOf(name) % 2 === 0 ? 'code' : 'confirm-email')

/** Whose a resource is, by what its client has called it. */
export const nameOf = (resource: {
  readonly subject: string | null
  readonly payload: Readonly<Record<string, unknown>>
}): string => {
  const { agent, name, description } = resource.payload
  return String(agent ?? resource.subject ?? name ?? description).replace(/^user:|@example\.com$/g, '')
}

const reasons: Record<string, string> = {
  already_ended: 'ended',
  used_up: 'consumed',
  not_found: 'unknown',
  // Whoever holds only a token is not told why.
  token_not_valid: 'ended',
}

/** What a client makes of an answer; undefined: it has to ask again. */
export const understood = (kind: KindName, verb: Verb, answer: HttpAnswer | undefined): Answer | undefined => {
  if (!answer) return { is: 'unknown', why: 'no answer' }
  const { status, body } = answer
  if (status >= 500) return { is: 'unknown', why: `${status}` }
  if (status === 429 || body.code === 'idempotency_running') return undefined
  const reason = reasons[body.code]
  if (reason) return denied(reason)
  if (status >= 300) return { is: 'refused', status, code: body.code }
  const { verdict, used } = ways[kind]
  if (verb === 'check') return verdict(body)
  if (verb === 'consume' && used) return used(body)
  const end = body.ends_at ?? (body.session ?? body).expires_at
  return { is: 'done', ...(end && { endsAt: Date.parse(end) }), ...(body.status && { status: body.status }) }
}
