import type { FastifyRequest } from 'fastify'

/** What a token may be allowed to read or to write. */
export const areas = [
  ...(['resources', 'trials', 'events', 'deliveries', 'organizations', 'users', 'memberships'] as const),
  ...(['invites', 'verifications', 'sessions', 'api-tokens', 'promo-codes', 'share-links', 'access-grants'] as const),
  'abuse',
] as const

export type Area = (typeof areas)[number]
export type Scope = `${Area}:${'read' | 'write'}`

/**
 * How a route stays inside one organization: the id in its path is a resource's, or an organization's, of which another's
 * is not there; or the handler confines itself by `boundTo`. Without any it is not for tokens that are bound to one.
 */
export type Confined = 'resource' | 'organization' | 'own'

declare module 'fastify' {
  interface FastifyContextConfig {
    permit?: { readonly scope: Scope; readonly confined?: Confined }
  }
}

/** Which token may call a route; to be spread into its options. */
export const permit = (area: Area, act: 'read' | 'write', confined?: Confined) => ({
  config: { permit: { scope: `${area}:${act}` as const, ...(confined && { confined }) } },
})

/** The organization whose token asks: nothing outside of it is there for this request. */
export const boundTo = (_: FastifyRequest): string | undefined => undefined
