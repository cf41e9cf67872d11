import type { HttpAnswer } from './client.ts'
import type { Answer, KindName, Verb } from './history.ts'

export interface Ask {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: object
}

/** What a client knows of its resource. */
export interface Known {
  readonly name: string
  id: string
  /** Of an API token; only the first answer has it. */
  token?: string
}

/** How one kind is spoken to. A verb that it does not have is left out. */
export interface Ways {
  readonly graceSeconds?: number
  readonly maxUses?: number
  readonly issue: (name: string, seconds: number, sinkUrl: string) => Ask
  readonly check: (one: Known) => Ask | undefined
  readonly renew?: (one: Known, seconds: number) => Ask
  readonly consume?: (one: Known, holder: string) => Ask
  readonly revoke: (one: Known) => Ask
  readonly expire?: (one: Known) => Ask
  /** What the answer 200 to a check, or to a use, says. */
  // biome-ignore lint/suspicious/noExplicitAny: each knows its own.
  readonly verdict?: (body: any) => Answer
}

const post = (path: string, body?: object): Ask => ({ method: 'POST', path, ...(body && { body }) })
const allowed: Answer = { is: 'allowed' }
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

const codeOf = (name: string) => `CHAOS-${name.replace(/\D/g, '')}`
const grantOf = (name: string) => ({ resource: `document:${name}`, relation: 'viewer', subject: `user:${name}` })

const passUses = 3
const trialGrace = 2

export const ways: Record<KindName, Ways> = {
  trial: {
    ...generic,
    graceSeconds: trialGrace,
    maxUses: 1,
    issue: (name, seconds) =>
      post('/v1/trials', { subject: name, email: `${name}@example.com`, expires_in: seconds, grace: trialGrace }),
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
        payload: { email: `${name}@example.com` },
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
    verdict: ({ redeemable, redeemed, reason }) => {
      if (redeemed) return { is: 'done' }
      return redeemable ? allowed : denied(reason === 'used_up' ? 'consumed' : reason)
    },
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
}

/** Whose a resource is, by what its client has called it. */
export const nameOf = (resource: {
  readonly subject: string | null
  readonly payload: Readonly<Record<string, unknown>>
}): string => (resource.subject ?? String(resource.payload.name ?? resource.payload.description)).replace(/^user:/, '')

const reasons: Record<string, string> = { already_ended: 'ended', used_up: 'consumed', not_found: 'unknown' }

/** What a client makes of an answer; undefined: it has to ask again. */
export const understood = (kind: KindName, verb: Verb, answer: HttpAnswer | undefined): Answer | undefined => {
  if (!answer) return { is: 'unknown', why: 'no answer' }
  const { status, body } = answer
  if (status >= 500) return { is: 'unknown', why: `${status}` }
  if (status === 429 || body.code === 'idempotency_running') return undefined
  const reason = reasons[body.code]
  if (reason) return denied(reason)
  if (status >= 300) return { is: 'refused', status, code: body.code }
  const { verdict } = ways[kind]
  if (verdict && (verb === 'check' || (verb === 'consume' && body.redeemed !== undefined))) return verdict(body)
  const end = body.ends_at ?? body.expires_at
  return { is: 'done', ...(end && { endsAt: Date.parse(end) }), ...(body.status && { status: body.status }) }
}
