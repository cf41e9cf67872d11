import { endpointEvents } from 'lapse'
import { z } from 'zod'
import { permit } from '../http/access.ts'
import { example } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { instant, reason, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { byOf } from '../http/who.ts'
import { LoggedDelivery, loggedDeliveryOut } from '../wire/delivery.ts'
import { type App, answer, byId, type Context, operation } from './route.ts'
import { Reason } from './verbs.ts'

const Span = z
  .strictObject({
    since: instant.describe('What happened at this instant or later.'),
    until: instant.optional().describe('What happened before this instant; until now without.'),
    kinds: z.array(text(32)).max(50).optional().describe('Only of these kinds.'),
    events: z
      .array(z.enum(endpointEvents).exclude(['alert']))
      .max(50)
      .optional()
      .describe('Only these.'),
    cursor: text(18).optional().describe('`next_cursor` of the answer before, to go on.'),
    reason,
  })
  .meta(example({ since: '2026-12-01T10:00:00Z', until: '2026-12-02T10:00:00Z' }))

const Replayed = z
  .object({
    replayed: z.int().describe('How many are on their way. What waits for its first try anyway is not counted.'),
    next_cursor: z.string().nullable().describe('Where to go on; `null`: that was all.'),
  })
  .meta({ id: 'Replayed', description: 'How much is sent again.', examples: [{ replayed: 42, next_cursor: null }] })

const Tested = z
  .object({ delivery_id: z.string().meta({ format: 'uuid' }).describe('Its log says how it went.') })
  .meta({
    id: 'TestedWebhook',
    description: 'A test that is on its way.',
    examples: [{ delivery_id: '019abcde-0000-7000-8000-00000000000d' }],
  })

/** What is sent to endpoints because somebody asks for it. */
export const webhookReplayRoutes = (app: App, { lapse, once }: Context): void => {
  app.post(
    '/v1/webhook-endpoints/:id/test',
    {
      ...permit('webhook-endpoints', 'write', 'endpoint'),
      schema: {
        ...operation(
          'webhook-endpoints',
          'testWebhookEndpoint',
          'Send it a test',
          'A `lapse.test`, also to one that is disabled. `Location` says where to see how it went.',
        ),
        params: byId,
        headers: idempotent,
        body: Reason,
        response: { 202: answer('On its way.', Tested), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      const tested = await once(request, reply, async ({ webhookEndpoints }) => {
        const { deliveryId } = await webhookEndpoints.test(params.id, byOf(request, body?.reason))
        return { delivery_id: deliveryId }
      })
      return reply.code(202).header('location', `/v1/deliveries/${tested.delivery_id}`).send(tested)
    },
  )

  app.post(
    '/v1/webhook-endpoints/:id/replay',
    {
      ...permit('webhook-endpoints', 'write', 'endpoint'),
      schema: {
        ...operation(
          'webhook-endpoints',
          'replayWebhooks',
          'Send it what happened in a span of time',
          'Of what it asks for: again under the same id what it was sent, and for the first time what it was not. At most 10,000 events at once; `next_cursor` says where to go on. What has been purged is not there any more.',
        ),
        params: byId,
        headers: idempotent,
        body: Span,
        response: { 200: answer('On their way.', Replayed), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { reason, ...span } = request.body
      return once(request, reply, async ({ webhookEndpoints }) => {
        const { replayed, cursor } = await webhookEndpoints.replay(request.params.id, span, byOf(request, reason))
        return { replayed, next_cursor: cursor }
      })
    },
  )

  app.post(
    '/v1/deliveries/:id/replay',
    {
      ...permit('deliveries', 'write', 'delivery'),
      schema: {
        ...operation(
          'deliveries',
          'replayDelivery',
          'Send a webhook again',
          'Under the same id, however it ended. Mails and handlers are only retried.',
        ),
        params: byId,
        headers: idempotent,
        body: Reason,
        response: { 200: answer('It is due now.', LoggedDelivery), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      await once(request, reply, async ({ webhookEndpoints }) => {
        await webhookEndpoints.resend(params.id, byOf(request, body?.reason))
        return { delivery_id: params.id }
      })
      return loggedDeliveryOut(await lapse.deliveries.get(params.id))
    },
  )
}
