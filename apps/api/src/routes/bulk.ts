import type { FastifyRequest } from 'fastify'
import type { BulkResult } from 'lapse'
import { z } from 'zod'
import { exceptWithheld, ownOrganizationId, permit } from '../http/access.ts'
import { example } from '../http/described.ts'
import { lifetime, lifetimeOf, reason, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { id } from '../http/query.ts'
import { byOf } from '../http/who.ts'
import { type App, answer, type Context, operation } from './route.ts'

/** An answer is due after six seconds, and a batch that has begun is finished. */
const workMs = 4_000

const filters = {
  scope: text(200).optional(),
  organization_id: id.optional(),
  subject: text(200).optional(),
  status: z
    .enum(['active', 'grace', 'suspended', 'scheduled'])
    .optional()
    .describe('By the database clock. What has ended is never found.'),
}

const options = {
  dry_run: z.boolean().optional().describe('Only say what would be done.'),
  after: id.optional().describe('`after` of the answer before, to go on.'),
  reason,
}

const Renewal = z
  .strictObject({
    filter: z.strictObject({ kind: text(200).describe('A renewal goes by the terms of one kind.'), ...filters }),
    ...lifetime,
    ...options,
  })
  .meta(example({ filter: { kind: 'trial', scope: 'acme' }, expires_in: 604800, dry_run: true }))

const Revocation = z
  .strictObject({
    filter: z
      .strictObject({ kind: text(200).optional(), ...filters })
      .refine(({ status, ...rest }) => Object.values(rest).some((value) => value !== undefined), {
        error: 'Give kind, scope, organization_id or subject: without any it would be everything there is',
      })
      .describe('At least one of `kind`, `scope`, `organization_id` and `subject`; all that are given have to fit.'),
    ...options,
  })
  .meta(example({ filter: { scope: 'acme' }, dry_run: true, reason: 'the contract has ended' }))

const BulkAnswer = z
  .object({
    matched: z.int().describe('What the filter has found: changed or refused.'),
    changed: z.int().describe('In a dry run, what would be.'),
    refused: z.record(z.string(), z.int()).describe('How many for which `code`.'),
    sample: z.array(z.string().meta({ format: 'uuid' })).describe('The first of what was changed.'),
    done: z.boolean().describe('`false`: the time was up. Ask again with `after`; the numbers are of each call alone.'),
    after: z.string().meta({ format: 'uuid' }).nullable(),
  })
  .meta({
    id: 'BulkAnswer',
    description: 'What was done to how many.',
    examples: [
      {
        matched: 3,
        changed: 2,
        refused: { suspended: 1 },
        sample: ['019abcde-0000-7000-8000-000000000001', '019abcde-0000-7000-8000-000000000002'],
        done: true,
        after: null,
      },
    ],
  })

const bulkOut = (result: BulkResult): z.infer<typeof BulkAnswer> => ({
  ...result,
  refused: { ...result.refused },
  sample: [...result.sample],
})

const filterOf = <F extends { organization_id?: string | undefined }>(request: FastifyRequest, sent: F) => {
  const { organization_id: asked, ...filter } = sent
  return { ...filter, ...exceptWithheld(request), organizationId: ownOrganizationId(request, asked) }
}

const optionsOf = (
  request: FastifyRequest,
  { dry_run: dryRun, after, reason: why }: z.infer<z.ZodObject<typeof options>>,
) => ({
  dryRun,
  after,
  timeMs: workMs,
  ...byOf(request, why),
})

/** Many at once, by what they have in common. */
export const bulkRoutes = (app: App, { lapse }: Context): void => {
  app.post(
    '/v1/resources/bulk/renew',
    {
      ...permit('resources', 'write', 'own'),
      schema: {
        ...operation(
          'resources',
          'renewResources',
          'Give many another end',
          'All of one kind that the filter finds, each judged by itself. In batches that commit on their own: call again with `after` until `done`.',
        ),
        body: Renewal,
        response: { 200: answer('How many.', BulkAnswer), ...problems(400, 415, 422) },
      },
    },
    async (request) => {
      const { body } = request
      return bulkOut(await lapse.renewAll(filterOf(request, body.filter), lifetimeOf(body), optionsOf(request, body)))
    },
  )

  app.post(
    '/v1/resources/bulk/revoke',
    {
      ...permit('resources', 'write', 'own'),
      schema: {
        ...operation(
          'resources',
          'revokeResources',
          'Revoke many',
          'All that the filter finds, of every kind. In batches that commit on their own: call again with `after` until `done`. Asked again it finds nothing left to do.',
        ),
        body: Revocation,
        response: { 200: answer('How many.', BulkAnswer), ...problems(400, 415, 422) },
      },
    },
    async (request) => {
      const { body } = request
      return bulkOut(await lapse.revokeAll(filterOf(request, body.filter), optionsOf(request, body)))
    },
  )
}
