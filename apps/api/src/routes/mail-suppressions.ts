import { z } from 'zod'
import { permit } from '../http/access.ts'
import { example, optional } from '../http/described.ts'
import { text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { nextCursor, page, paged, pageOf } from '../http/query.ts'
import { LoggedDelivery, loggedDeliveryOut } from '../wire/delivery.ts'
import { MailSuppression, suppressionOut } from '../wire/mail-suppression.ts'
import { type App, answer, byId, type Context, operation } from './route.ts'

const Bounce = z
  .strictObject({ detail: text(500).optional().describe('What the mail server, or your provider, has said.') })
  .optional()
  .meta({ ...example({ detail: '550 5.1.1 mailbox unknown' }), ...optional })

/** Who is not to be written to. It holds for all organizations, so that none decides for another. */
export const mailSuppressionRoutes = (app: App, { lapse }: Context): void => {
  app.post(
    '/v1/deliveries/:id/bounced',
    {
      ...permit('deliveries', 'write'),
      schema: {
        ...operation(
          'deliveries',
          'bouncedDelivery',
          'Say that a mail has come back',
          'For the hook of your mail provider: the id is the part of the Message-ID before the @. The delivery is dead, and nobody writes to its address until that is lifted. Quiet when it was said before.',
        ),
        params: byId,
        body: Bounce,
        response: { 200: answer('It is dead.', LoggedDelivery), ...problems(400, 404, 415, 422) },
      },
    },
    async ({ params, body }) => {
      await lapse.deliveries.bounced(params.id, body?.detail)
      return loggedDeliveryOut(await lapse.deliveries.get(params.id))
    },
  )

  app.get(
    '/v1/mail-suppressions',
    {
      ...permit('deliveries', 'read'),
      schema: {
        ...operation(
          'deliveries',
          'listMailSuppressions',
          'List addresses that are not to be written to',
          'Those that mails have come back from, and those that want no reminders.',
        ),
        querystring: z.strictObject({ address: text(254).optional(), ...page }),
        response: {
          200: answer('A page.', z.object({ items: z.array(MailSuppression), next_cursor: nextCursor })),
          ...problems(422),
        },
      },
    },
    async ({ query }) => {
      const { address } = query
      return paged(await lapse.suppressions.list({ address }, pageOf(query)), query, suppressionOut)
    },
  )

  app.delete(
    '/v1/mail-suppressions/:id',
    {
      ...permit('deliveries', 'write'),
      schema: {
        ...operation(
          'deliveries',
          'liftMailSuppression',
          'Let an address be written to again',
          'What was given up meanwhile is dead, and can be retried.',
        ),
        params: byId,
        response: { 200: answer('It was lifted.', MailSuppression), ...problems(404) },
      },
    },
    async ({ params }) => suppressionOut(await lapse.suppressions.lift(params.id)),
  )
}
