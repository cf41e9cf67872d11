import { type Lapse, LapseError } from 'lapse'
import { z } from 'zod'
import { permit } from '../http/access.ts'
import { example } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { reason, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { nextCursor, page, paged, pageOf } from '../http/query.ts'
import { byOf } from '../http/who.ts'
import {
  AffectedOrganization,
  affectedOut,
  Organization,
  organizationOut,
  organizationStatuses,
} from '../wire/organization.ts'
import { type App, answer, byName, type Context, operation } from './route.ts'
import { Nothing, Reason, unlessUnknown } from './verbs.ts'

const name = text(200)
const plan = text(100)
const seats = z
  .int()
  .min(0)
  .max(2 ** 31 - 1)

const Create = z
  .strictObject({
    name,
    reference: text(200).optional().describe('Your own id for it: wherever its id is asked for, this does too.'),
    plan: plan.optional(),
    seat_limit: seats.optional().describe('How many members it may have; any number without.'),
  })
  .meta(example({ name: 'Acme', reference: 'acme', plan: 'pro', seat_limit: 25 }))

const Update = z
  .strictObject({
    name: name.optional(),
    plan: plan.nullable().optional(),
    seat_limit: seats.nullable().optional().describe('Members beyond it stay, and nobody joins; `null`: any number.'),
    reason,
  })
  .meta(example({ plan: 'team', seat_limit: null }))

/** Whom resources are issued in. */
export const organizationRoutes = (app: App, { lapse, once }: Context): void => {
  app.post(
    '/v1/organizations',
    {
      ...permit('organizations', 'write'),
      schema: {
        ...operation('organizations', 'createOrganization', 'Create an organization', 'Or adopt one of your own.'),
        headers: idempotent,
        body: Create,
        response: {
          201: answer('Created; `Location` says where.', Organization),
          ...problems(400, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { seat_limit: seatLimit, ...rest } = request.body
      const created = await once(request, reply, async (verbs) =>
        organizationOut(await verbs.organizations.create({ ...rest, seatLimit }, byOf(request))),
      )
      return reply.code(201).header('location', `/v1/organizations/${created.id}`).send(created)
    },
  )

  app.get(
    '/v1/organizations',
    {
      ...permit('organizations', 'read'),
      schema: {
        ...operation('organizations', 'listOrganizations', 'List organizations', 'The newest first.'),
        querystring: z.strictObject({
          status: z.enum(organizationStatuses).optional(),
          reference: text(200).optional(),
          ...page,
        }),
        response: {
          200: answer('A page.', z.object({ items: z.array(Organization), next_cursor: nextCursor })),
          ...problems(422),
        },
      },
    },
    async ({ query }) => {
      const { limit, cursor, ...filter } = query
      return paged(await lapse.organizations.list(filter, pageOf(query)), query, organizationOut)
    },
  )

  app.get(
    '/v1/organizations/:id',
    {
      ...permit('organizations', 'read', 'organization'),
      schema: {
        ...operation('organizations', 'getOrganization', 'Get an organization', 'Deleted ones too.'),
        params: byName,
        response: { 200: answer('The organization.', Organization), ...problems(404) },
      },
    },
    async ({ params }) => organizationOut(await lapse.organizations.get(params.id)),
  )

  app.patch(
    '/v1/organizations/:id',
    {
      ...permit('organizations', 'write'),
      schema: {
        ...operation(
          'organizations',
          'updateOrganization',
          'Change an organization',
          'What is left out stays; `null` clears. A deleted one has to be restored first.',
        ),
        params: byName,
        body: Update,
        response: { 200: answer('Changed.', Organization), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request) => {
      const { params, body } = request
      const { seat_limit: seatLimit, reason, ...rest } = body
      return organizationOut(await lapse.organizations.update(params.id, { ...rest, seatLimit }, byOf(request, reason)))
    },
  )

  app.post(
    '/v1/organizations/:id/suspend',
    {
      ...permit('organizations', 'write'),
      schema: {
        ...operation(
          'organizations',
          'suspendOrganization',
          'Suspend an organization',
          'Blocks everything in it until it is restored, while time goes on. Quiet when it is suspended already.',
        ),
        params: byName,
        headers: idempotent,
        body: Reason,
        response: { 200: answer('Suspended.', AffectedOrganization), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      return once(request, reply, async (verbs) =>
        affectedOut(await verbs.organizations.suspend(params.id, byOf(request, body?.reason))),
      )
    },
  )

  app.post(
    '/v1/organizations/:id/restore',
    {
      ...permit('organizations', 'write'),
      schema: {
        ...operation(
          'organizations',
          'restoreOrganization',
          'Restore an organization',
          'What its suspension has blocked, and is still in date, works again. What its deletion has ended stays ended.',
        ),
        params: byName,
        headers: idempotent,
        body: Reason,
        response: { 200: answer('Active.', AffectedOrganization), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      return once(request, reply, async (verbs) =>
        affectedOut(await verbs.organizations.restore(params.id, byOf(request, body?.reason))),
      )
    },
  )

  app.delete(
    '/v1/organizations/:id',
    {
      ...permit('organizations', 'write'),
      schema: {
        ...operation(
          'organizations',
          'deleteOrganization',
          'Delete an organization',
          'Revokes everything in it for good, and removes its members. Quiet when it is deleted already.',
        ),
        params: byName,
        querystring: z.strictObject({ reason }),
        body: Nothing,
        response: { 200: answer('Deleted.', AffectedOrganization), ...problems(400, 404, 415, 422) },
      },
    },
    async (request) => {
      const { params, query } = request
      return affectedOut(await lapse.organizations.delete(params.id, byOf(request, query.reason)))
    },
  )
}

/** Of the one that a list is asked for. @throws LapseError `unknown_organization` */
export const organizationIdOf = async (lapse: Lapse, idOrReference: string): Promise<string> => {
  const organization = await lapse.organizations.get(idOrReference).catch(unlessUnknown)
  if (organization) return organization.id
  throw new LapseError('unknown_organization', { field: 'organization' })
}
