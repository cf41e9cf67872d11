import { LapseError } from 'lapse'
import { z } from 'zod'
import { permit } from '../http/access.ts'
import { example, optional } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { lifetime, lifetimeOf, reason, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { byOf } from '../http/who.ts'
import { ChangedResource, changedOut, deniedOut, unlessDenied, Verdict, verdictOut } from '../wire/resource.ts'
import { type App, answer, byId, type Context, operation } from './route.ts'

/** Nothing has to be sent. */
export const Reason = z
  .strictObject({ reason })
  .optional()
  .meta({ ...example({ reason: 'asked for by phone' }), ...optional })

const Use = z
  .strictObject({ reason, holder: text(200).optional().describe('Whose use it is, where each may use it so often.') })
  .optional()
  .meta({ ...example({ holder: 'ada' }), ...optional })

export const Renewal = z.strictObject({ ...lifetime, reason }).meta(example({ expires_in: 3600 }))

/** For verbs that need nothing. */
export const Nothing = z.strictObject({}).optional().meta(optional)

/** The verbs on one resource, whatever its kind. */
export const verbRoutes = (app: App, { lapse, once }: Context): void => {
  app.post(
    '/v1/resources/:id/check',
    {
      ...permit('resources', 'read', 'resource'),
      schema: {
        ...operation(
          'resources',
          'checkResource',
          'May it be used now?',
          'By the database clock. What is over is denied, and lapses at this very moment if nothing has done it before.',
        ),
        params: byId,
        body: Nothing,
        response: { 200: answer('The verdict, either way.', Verdict), ...problems(422) },
      },
    },
    async ({ params }) => {
      const resource = await lapse.get(params.id).catch(unlessUnknown)
      if (!resource) return verdictOut({ allowed: false, reason: 'unknown' })
      return verdictOut(await lapse.check(resource.kind, params.id))
    },
  )

  app.post(
    '/v1/resources/:id/consume',
    {
      ...permit('resources', 'write', 'resource'),
      schema: {
        ...operation('resources', 'consumeResource', 'Use it once', 'The last use ends it.'),
        params: byId,
        headers: idempotent,
        body: Use,
        response: { 200: answer('Used.', ChangedResource), ...problems(400, 404, 409, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      const used = await once(request, reply, async (verbs) => {
        const { kind } = await verbs.get(params.id)
        const result = await verbs.consume(kind, params.id, { ...byOf(request, body?.reason), holder: body?.holder })
        return result.consumed ? changedOut(result.resource) : deniedOut(result)
      })
      return unlessDenied(used)
    },
  )

  app.post(
    '/v1/resources/:id/renew',
    {
      ...permit('resources', 'write', 'resource'),
      schema: {
        ...operation(
          'resources',
          'renewResource',
          'Give it another end',
          'A later or an earlier one, never past the longest life of its kind. What has ended cannot be renewed.',
        ),
        params: byId,
        headers: idempotent,
        body: Renewal,
        response: { 200: answer('Renewed.', ChangedResource), ...problems(400, 404, 409, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      return once(request, reply, async (verbs) => {
        const { kind } = await verbs.get(params.id)
        return changedOut(await verbs.renew(kind, params.id, lifetimeOf(body), byOf(request, body.reason)))
      })
    },
  )

  const endings = [
    ['revoke', 'revokeResource', 'Revoke it', 'It ends at once; quiet when it has ended already.'],
    ['expire', 'expireResource', 'Expire it now', 'Without grace; quiet when it has ended already.'],
  ] as const
  for (const [verb, operationId, summary, description] of endings)
    app.post(
      `/v1/resources/:id/${verb}`,
      {
        ...permit('resources', 'write', 'resource'),
        schema: {
          ...operation('resources', operationId, summary, description),
          params: byId,
          headers: idempotent,
          body: Reason,
          response: { 200: answer('Ended; `status` says how.', ChangedResource), ...problems(400, 404, 409, 415, 422) },
        },
      },
      async (request, reply) => {
        const { params, body } = request
        return once(request, reply, async (verbs) => {
          const { kind } = await verbs.get(params.id)
          return changedOut(await verbs[verb](kind, params.id, byOf(request, body?.reason)))
        })
      },
    )
}

export const unlessUnknown = (error: unknown): undefined => {
  if (!(error instanceof LapseError && error.code === 'not_found')) throw error
}
