import { randomUUID } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { type BuiltInKind, type Lapse, LapseError, notCovered } from 'lapse'
import type { App } from '../routes/route.ts'
import { noToken } from './auth.ts'
import { HttpError } from './problem.ts'
import { signedOut } from './who.ts'

/** What a token may be allowed to read or to write. */
export const areas = [
  ...(['resources', 'trials', 'events', 'deliveries', 'organizations', 'users', 'memberships'] as const),
  ...(['invites', 'verifications', 'sessions', 'api-tokens', 'promo-codes', 'share-links', 'access-grants'] as const),
  ...(['http-calls', 'webhook-endpoints'] as const),
  'abuse',
] as const

export type Area = (typeof areas)[number]

/** Kinds that have an area of their own: of their rows, `resources:read` and `resources:write` alone allow nothing. */
export const kindAreas = {
  trial: 'trials',
  invite: 'invites',
  verification: 'verifications',
  session: 'sessions',
  'api-token': 'api-tokens',
  'promo-code': 'promo-codes',
  'share-link': 'share-links',
  'access-grant': 'access-grants',
  'http-call': 'http-calls',
} as const satisfies Record<BuiltInKind['name'], Area>

export type Scope = `${Area}:${'read' | 'write'}`
/** What one scope of an area would give away too easily: a scope that some uses of a route require besides. */
export type ExtraScope = 'verifications:return'

/**
 * How a route stays inside one organization: the id in its path is that of something in it, or its own, and another's is
 * not there; or the handler confines itself by `boundTo`. Without any it is not for tokens that are bound to one.
 */
export type Confined = 'resource' | 'organization' | 'membership' | 'delivery' | 'endpoint' | 'own'

declare module 'fastify' {
  interface FastifyContextConfig {
    permit?: { readonly scope: Scope; readonly confined?: Confined }
    /** Who may call it besides; `somebody`: whoever says who they are. */
    openTo?: 'users' | 'somebody' | 'anybody'
  }
}

/** Which token may call a route; to be spread into its options. */
export const permit = (area: Area, act: 'read' | 'write', confined?: Confined) => ({
  config: { permit: { scope: `${area}:${act}` as const, ...(confined && { confined }) } },
})

/** For the signed-in, or for anybody; and for the tokens that are permitted, if any are. */
export const openTo = (openTo: 'users' | 'anybody', permitted: Partial<ReturnType<typeof permit>> = {}) => ({
  config: { ...permitted.config, openTo },
})

/**
 * Lets through who may call the route. One that says nothing is for the root token alone.
 *
 * What is another organization's is not there for a token that is bound to one, and what is of a kind that it has no scope for
 * is not there on the routes of all kinds: such an id is taken for one that nobody has, so that the answer is the same.
 */
export const guard = (scope: App, lapse: Lapse): void => {
  type OrganizationOf = (id: string, withheld: readonly string[]) => Promise<string | null | undefined>
  const organizationOf: Record<Exclude<Confined, 'own'>, OrganizationOf> = {
    resource: async (id, withheld) => {
      const { kind, organizationId } = await lapse.get(id)
      return withheld.includes(kind) ? undefined : organizationId
    },
    organization: async (id) => (await lapse.organizations.get(id)).id,
    membership: async (id) => (await lapse.memberships.get(id)).organizationId,
    endpoint: async (id) => (await lapse.webhookEndpoints.get(id)).organizationId,
    // A webhook is its endpoint's: what the host application's own have answered is nobody else's business.
    delivery: async (id) => {
      const { channel, target, resourceId } = await lapse.deliveries.get(id)
      if (channel === 'webhook') return (await lapse.webhookEndpoints.get(target)).organizationId
      return resourceId === null ? null : (await lapse.get(resourceId)).organizationId
    },
  }

  scope.addHook('onRoute', ({ url, config }) => {
    const { confined = 'own' } = config?.permit ?? {}
    if (confined !== 'own' && !/\/:id(\/|$)/.test(url))
      throw new TypeError(`${url} is confined by the id in its path, and has none: confine it by its handler`)
  })

  scope.addHook('onRequest', async (request) => {
    const { who, routeOptions } = request
    const { permit: permitted, openTo: open } = routeOptions.config
    if (who.is === 'nobody' || who.is === 'user') return refuseUnlessOpen(who.is, open)
    if (!permitted) return refuseUnlessPublic(who.is, open)
    if (who.is === 'root') return
    if (notCovered(who.apiToken.payload.scopes, [permitted.scope]).length > 0)
      throw forbidden(`This token lacks the scope ${permitted.scope}. Send one that has it.`)
    const bound = boundTo(request)
    const withheld = withheldKinds(request)
    if ((bound === undefined && withheld.length === 0) || permitted.confined === 'own') return
    if (!permitted.confined) throw forbidden('This takes a token that is not bound to an organization.')
    const params = request.params as { id: string }
    const owner = await organizationOf[permitted.confined](params.id, withheld).catch(nobodys)
    if (owner === undefined || (bound !== undefined && owner !== bound)) params.id = randomUUID()
  })
}

