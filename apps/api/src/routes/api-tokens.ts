import type { FastifyRequest } from 'fastify'
import { emailAddress, notCovered } from 'lapse'
import { z } from 'zod'
import { boundTo, ownOrganization, ownOrganizationId, permit } from '../http/access.ts'
import { example, optional } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { lifetime, lifetimeOf, text } from '../http/input.ts'
import { HttpError, problems } from '../http/problem.ts'
import { flag, id, nextCursor, page, paged, pageOf } from '../http/query.ts'
import { byOf } from '../http/who.ts'
import {
  ApiToken,
  apiTokenOut,
  ChangedApiToken,
  changedApiTokenOut,
  format,
  IssuedApiToken,
  rateLimit,
  scope,
} from '../wire/api-token.ts'
import { type App, answer, byId, operation, type PeopleContext } from './route.ts'
import { Reason, Renewal } from './verbs.ts'

const Create = z
  .strictObject({
    name: text(200).describe('For people.'),
    scopes: z
      .array(scope)
      .min(1)
      .max(50)
      .describe('What it may do: `area:read` and `area:write` here, your own for your API, `*` for everything.'),
    organization: text(200)
      .optional()
      .describe('The only one that it acts for, by its id or your own for it; all without.'),
    email: emailAddress.optional().describe('Who is told 14, 3 and 1 days before it expires.'),
    format: format
      .optional()
      .describe('`opaque` unless you say otherwise. A `jwt` can be read by others, and is still asked about here.'),
    long_lived: z.boolean().optional().describe('Lets it live for more than 365 days, up to ten years.'),
    rate_limit: rateLimit.optional(),
    ...lifetime,
  })
  .meta(example({ name: 'CI', scopes: ['trials:read', 'trials:write'], email: 'ada@example.com' }))

const Rotate = z
  .strictObject({
    overlap: z
      .int()
      .min(0)
      .max(86_400)
      .optional()
      .describe('For how many seconds the old one stays good; it ends at once without, and never later than before.'),
    ...lifetime,
  })
  .optional()
  .meta({ ...example({ overlap: 3600 }), ...optional })

const Verify = z
  .strictObject({
    token: text(8_000),
    scopes: z.array(scope).max(50).optional().describe('What it has to be allowed, all of it.'),
  })
  .meta(example({ token: 'lps_api-token_…', scopes: ['invoices:read'] }))

const Verified = z
  .object({
    status: z.enum(['valid', 'expired', 'revoked', 'suspended', 'unknown', 'out_of_scope', 'rate_limited']),
    api_token: ApiToken.optional().describe('Whenever it is known.'),
    missing: z.array(z.string()).optional().describe('With `out_of_scope`: what it lacks.'),
    retry_after: z.int().optional().describe('With `rate_limited`: in how many seconds it may be used again.'),
  })
  .meta({ id: 'VerifiedApiToken', description: 'Whether it may be used now; only `valid` means that it may.' })

