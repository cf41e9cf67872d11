import type { FastifyRequest } from 'fastify'
import { channels, deliveryStatuses } from 'lapse'
import { z } from 'zod'
import { ownOrganizationId, permit } from '../http/access.ts'
import { example, optional } from '../http/described.ts'
import { instant, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { id, nextCursor, page, paged, pageOf } from '../http/query.ts'
import { Delivery, deliveryOut, LoggedDelivery, loggedDeliveryOut } from '../wire/delivery.ts'
import { type App, answer, byId, type Context, operation } from './route.ts'
import { Nothing } from './verbs.ts'

/** An answer is due after six seconds, and a batch that has begun is finished. */
const workMs = 4_000

const filters = {
  channel: z.enum(channels).optional(),
  kind: text(200).optional().describe('`lapse`: tests and alerts, which belong to no resource.'),
  event: text(50)
    .optional()
    .describe("The event's type, without its number.")
    .meta({ examples: ['reminded'] }),
  target: text(500).optional().describe("An address, an endpoint's id, a handler's name."),
  resource_id: id.optional(),
  organization_id: id.optional().describe('Of what was issued in it; webhooks of its own endpoints.'),
  since: instant.optional().describe('Written down at this instant or later.'),
  until: instant.optional().describe('Written down before this instant.'),
}

type Filters = { [F in keyof typeof filters]?: z.infer<(typeof filters)[F]> }

const filterOf = (request: FastifyRequest, sent: Filters) => {
  const { resource_id: resourceId, organization_id: asked, ...filter } = sent
  return { ...filter, resourceId, organizationId: ownOrganizationId(request, asked) }
}

const Retried = z.object({
  retried: z.int(),
  done: z.boolean().describe('`false`: the time was up. Ask again with `after`.'),
  after: id.nullable(),
})

/** The ledger of side effects. */
export const deliveryRoutes = (app: App, { lapse }: Context): void => {
  app.get(
    '/v1/deliveries',
    {
      ...permit('deliveries', 'read', 'own'),
      schema: {
        ...operation('deliveries', 'listDeliveries', 'List side effects', '`status=dead` lists what was given up.'),
        querystring: z.strictObject({ status: z.enum(deliveryStatuses).optional(), ...filters, ...page }),
        response: {
          200: answer('A page.', z.object({ items: z.array(Delivery), next_cursor: nextCursor })),
          ...problems(422),
        },
      },
    },
    async (request) => {
      const { query } = request
      const { limit, cursor, status, ...sent } = query
      const filter = { status, ...filterOf(request, sent) }
      return paged(await lapse.deliveries.list(filter, pageOf(query)), query, deliveryOut)
    },
  )

  app.get(
    '/v1/deliveries/:id',
    {
      ...permit('deliveries', 'read', 'delivery'),
      schema: {
        ...operation('deliveries', 'getDelivery', 'Get a side effect', 'With the log of its attempts.'),
        params: byId,
        response: { 200: answer('The delivery.', LoggedDelivery), ...problems(404) },
      },
    },
    async ({ params }) => loggedDeliveryOut(await lapse.deliveries.get(params.id)),
  )

  app.post(
    '/v1/deliveries/:id/retry',
    {
      ...permit('deliveries', 'write', 'delivery'),
      schema: {
        ...operation(
          'deliveries',
          'retryDelivery',
          'Try one again',
          'At once, if it is dead or waits for its next try.',
        ),
        params: byId,
        body: Nothing,
        response: { 200: answer('It is due now.', LoggedDelivery), ...problems(400, 404, 409, 415, 422) },
      },
    },
    async ({ params }) => {
      // Throws for an unknown one.
      await lapse.deliveries.get(params.id)
      await lapse.deliveries.retry(params.id)
      return loggedDeliveryOut(await lapse.deliveries.get(params.id))
    },
  )

  app.post(
    '/v1/deliveries/retry',
    {
      ...permit('deliveries', 'write', 'own'),
      schema: {
        ...operation(
          'deliveries',
          'retryDeadDeliveries',
          'Try all dead ones again',
          'All, or those that match. In batches that commit on their own: call again with `after` until `done`.',
        ),
        body: z
          .strictObject({ ...filters, after: id.optional().describe('`after` of the answer before, to go on.') })
          .optional()
          .meta({ ...example({ channel: 'email', since: '2026-12-01T10:00:00Z' }), ...optional }),
        response: { 200: answer('They are due now.', Retried), ...problems(400, 415, 422) },
      },
    },
    async (request) => {
      const { after, ...sent } = request.body ?? {}
      return lapse.deliveries.retryDead(filterOf(request, sent), { after, timeMs: workMs })
    },
  )

  app.post(
    '/v1/deliveries/:id/cancel',
    {
      ...permit('deliveries', 'write', 'delivery'),
      schema: {
        ...operation(
          'deliveries',
          'cancelDelivery',
          'Call one off',
          'One that is outstanding, unless it is being tried in this moment. It never goes out.',
        ),
        params: byId,
        body: Nothing,
        response: { 200: answer('It is cancelled.', LoggedDelivery), ...problems(400, 404, 409, 415, 422) },
      },
    },
    async ({ params }) => {
      await lapse.deliveries.cancel(params.id)
      return loggedDeliveryOut(await lapse.deliveries.get(params.id))
    },
  )
}
