import { LapseError } from 'lapse'
import { z } from 'zod'
import { permit } from '../http/access.ts'
import { instant, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { id, nextCursor, paged, pageOf, pageOfNumbers } from '../http/query.ts'
import { Event, eventOut, triggers } from '../wire/event.ts'
import { type App, answer, byId, type Context, operation } from './route.ts'

const filters = {
  type: text(50)
    .optional()
    .meta({ examples: ['expired'] }),
  trigger: z.enum(triggers).optional().describe('The layer that did it.'),
  since: instant.optional().describe('At this instant or later.'),
  until: instant.optional().describe('Before this instant.'),
}

const Page = z.object({ items: z.array(Event), next_cursor: nextCursor })

/** The audit. */
export const eventRoutes = (app: App, { lapse }: Context): void => {
  app.get(
    '/v1/events',
    {
      ...permit('events', 'read'),
      schema: {
        ...operation('events', 'listEvents', 'List events', 'The newest first.'),
        querystring: z.strictObject({
          resource_id: id.optional(),
          kind: text(200).optional(),
          ...filters,
          ...pageOfNumbers,
        }),
        response: { 200: answer('A page.', Page), ...problems(422) },
      },
    },
    async ({ query }) => {
      const { resource_id: resourceId, limit, cursor, ...filter } = query
      return paged(await lapse.events({ ...filter, resourceId }, pageOf(query)), query, eventOut)
    },
  )

  app.get(
    '/v1/resources/:id/events',
    {
      ...permit('events', 'read', 'resource'),
      schema: {
        ...operation(
          'events',
          'listResourceEvents',
          'The story of a resource',
          'The newest first. It outlives the resource, which is deleted some time after its end.',
        ),
        params: byId,
        querystring: z.strictObject({ ...filters, ...pageOfNumbers }),
        response: { 200: answer('A page.', Page), ...problems(404, 422) },
      },
    },
    async ({ params, query }) => {
      const { limit, cursor, ...filter } = query
      if (!id.safeParse(params.id).success) throw new LapseError('not_found')
      const rows = await lapse.events({ ...filter, resourceId: params.id }, pageOf(query))
      // Everything that ever was has at least one event.
      if (rows.length === 0 && (await lapse.events({ resourceId: params.id }, { limit: 1 })).length === 0)
        throw new LapseError('not_found')
      return paged(rows, query, eventOut)
    },
  )
}
