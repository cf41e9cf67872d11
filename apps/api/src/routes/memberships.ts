import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { boundTo, ownOrganization, ownUser, permit } from '../http/access.ts'
import { example } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { reason, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { nextCursor, page, paged, pageOf } from '../http/query.ts'
import { byOf } from '../http/who.ts'
import { Membership, membershipOut, role } from '../wire/membership.ts'
import { organizationIdOf } from './organizations.ts'
import { type App, answer, byId, type Context, operation } from './route.ts'
import { Nothing } from './verbs.ts'

const organization = text(200).describe('Its id, or your own for it.')
const user = text(200).describe('Their id, or your own for them.')

const Add = z
  .strictObject({ organization, user, role })
  .meta(example({ organization: 'acme', user: 'user-7', role: 'member' }))

const Update = z.strictObject({ role, reason }).meta(example({ role: 'admin' }))

/** A tenant keeps an owner; the host application may take the last one away. */
const changeOf = (request: FastifyRequest, reason: string | undefined) => ({
  ...byOf(request, reason),
  keepOwner: boundTo(request) !== undefined,
})

/** Who belongs to which organization, and as what. */
export const membershipRoutes = (app: App, { lapse, once }: Context): void => {
  app.post(
    '/v1/memberships',
    {
      ...permit('memberships', 'write', 'own'),
      schema: {
        ...operation(
          'memberships',
          'addMembership',
          'Add a member',
          'At once, without an invite, if a seat is free. A token that is bound to an organization knows its members only, and adds people by invite.',
        ),
        headers: idempotent,
        body: Add,
        response: { 201: answer('Added; `Location` says where.', Membership), ...problems(400, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const organization = await ownOrganization(lapse, request, request.body.organization)
      const user = await ownUser(lapse, request, request.body.user)
      const added = await once(request, reply, async (verbs) =>
        membershipOut(await verbs.memberships.add({ ...request.body, organization, user }, byOf(request))),
      )
      return reply.code(201).header('location', `/v1/memberships/${added.id}`).send(added)
    },
  )

  app.get(
    '/v1/memberships',
    {
      ...permit('memberships', 'read', 'own'),
      schema: {
        ...operation('memberships', 'listMemberships', 'List memberships', 'The newest first.'),
        querystring: z.strictObject({ organization: organization.optional(), user: user.optional(), ...page }),
        response: {
          200: answer('A page.', z.object({ items: z.array(Membership), next_cursor: nextCursor })),
          ...problems(422),
        },
      },
    },
    async (request) => {
      const { query } = request
      const { limit, cursor, ...filter } = query
      const asked = await ownOrganization(lapse, request, filter.organization)
      const organization = asked === undefined ? undefined : await organizationIdOf(lapse, asked)
      return paged(await lapse.memberships.list({ ...filter, organization }, pageOf(query)), query, membershipOut)
    },
  )

  app.get(
    '/v1/memberships/:id',
    {
      ...permit('memberships', 'read', 'membership'),
      schema: {
        ...operation('memberships', 'getMembership', 'Get a membership', 'By its id.'),
        params: byId,
        response: { 200: answer('The membership.', Membership), ...problems(404) },
      },
    },
    async ({ params }) => membershipOut(await lapse.memberships.get(params.id)),
  )

  app.patch(
    '/v1/memberships/:id',
    {
      ...permit('memberships', 'write', 'membership'),
      schema: {
        ...operation(
          'memberships',
          'updateMembership',
          'Give a member another role',
          'With a lower one ends what they have invited others to above it. A token that is bound to an organization cannot demote its last owner.',
        ),
        params: byId,
        body: Update,
        response: { 200: answer('Changed.', Membership), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request) => {
      const { params, body } = request
      return membershipOut(await lapse.memberships.setRole(params.id, body.role, changeOf(request, body.reason)))
    },
  )

  app.delete(
    '/v1/memberships/:id',
    {
      ...permit('memberships', 'write', 'membership'),
      schema: {
        ...operation(
          'memberships',
          'removeMembership',
          'Remove a member',
          'Ends what they have invited others to, and what they could come back by. A token that is bound to an organization cannot remove its last owner.',
        ),
        params: byId,
        querystring: z.strictObject({ reason }),
        body: Nothing,
        response: { 200: answer('Removed; this is what it was.', Membership), ...problems(400, 404, 409, 415, 422) },
      },
    },
    async (request) => {
      const { params, query } = request
      return membershipOut(await lapse.memberships.remove(params.id, changeOf(request, query.reason)))
    },
  )
}