/** What programs may do. */
export const apiTokenRoutes = (app: App, { lapse, once, limits }: PeopleContext): void => {
  app.post(
    '/v1/api-tokens',
    {
      ...permit('api-tokens', 'write', 'own'),
      schema: {
        ...operation(
          'api-tokens',
          'createApiToken',
          'Create an API token',
          'For 90 days unless you say otherwise. The token is shown this once. A token gives away only scopes that it has.',
        ),
        headers: idempotent,
        body: Create,
        response: {
          201: answer('Created; `Location` says where.', IssuedApiToken),
          ...problems(400, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { long_lived: longLived, rate_limit, expires_at, expires_in, ...rest } = request.body
      refuseBeyondOwn(request, rest.scopes)
      const organization = await ownOrganization(lapse, request, rest.organization)
      const { expiresAt, expiresIn: expiresInMs } = lifetimeOf({ expires_at, expires_in })
      const input = { ...rest, organization, longLived, rateLimit: rate_limit, expiresAt, expiresInMs }
      let secret: string | undefined
      const created = await once(request, reply, async ({ apiTokens }) => {
        const { token, ...issued } = await apiTokens.create(input, byOf(request))
        secret = token
        return changedApiTokenOut(issued)
      })
      return reply
        .code(201)
        .header('location', `/v1/api-tokens/${created.id}`)
        .send({ ...created, ...(secret !== undefined && { token: secret }) })
    },
  )

  app.get(
    '/v1/api-tokens',
    {
      ...permit('api-tokens', 'read', 'own'),
      schema: {
        ...operation(
          'api-tokens',
          'listApiTokens',
          'List API tokens',
          'The newest first; never the tokens themselves.',
        ),
        querystring: z.strictObject({
          organization_id: id.optional(),
          live: flag.optional().describe('Only what may be used now, or only what may not.'),
          ...page,
        }),
        response: {
          200: answer('A page.', z.object({ items: z.array(ApiToken), next_cursor: nextCursor })),
          ...problems(422),
        },
      },
    },
    async (request) => {
      const { live, organization_id: asked } = request.query
      const filter = { live, organizationId: ownOrganizationId(request, asked) }
      return paged(await lapse.apiTokens.list(filter, pageOf(request.query)), request.query, apiTokenOut)
    },
  )

  app.get(
    '/v1/api-tokens/:id',
    {
      ...permit('api-tokens', 'read', 'resource'),
      schema: {
        ...operation('api-tokens', 'getApiToken', 'Get an API token', 'Looking changes nothing.'),
        params: byId,
        response: { 200: answer('What it may do.', ApiToken), ...problems(404) },
      },
    },
    async ({ params }) => apiTokenOut(await lapse.apiTokens.get(params.id)),
  )

  app.post(
    '/v1/api-tokens/:id/rotate',
    {
      ...permit('api-tokens', 'write', 'resource'),
      schema: {
        ...operation(
          'api-tokens',
          'rotateApiToken',
          'Put a new one in its place',
          'It may do the same, for 90 days unless you say otherwise. Once for each token.',
        ),
        params: byId,
        headers: idempotent,
        body: Rotate,
        response: {
          201: answer('The new one; `Location` says where.', IssuedApiToken),
          ...problems(400, 404, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { params, body = {} } = request
      const { expiresAt, expiresIn: expiresInMs } = lifetimeOf(body)
      refuseBeyondOwn(request, (await lapse.apiTokens.get(params.id)).payload.scopes)
      const overlapMs = (body.overlap ?? 0) * 1_000
      let secret: string | undefined
      const rotated = await once(request, reply, async ({ apiTokens }) => {
        const { token, ...issued } = await apiTokens.rotate(
          params.id,
          { overlapMs, expiresAt, expiresInMs },
          byOf(request),
        )
        secret = token
        return changedApiTokenOut(issued)
      })
      return reply
        .code(201)
        .header('location', `/v1/api-tokens/${rotated.id}`)
        .send({ ...rotated, ...(secret !== undefined && { token: secret }) })
    },
  )

  app.post(
    '/v1/api-tokens/:id/renew',
    {
      ...permit('api-tokens', 'write', 'resource'),
      schema: {
        ...operation(
          'api-tokens',
          'renewApiToken',
          'Give it another end',
          'A JWT, whose end stands in it, and one that was rotated can only be given an earlier one.',
        ),
        params: byId,
        headers: idempotent,
        body: Renewal,
        response: { 200: answer('Renewed.', ChangedApiToken), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      const { expiresAt, expiresIn: expiresInMs } = lifetimeOf(body)
      return once(request, reply, async ({ apiTokens }) =>
        changedApiTokenOut(await apiTokens.renew(params.id, { expiresAt, expiresInMs }, byOf(request, body.reason))),
      )
    },
  )

  app.post(
    '/v1/api-tokens/:id/revoke',
    {
      ...permit('api-tokens', 'write', 'resource'),
      schema: {
        ...operation('api-tokens', 'revokeApiToken', 'Revoke it', 'From the next request on; quiet when it has ended.'),
        params: byId,
        headers: idempotent,
        body: Reason,
        response: {
          200: answer('Ended; `status` says how.', ChangedApiToken),
          ...problems(400, 404, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      return once(request, reply, async ({ apiTokens }) =>
        changedApiTokenOut(await apiTokens.revoke(params.id, byOf(request, body?.reason))),
      )
    },
  )

  app.post(
    '/v1/api-tokens/verify',
    {
      ...permit('api-tokens', 'read', 'own'),
      schema: {
        ...operation(
          'api-tokens',
          'verifyApiToken',
          'May it be used now?',
          'For your own API, with what its callers send it. Counts as a use, where it may be used only so often.',
        ),
        body: Verify,
        response: { 200: answer('The verdict, either way.', Verified), ...problems(400, 413, 415, 422) },
      },
    },
    async (request) => {
      const { token, scopes } = request.body
      const found = await lapse.apiTokens.verify(token, { scopes, organizationId: boundTo(request) })
      if (found.status === 'unknown') return { status: found.status }
      const { status, apiToken } = found
      const api_token = apiTokenOut(apiToken)
      if (status === 'out_of_scope') return { status, missing: [...found.missing], api_token }
      const full = status === 'valid' ? await limits.use(apiToken).catch(unlessTooMany) : undefined
      return full ? { status: 'rate_limited' as const, ...full, api_token } : { status, api_token }
    },
  )
}

/** Nobody gives away more than they have. The root token has everything. */
const refuseBeyondOwn = ({ who }: FastifyRequest, scopes: readonly string[]): void => {
  const missing = who.is === 'token' ? notCovered(who.apiToken.payload.scopes, scopes) : []
  if (missing.length > 0)
    throw new HttpError('forbidden', { field: 'scopes', detail: `This token lacks ${missing.join(', ')} itself.` })
}

const unlessTooMany = (error: unknown) => {
  if (!(error instanceof HttpError && error.code === 'too_many')) throw error
  return { retry_after: Number(error.headers['retry-after']) }
}
