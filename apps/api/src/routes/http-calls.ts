import { callMethods } from 'lapse'
import { z } from 'zod'
import { ownOrganization, ownOrganizationId, permit } from '../http/access.ts'
import { example } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { json, lifetime, lifetimeOf, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { nextCursor, page, paged, pageOf, tally, tallyOut } from '../http/query.ts'
import { byOf } from '../http/who.ts'
import {
  ChangedHttpCall,
  changedHttpCallOut,
  HttpCall,
  httpCallOut,
  LoggedHttpCall,
  loggedHttpCallOut,
} from '../wire/http-call.ts'
import { filters, organization } from './resources.ts'
import { type App, answer, byId, type Context, operation } from './route.ts'
import { Reason, Renewal } from './verbs.ts'

const { live, status, ...others } = filters

/** What a call can be. */
const callStatuses = ['active', 'expired', 'revoked', 'suspended'] as const

const Schedule = z
  .strictObject({
    url: text(2_000).describe(
      'Public and https, unless LAPSE_ALLOW_ADDRESSES says otherwise, which is for organizations only when LAPSE_ALLOW_ADDRESSES_FOR names them. Its query is kept sealed.',
    ),
    method: z.enum(callMethods).optional().describe('`POST` unless you say otherwise.'),
    headers: z
      .record(z.string(), z.string())
      .optional()
      .describe('At most 30; kept sealed. Without `idempotency-key` it is made with one.'),
    body: json
      .optional()
      .describe('A text goes out as it is, and anything else as JSON; at most 64 KiB; kept sealed.')
      .meta({ examples: [{ remind: 42 }] }),
    attempts: z.int().min(1).max(28).optional().describe('How often it is tried at most; 10 unless you say otherwise.'),
    timeout_seconds: z.int().min(1).max(30).optional().describe('How long each may take; 15 unless you say otherwise.'),
    reference: text(200)
      .optional()
      .describe('Your own key: at most one scheduled call of an organization, or of none, has it.'),
    scope: text(200).optional().describe('What it is for.'),
    organization,
    subject: text(200).optional().describe('Who it is for.'),
    expires_at: lifetime.expires_at.describe('The instant it is made. This or `expires_in`, not both.'),
    expires_in: lifetime.expires_in,
  })
  .meta(
    example({
      url: 'https://example.com/hooks/remind?user=7',
      headers: { authorization: 'Bearer your-secret' },
      body: { remind: 42 },
      reference: 'remind-42',
      expires_in: 7_200,
    }),
  )

/** Calls in their own words: schedule, reschedule, make now, cancel. */
export const httpCallRoutes = (app: App, { lapse, once }: Context): void => {
  app.post(
    '/v1/http-calls',
    {
      ...permit('http-calls', 'write', 'own'),
      schema: {
        ...operation(
          'http-calls',
          'scheduleHttpCall',
          'Schedule a call',
          'It is made at the very instant, at least once, always with the same Idempotency-Key, and tried again after 5, 10, 20 seconds and so on, up to 6 hours. 2xx is success; other 4xx than 408, 425 and 429, and redirects, are final.',
        ),
        headers: idempotent,
        body: Schedule,
        response: {
          201: answer('Scheduled; `Location` says where.', ChangedHttpCall),
          ...problems(400, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { timeout_seconds: timeoutSeconds, expires_at, expires_in, ...body } = request.body
      const { expiresAt, expiresIn: expiresInMs } = lifetimeOf({ expires_at, expires_in })
      const organization = await ownOrganization(lapse, request, body.organization)
      const input = { ...body, organization, timeoutSeconds, expiresAt, expiresInMs }
      const scheduled = await once(request, reply, async ({ httpCalls }) =>
        changedHttpCallOut(await httpCalls.schedule(input, byOf(request))),
      )
      return reply.code(201).header('location', `/v1/http-calls/${scheduled.id}`).send(scheduled)
    },
  )

  app.get(
    '/v1/http-calls',
    {
      ...permit('http-calls', 'read', 'own'),
      schema: {
        ...operation(
          'http-calls',
          'listHttpCalls',
          'List calls',
          'The newest first. Those that were given up are also in the ledger: `GET /v1/deliveries?channel=call&status=dead`.',
        ),
        querystring: z.strictObject({
          status: z
            .enum(callStatuses)
            .optional()
            .describe(
              '`active`: its `state` is `scheduled`; `expired`: its time has come; `revoked`: it was cancelled; `suspended`.',
            ),
          ...others,
          ...page,
        }),
        response: {
          200: answer('A page.', z.object({ items: z.array(HttpCall), next_cursor: nextCursor, ...tally })),
          ...problems(422),
        },
      },
    },
    async (request) => {
      const { query } = request
      const { limit, cursor, count: counted, organization_id: asked, ...rest } = query
      const filter = { ...rest, organizationId: ownOrganizationId(request, asked) }
      const [rows, total] = await Promise.all([
        lapse.httpCalls.list(filter, pageOf(query)),
        counted ? lapse.tally({ ...filter, kind: 'http-call' }) : undefined,
      ])
      return { ...paged(rows, query, httpCallOut), ...tallyOut(total) }
    },
  )

  app.get(
    '/v1/http-calls/:id',
    {
      ...permit('http-calls', 'read', 'resource'),
      schema: {
        ...operation(
          'http-calls',
          'getHttpCall',
          'Get a call',
          'With the log of its attempts. Looking changes nothing.',
        ),
        params: byId,
        response: { 200: answer('The call.', LoggedHttpCall), ...problems(404) },
      },
    },
    async ({ params }) => loggedHttpCallOut(await lapse.httpCalls.get(params.id)),
  )

  app.post(
    '/v1/http-calls/:id/reschedule',
    {
      ...permit('http-calls', 'write', 'resource'),
      schema: {
        ...operation(
          'http-calls',
          'rescheduleHttpCall',
          'Reschedule a call',
          'To a later or an earlier instant, at most 366 days after it was scheduled first. Not when its time has come.',
        ),
        params: byId,
        headers: idempotent,
        body: Renewal,
        response: { 200: answer('Rescheduled.', ChangedHttpCall), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      const { expiresAt, expiresIn: expiresInMs } = lifetimeOf(body)
      return once(request, reply, async ({ httpCalls }) =>
        changedHttpCallOut(
          await httpCalls.reschedule(params.id, { expiresAt, expiresInMs }, byOf(request, body.reason)),
        ),
      )
    },
  )

  app.post(
    '/v1/http-calls/:id/make-now',
    {
      ...permit('http-calls', 'write', 'resource'),
      schema: {
        ...operation('http-calls', 'makeHttpCallNow', 'Make a call now', 'Quiet when its time has come already.'),
        params: byId,
        headers: idempotent,
        body: Reason,
        response: {
          200: answer('It is being made; `state` says how it stands.', ChangedHttpCall),
          ...problems(400, 404, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      return once(request, reply, async ({ httpCalls }) =>
        changedHttpCallOut(await httpCalls.makeNow(params.id, byOf(request, body?.reason))),
      )
    },
  )

  app.post(
    '/v1/http-calls/:id/cancel',
    {
      ...permit('http-calls', 'write', 'resource'),
      schema: {
        ...operation(
          'http-calls',
          'cancelHttpCall',
          'Cancel a call',
          'It is never made, and what it carries is erased. Quiet when it was cancelled already. Once its time has come it is a conflict, which says what can be done.',
        ),
        params: byId,
        headers: idempotent,
        body: Reason,
        response: { 200: answer('Cancelled.', ChangedHttpCall), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      return once(request, reply, async ({ httpCalls }) =>
        changedHttpCallOut(await httpCalls.cancel(params.id, byOf(request, body?.reason))),
      )
    },
  )
}
