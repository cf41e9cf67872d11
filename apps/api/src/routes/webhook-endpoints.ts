import { emailAddress, endpointEvents, endpointStatuses, singleLine } from 'lapse'
import { z } from 'zod'
import { ownOrganization, ownOrganizationId, permit } from '../http/access.ts'
import { example, optional } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { reason, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { id, nextCursor, page, paged, pageOf } from '../http/query.ts'
import { byOf } from '../http/who.ts'
import { IssuedWebhookEndpoint, WebhookEndpoint, webhookEndpointOut } from '../wire/webhook-endpoint.ts'
import { type App, answer, byId, type Context, operation } from './route.ts'
import { Nothing, Reason } from './verbs.ts'

const url = text(2_000).describe('https; it is refused when it is not a public address.').meta({ format: 'uri' })
const description = singleLine(500)
const maxPerSecond = z.int().min(1).max(1_000)

const subscription = {
  kinds: z.array(text(32)).max(50).optional().describe('What kinds of resources it is told of; all when empty.'),
  events: z
    .array(z.enum(endpointEvents))
    .max(50)
    .optional()
    .describe(
      'What it is told of; everything that happens to resources when empty. `alert`, for operators, has to be named.',
    ),
  headers: z
    .record(z.string(), z.string())
    .optional()
    .describe('Sent along; at most 10. Their values are kept sealed, and shown to nobody.'),
}

const Create = z
  .strictObject({
    url,
    description: description.optional().describe('For people.'),
    organization: text(200)
      .optional()
      .describe("Told of this one's resources and no other's, by its id or your own for it; of everybody's without."),
    ...subscription,
    contact: emailAddress.optional().describe('Who is told by mail when it is disabled; the operator without.'),
    max_per_second: maxPerSecond.optional().describe('At most so many attempts a second, over all workers.'),
  })
  .meta(example({ url: 'https://example.com/hooks/lapse', kinds: ['trial'], events: ['reminded', 'expired'] }))

const Update = z
  .strictObject({
    url: url.optional(),
    description: description.nullable().optional(),
    ...subscription,
    contact: emailAddress.nullable().optional(),
    max_per_second: maxPerSecond.nullable().optional(),
    reason,
  })
  .meta(example({ events: [], contact: 'ada@example.com' }))

const Rotate = z
  .strictObject({
    overlap: z
      .int()
      .min(0)
      .max(604_800)
      .optional()
      .describe('For how many seconds the secret before signs too; a day unless you say otherwise.'),
    reason,
  })
  .optional()
  .meta({ ...example({ overlap: 3600 }), ...optional })

/** The endpoints that are told over HTTP. */
export const webhookEndpointRoutes = (app: App, { lapse, once }: Context): void => {
  app.post(
    '/v1/webhook-endpoints',
    {
      ...permit('webhook-endpoints', 'write', 'own'),
      schema: {
        ...operation(
          'webhook-endpoints',
          'createWebhookEndpoint',
          'Create a webhook endpoint',
          'It is told of what happens from now on. The secret that signs is shown this once. At most 20 for an organization.',
        ),
        headers: idempotent,
        body: Create,
        response: {
          201: answer('Created; `Location` says where.', IssuedWebhookEndpoint),
          ...problems(400, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const organization = await ownOrganization(lapse, request, request.body.organization)
      const { max_per_second: maxPerSecond, ...terms } = request.body
      let secret: string | undefined
      const created = await once(request, reply, async ({ webhookEndpoints }) => {
        const issued = await webhookEndpoints.create({ ...terms, maxPerSecond, organization }, byOf(request))
        secret = issued.secret
        return webhookEndpointOut(issued.endpoint)
      })
      return reply
        .code(201)
        .header('location', `/v1/webhook-endpoints/${created.id}`)
        .send({ ...created, ...(secret !== undefined && { secret }) })
    },
  )

  app.get(
    '/v1/webhook-endpoints',
    {
      ...permit('webhook-endpoints', 'read', 'own'),
      schema: {
        ...operation(
          'webhook-endpoints',
          'listWebhookEndpoints',
          'List webhook endpoints',
          'The newest first; never their secrets.',
        ),
        querystring: z.strictObject({
          organization_id: id.optional(),
          status: z.enum(endpointStatuses).optional(),
          ...page,
        }),
        response: {
          200: answer('A page.', z.object({ items: z.array(WebhookEndpoint), next_cursor: nextCursor })),
          ...problems(422),
        },
      },
    },
    async (request) => {
      const { organization_id: asked, status } = request.query
      const filter = { status, organizationId: ownOrganizationId(request, asked) }
      const found = await lapse.webhookEndpoints.list(filter, pageOf(request.query))
      return paged(found, request.query, webhookEndpointOut)
    },
  )

  app.get(
    '/v1/webhook-endpoints/:id',
    {
      ...permit('webhook-endpoints', 'read', 'endpoint'),
      schema: {
        ...operation('webhook-endpoints', 'getWebhookEndpoint', 'Get a webhook endpoint', 'Never its secret.'),
        params: byId,
        response: { 200: answer('What it is told, and how it does.', WebhookEndpoint), ...problems(404) },
      },
    },
    async ({ params }) => webhookEndpointOut(await lapse.webhookEndpoints.get(params.id)),
  )

  app.patch(
    '/v1/webhook-endpoints/:id',
    {
      ...permit('webhook-endpoints', 'write', 'endpoint'),
      schema: {
        ...operation(
          'webhook-endpoints',
          'updateWebhookEndpoint',
          'Change a webhook endpoint',
          'What is left out stays; `null` clears; `headers` takes the place of all there were.',
        ),
        params: byId,
        body: Update,
        response: { 200: answer('Changed.', WebhookEndpoint), ...problems(400, 404, 413, 415, 422) },
      },
    },
    async (request) => {
      const { reason, max_per_second: maxPerSecond, ...terms } = request.body
      const changes = { ...terms, maxPerSecond }
      return webhookEndpointOut(await lapse.webhookEndpoints.update(request.params.id, changes, byOf(request, reason)))
    },
  )

  app.post(
    '/v1/webhook-endpoints/:id/rotate-secret',
    {
      ...permit('webhook-endpoints', 'write', 'endpoint'),
      schema: {
        ...operation(
          'webhook-endpoints',
          'rotateWebhookSecret',
          'Give it a new secret',
          'Both sign until the overlap is over; the one before those does not any more.',
        ),
        params: byId,
        headers: idempotent,
        body: Rotate,
        response: {
          200: answer('With the new secret, which is shown this once.', IssuedWebhookEndpoint),
          ...problems(400, 404, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      const overlapMs = body?.overlap === undefined ? undefined : body.overlap * 1_000
      let secret: string | undefined
      const rotated = await once(request, reply, async ({ webhookEndpoints }) => {
        const issued = await webhookEndpoints.rotateSecret(params.id, { overlapMs }, byOf(request, body?.reason))
        secret = issued.secret
        return webhookEndpointOut(issued.endpoint)
      })
      return { ...rotated, ...(secret !== undefined && { secret }) }
    },
  )

  app.post(
    '/v1/webhook-endpoints/:id/disable',
    {
      ...permit('webhook-endpoints', 'write', 'endpoint'),
      schema: {
        ...operation(
          'webhook-endpoints',
          'disableWebhookEndpoint',
          'Disable it',
          'Nothing is sent to it any more, and what waits is cancelled. Quiet when it is disabled already.',
        ),
        params: byId,
        headers: idempotent,
        body: Reason,
        response: { 200: answer('Disabled.', WebhookEndpoint), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      return once(request, reply, async ({ webhookEndpoints }) =>
        webhookEndpointOut(await webhookEndpoints.disable(params.id, byOf(request, body?.reason))),
      )
    },
  )

  app.post(
    '/v1/webhook-endpoints/:id/enable',
    {
      ...permit('webhook-endpoints', 'write', 'endpoint'),
      schema: {
        ...operation(
          'webhook-endpoints',
          'enableWebhookEndpoint',
          'Enable it',
          'It is told of what happens from now on; replay what it has missed. Quiet when it is enabled already.',
        ),
        params: byId,
        headers: idempotent,
        body: Reason,
        response: { 200: answer('Enabled.', WebhookEndpoint), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      return once(request, reply, async ({ webhookEndpoints }) =>
        webhookEndpointOut(await webhookEndpoints.enable(params.id, byOf(request, body?.reason))),
      )
    },
  )

  app.delete(
    '/v1/webhook-endpoints/:id',
    {
      ...permit('webhook-endpoints', 'write', 'endpoint'),
      schema: {
        ...operation('webhook-endpoints', 'deleteWebhookEndpoint', 'Delete it', 'What waits for it is cancelled.'),
        params: byId,
        querystring: z.strictObject({ reason }),
        body: Nothing,
        response: { 200: answer('As it was.', WebhookEndpoint), ...problems(400, 404, 415, 422) },
      },
    },
    async (request) => {
      const { params, query } = request
      return webhookEndpointOut(await lapse.webhookEndpoints.delete(params.id, byOf(request, query.reason)))
    },
  )
}
