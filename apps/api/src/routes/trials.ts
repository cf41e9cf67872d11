import { emailAddress, LapseError, singleLine } from 'lapse'
import { z } from 'zod'
import { ownOrganization, ownOrganizationId, permit } from '../http/access.ts'
import { example } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { grace, lifetime, lifetimeOf, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { nextCursor, page, paged, pageOf, tally, tallyOut } from '../http/query.ts'
import { byOf } from '../http/who.ts'
import { deniedOut, unlessDenied } from '../wire/resource.ts'
import { ChangedTrial, changedTrialOut, Trial, trialOut } from '../wire/trial.ts'
import { filters, organization } from './resources.ts'
import { type App, answer, byId, type Context, operation } from './route.ts'
import { Reason, Renewal } from './verbs.ts'

const Start = z
  .strictObject({
    email: emailAddress.optional().describe('Who is told. Without it nobody is.'),
    product: singleLine(200).optional(),
    plan: singleLine(100).optional(),
    reference: text(200)
      .optional()
      .describe('Your own key: at most one live trial of an organization, or of none, has it.'),
    scope: text(200).optional().describe('What it is for.'),
    organization,
    subject: text(200).optional().describe('Who it is for.'),
    ...lifetime,
    grace,
  })
  .meta(example({ email: 'ada@example.com', product: 'Acme', plan: 'pro', scope: 'acme' }))

/** Trials in their own words: start, extend, convert, cancel. */
export const trialRoutes = (app: App, { lapse, once }: Context): void => {
  app.post(
    '/v1/trials',
    {
      ...permit('trials', 'write', 'own'),
      schema: {
        ...operation(
          'trials',
          'startTrial',
          'Start a trial',
          'For 14 days and a day of grace, unless you say otherwise.',
        ),
        headers: idempotent,
        body: Start,
        response: {
          201: answer('Started; `Location` says where.', ChangedTrial),
          ...problems(400, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { email, product, plan, reference, scope, organization, subject, grace: seconds, ...end } = request.body
      const payload = { ...(email && { email }), ...(product && { product }), ...(plan && { plan }) }
      const place = { scope, organization: await ownOrganization(lapse, request, organization) }
      const options = { reference, ...place, subject, payload, ...lifetimeOf(end) }
      const graceMs = seconds === undefined ? undefined : seconds * 1_000
      const started = await once(request, reply, async (verbs) =>
        changedTrialOut(await verbs.issue('trial', { ...options, grace: graceMs }, byOf(request))),
      )
      return reply.code(201).header('location', `/v1/trials/${started.id}`).send(started)
    },
  )

  app.get(
    '/v1/trials',
    {
      ...permit('trials', 'read', 'own'),
      schema: {
        ...operation('trials', 'listTrials', 'List trials', 'The newest first.'),
        querystring: z.strictObject({ ...filters, ...page }),
        response: {
          200: answer('A page.', z.object({ items: z.array(Trial), next_cursor: nextCursor, ...tally })),
          ...problems(422),
        },
      },
    },
    async (request) => {
      const { query } = request
      const { limit, cursor, count: counted, organization_id: organizationId, ...rest } = query
      const filter = { ...rest, organizationId: ownOrganizationId(request, organizationId), kind: 'trial' }
      const [rows, total] = await Promise.all([
        lapse.list(filter, pageOf(query)),
        counted ? lapse.tally(filter) : undefined,
      ])
      return { ...paged(rows, query, trialOut), ...tallyOut(total) }
    },
  )

  app.get(
    '/v1/trials/:id',
    {
      ...permit('trials', 'read', 'resource'),
      schema: {
        ...operation('trials', 'getTrial', 'Get a trial', 'With its banner. Looking changes nothing.'),
        params: byId,
        response: { 200: answer('The trial.', Trial), ...problems(404) },
      },
    },
    async ({ params }) => {
      const resource = await lapse.get(params.id)
      if (resource.kind !== 'trial') throw new LapseError('not_found')
      return trialOut(resource)
    },
  )

  app.post(
    '/v1/trials/:id/extend',
    {
      ...permit('trials', 'write', 'resource'),
      schema: {
        ...operation('trials', 'extendTrial', 'Extend a trial', 'To a later end; at most 60 days in all.'),
        params: byId,
        headers: idempotent,
        body: Renewal,
        response: { 200: answer('Extended.', ChangedTrial), ...problems(400, 404, 409, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      return once(request, reply, async (verbs) =>
        changedTrialOut(await verbs.extend('trial', params.id, lifetimeOf(body), byOf(request, body.reason))),
      )
    },
  )

  app.post(
    '/v1/trials/:id/convert',
    {
      ...permit('trials', 'write', 'resource'),
      schema: {
        ...operation('trials', 'convertTrial', 'Convert a trial', 'A plan was chosen. No more reminders go out.'),
        params: byId,
        headers: idempotent,
        body: Reason,
        response: { 200: answer('Converted.', ChangedTrial), ...problems(400, 404, 409, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      const converted = await once(request, reply, async (verbs) => {
        const result = await verbs.consume('trial', params.id, byOf(request, body?.reason))
        return result.consumed ? changedTrialOut(result.resource) : deniedOut(result)
      })
      return unlessDenied(converted)
    },
  )

  app.post(
    '/v1/trials/:id/cancel',
    {
      ...permit('trials', 'write', 'resource'),
      schema: {
        ...operation('trials', 'cancelTrial', 'Cancel a trial', 'It ends at once; quiet when it has ended already.'),
        params: byId,
        headers: idempotent,
        body: Reason,
        response: { 200: answer('Ended; `status` says how.', ChangedTrial), ...problems(400, 404, 409, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      return once(request, reply, async (verbs) =>
        changedTrialOut(await verbs.revoke('trial', params.id, byOf(request, body?.reason))),
      )
    },
  )
}