/**
 * The kinds whose rows are not there for this request, for its token lacks the scope of their area; none on the routes of one
 * area, where the scope of that area says all.
 */
export const withheldKinds = ({ who, routeOptions }: FastifyRequest): readonly string[] => {
  const [area, act] = routeOptions.config.permit?.scope.split(':') ?? []
  if (who.is !== 'token' || area !== 'resources') return []
  const { scopes } = who.apiToken.payload
  const kinds = Object.entries(kindAreas)
  return kinds.filter(([, own]) => notCovered(scopes, [`${own}:${act}`]).length > 0).map(([kind]) => kind)
}

/** For a filter of resources. */
export const exceptWithheld = (request: FastifyRequest): { exceptKinds?: readonly string[] } => {
  const exceptKinds = withheldKinds(request)
  return exceptKinds.length > 0 ? { exceptKinds } : {}
}

/** Refuses to issue what the token has no scope for. @throws HttpError `forbidden` */
export const requireKind = (request: FastifyRequest, kind: string, field: string): void => {
  if (withheldKinds(request).includes(kind))
    requireScope(request, `${kindAreas[kind as keyof typeof kindAreas]}:write`, field)
}

/** Refuses a token that lacks this scope; the root token has every one. `field`: what of the request requires it. */
export const requireScope = ({ who }: FastifyRequest, scope: Scope | ExtraScope, field: string): void => {
  if (who.is === 'root' || (who.is === 'token' && notCovered(who.apiToken.payload.scopes, [scope]).length === 0)) return
  throw new HttpError('forbidden', { field, detail: `This takes the scope ${scope}. Send a token that has it.` })
}

const refuseUnlessOpen = (is: 'nobody' | 'user', open: 'users' | 'somebody' | 'anybody' | undefined): void => {
  if (open === 'anybody' || (open && is === 'user')) return
  if (is === 'user') throw forbidden('This takes an API token.')
  throw open === 'users' ? signedOut() : noToken()
}

const refuseUnlessPublic = (is: 'root' | 'token', open: 'users' | 'somebody' | 'anybody' | undefined): void => {
  if (open === 'anybody' || open === 'somebody') return
  if (open === 'users') throw forbidden('This takes the token of a session.')
  if (is === 'token') throw forbidden('This takes the root token.')
}

const forbidden = (detail: string): HttpError => new HttpError('forbidden', { detail })

const nobodys = (error: unknown): undefined => {
  if (!(error instanceof LapseError && error.code === 'not_found')) throw error
}

/** The organization whose token asks: nothing outside of it is there for this request. */
export const boundTo = ({ who }: FastifyRequest): string | undefined =>
  who.is === 'token' ? (who.apiToken.organizationId ?? undefined) : undefined

/** The organization's id that a list is asked for. A token that is bound to one sees that, and nothing in any other. */
export const ownOrganizationId = (request: FastifyRequest, asked?: string): string | undefined => {
  const own = boundTo(request)
  if (own === undefined || asked === undefined) return own ?? asked
  return asked.toLowerCase() === own ? own : randomUUID()
}

/** The same for an organization by its id or reference, such as something is issued in: another's is an unknown one. */
export const ownOrganization = <Named extends string | undefined>(
  lapse: Lapse,
  request: FastifyRequest,
  named: Named,
): Promise<Named | string> => ownOrganizations(lapse, request)(named)

/**
 * A user by id or reference, as a token that is bound to an organization knows them: only its members. Another user is an
 * unknown one, so that nobody learns whom the host application knows.
 */
export const ownUser = async <Named extends string | undefined>(
  lapse: Lapse,
  request: FastifyRequest,
  named: Named,
): Promise<Named | string> => {
  const organization = boundTo(request)
  if (organization === undefined || named === undefined) return named
  const [membership] = await lapse.memberships.list({ organization, user: named }, { limit: 1 })
  return membership?.userId ?? randomUUID()
}

/** For many names in one request: the organization of the caller is read once, and not for each. */
export const ownOrganizations = (lapse: Lapse, request: FastifyRequest) => {
  const own = boundTo(request)
  let reading: ReturnType<Lapse['organizations']['get']> | undefined
  return async <Named extends string | undefined>(named: Named): Promise<Named | string> => {
    if (own === undefined || named === undefined) return own ?? named
    reading ??= lapse.organizations.get(own)
    const { id, reference } = await reading
    return named.toLowerCase() === id || named === reference ? id : randomUUID()
  }
}
