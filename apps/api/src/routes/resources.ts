import { LapseError } from 'lapse'
import { z } from 'zod'
import {
  exceptWithheld,
  ownOrganization,
  ownOrganizationId,
  ownOrganizations,
  permit,
  requireKind,
} from '../http/access.ts'
import { example } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { grace, lifetime, lifetimeOf, payload, start, startOf, text, uses } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { counted as countedFlag, flag, id, nextCursor, page, paged, pageOf, tally, tallyOut } from '../http/query.ts'
import { byOf } from '../http/who.ts'
import { ChangedResource, changedOut, Resource, resourceOut, statuses } from '../wire/resource.ts'
import { type App, answer, byId, type Context, operation } from './route.ts'

export const organization = text(200)
  .optional()
  .describe('Whom it is issued in, by its id or your own for it; what happens to that happens to it.')

const Issue = z.strictObject({
  kind: text(200)
    .describe('A kind that is configured: `trial`, or one of your own.')
    .meta({ examples: ['trial'] }),
  reference: text(200)
    .optional()
    .describe('Your own key: at most one live resource of a kind in an organization, or in none, has it.'),
  scope: text(200).optional().describe('What it is for: a document, a plan.'),
  organization,
  subject: text(200).optional().describe('Who it is for.'),
  payload: payload.optional(),
  ...start,
  ...lifetime,
  max_uses: uses.describe('Fewer than the kind has it.'),
  max_uses_each: uses.describe('How often each holder may use it.'),
  grace: grace,
})

const IssueBody = Issue.meta(
  example({ kind: 'trial', subject: 'ada@example.com', payload: { email: 'ada@example.com' }, expires_in: 20 }),
)

const optionsOf = ({ expires_at, expires_in, grace: seconds, ...input }: z.infer<typeof Issue>) => {
  const { starts_at, starts_in, max_uses: maxUses, max_uses_each: maxUsesEach, ...rest } = input
  return {
    ...rest,
    ...startOf({ starts_at, starts_in }),
    maxUses,
    maxUsesEach,
    ...lifetimeOf({ expires_at, expires_in }),
    grace: seconds === undefined ? undefined : seconds * 1_000,
  }
}

export const filters = {
  status: z.enum(statuses).optional().describe('By the database clock, swept or not.'),
  live: flag.optional().describe('Only what may be used now, or only what is over.'),
  reference: text(200).optional(),
  scope: text(200).optional(),
  organization_id: id.optional(),
  subject: text(200).optional(),
  count: countedFlag,
}

export const ListQuery = z.strictObject({ kind: text(200).optional(), ...filters, ...page })

export const resourceRoutes = (app: App, { lapse, once }: Context): void => {
  app.post(
    '/v1/resources',
    {
      ...permit('resources', 'write', 'own'),
      schema: {
        ...operation('resources', 'issueResource', 'Issue a resource', 'Of any kind. Its timers are armed at once.'),
        headers: idempotent,
        body: IssueBody,
        response: {
          201: answer('Issued; `Location` says where.', ChangedResource),
          ...problems(400, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { kind, ...options } = optionsOf(request.body)
      requireKind(request, kind, 'kind')
      const organization = await ownOrganization(lapse, request, options.organization)
      const issued = await once(request, reply, async (verbs) =>
        changedOut(await verbs.issue(kind, { ...options, organization }, byOf(request))),
      )
      return reply.code(201).header('location', `/v1/resources/${issued.id}`).send(issued)
    },
  )

  app.post(
    '/v1/resources/bulk',
    {
      ...permit('resources', 'write', 'own'),
      schema: {
        ...operation('resources', 'issueResources', 'Issue up to 1,000 resources', 'All of them, or none.'),
        headers: idempotent,
        body: z
          .strictObject({ items: z.array(Issue).min(1).max(1_000) })
          .meta(example({ items: [{ kind: 'trial', subject: 'ada@example.com', expires_in: 20 }] })),
        response: {
          201: answer('Issued, in the order of the request.', z.object({ items: z.array(ChangedResource) })),
          ...problems(400, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      for (const [i, { kind }] of request.body.items.entries()) requireKind(request, kind, `items.${i}.kind`)
      const ownOf = ownOrganizations(lapse, request)
      const drafts = await Promise.all(
        request.body.items.map(async (item) => {
          const options = optionsOf(item)
          return { ...options, organization: await ownOf(options.organization) }
        }),
      )
      const issued = await once(request, reply, async (verbs) => ({
        items: (await verbs.issueAll(drafts, byOf(request)).catch(inItems)).map(changedOut),
      }))
      return reply.code(201).send(issued)
    },
  )

  app.get(
    '/v1/resources',
    {
      ...permit('resources', 'read', 'own'),
      schema: {
        ...operation(
          'resources',
          'listResources',
          'List resources',
          'The newest first. Kinds that have an area of their own only with the scope of that area.',
        ),
        querystring: ListQuery,
        response: {
          200: answer('A page.', z.object({ items: z.array(Resource), next_cursor: nextCursor, ...tally })),
          ...problems(422),
        },
      },
    },
    async (request) => {
      const { query } = request
      const { limit, cursor, count: counted, organization_id: organizationId, ...rest } = query
      const filter = {
        ...rest,
        ...exceptWithheld(request),
        organizationId: ownOrganizationId(request, organizationId),
      }
      const [rows, total] = await Promise.all([
        lapse.list(filter, pageOf(query)),
        counted ? lapse.tally(filter) : undefined,
      ])
      return { ...paged(rows, query, resourceOut), ...tallyOut(total) }
    },
  )

  app.get(
    '/v1/resources/:id',
    {
      ...permit('resources', 'read', 'resource'),
      schema: {
        ...operation('resources', 'getResource', 'Get a resource', 'Looking changes nothing.'),
        params: byId,
        response: { 200: answer('The resource.', Resource), ...problems(404) },
      },
    },
    async ({ params }) => resourceOut(await lapse.get(params.id)),
  )
}

/** The domain names a field by its index; the request has it under `items`. */
const inItems = (error: unknown): never => {
  if (error instanceof LapseError && error.field)
    throw new LapseError(error.code, { ...(error.detail && { detail: error.detail }), field: `items.${error.field}` })
  throw error
}
