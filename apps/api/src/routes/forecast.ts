import type { Forecast as LapseForecast } from 'lapse'
import { z } from 'zod'
import { ownOrganizationId, permit } from '../http/access.ts'
import { instant, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { id } from '../http/query.ts'
import { type App, answer, type Context, operation } from './route.ts'

const mostBuckets = 1_000

const Query = z.strictObject({
  bucket: z.enum(['hour', 'day']).optional().describe('`hour` unless said otherwise; whole ones, UTC.'),
  count: z
    .string()
    .refine((digits) => /^\d{1,4}$/.test(digits) && Number(digits) >= 1 && Number(digits) <= mostBuckets, {
      error: `From 1 to ${mostBuckets}`,
    })
    .transform(Number)
    .optional()
    .meta({ type: 'integer', minimum: 1, maximum: mostBuckets, description: '24 unless said otherwise.' }),
  kind: text(200).optional(),
  organization_id: id.optional(),
  from: instant.optional().describe('From now on unless said otherwise; never earlier.'),
})

const moment = z.string().meta({ format: 'date-time' })
const ending = {
  total: z.int(),
  kinds: z.record(z.string(), z.int()).describe('How many of each kind.'),
}

const Forecast = z
  .object({
    at: moment.describe('What the database clock said.'),
    overdue: z.object(ending).describe('Over, denied already, and not swept yet.'),
    buckets: z.array(z.object({ start: moment, end: moment, ...ending })),
  })
  .meta({
    id: 'Forecast',
    description: 'How many end when.',
    examples: [
      {
        at: '2026-12-01T10:20:00.000Z',
        overdue: { total: 0, kinds: {} },
        buckets: [
          {
            start: '2026-12-01T10:00:00.000Z',
            end: '2026-12-01T11:00:00.000Z',
            total: 3,
            kinds: { trial: 1, invite: 2 },
          },
        ],
      },
    ],
  })

const forecastOut = ({ at, overdue, buckets }: LapseForecast): z.infer<typeof Forecast> => ({
  at: at.toISOString(),
  overdue: { total: overdue.total, kinds: { ...overdue.kinds } },
  buckets: buckets.map(({ start, end, total, kinds }) => ({
    start: start.toISOString(),
    end: end.toISOString(),
    total,
    kinds: { ...kinds },
  })),
})

export const forecastRoutes = (app: App, { lapse }: Context): void => {
  app.get(
    '/v1/forecast',
    {
      ...permit('resources', 'read', 'own'),
      schema: {
        ...operation(
          'resources',
          'getForecast',
          'How many end when',
          'Of what has not ended, suspended or not yet begun included. The first bucket counts from now on.',
        ),
        querystring: Query,
        response: { 200: answer('The coming hours or days.', Forecast), ...problems(422) },
      },
    },
    async (request) => {
      const { bucket = 'hour', count = 24, kind, organization_id: asked, from } = request.query
      const organizationId = ownOrganizationId(request, asked)
      return forecastOut(await lapse.forecast({ bucket, count, kind, organizationId, from }))
    },
  )
}
