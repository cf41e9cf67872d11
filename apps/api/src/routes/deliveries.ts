import { z } from 'zod'
import { boundTo, permit } from '../http/access.ts'
import { example, optional } from '../http/described.ts'
import { text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { id, nextCursor, page, paged, pageOf } from '../http/query.ts'
import {
  channels,
  Delivery,
  deliveryOut,
  deliveryStatuses,
  LoggedDelivery,
  loggedDeliveryOut,
} from '../wire/delivery.ts'
import { type App, answer, byId, type Context, operation } from './route.ts'
import { Nothing } from './verbs.ts'

const filters = {
  channel: z.enum(channels).optional(),
  kind: text(200).optional(),
  resource_id: id.optional(),
}

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
      const { resource_id: resourceId, limit, cursor, ...rest } = query
      const filter = { ...rest, resourceId, organizationId: boundTo(request) }
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
        ...operation('deliveries', 'retryDeadDeliveries', 'Try all dead ones again', 'All, or those that match.'),
        body: z
          .strictObject(filters)
          .optional()
          .meta({ ...example({ channel: 'email' }), ...optional }),
        response: {
          200: answer('They are due now.', z.object({ retried: z.int() })),
          ...problems(400, 415, 422),
        },
      },
    },
    async (request) => {
      const { resource_id: resourceId, ...filter } = request.body ?? {}
      const organizationId = boundTo(request)
      return { retried: await lapse.deliveries.retryDead({ ...filter, resourceId, organizationId }) }
    },
  )
}
