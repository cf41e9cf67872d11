import { emailAddress } from 'lapse'
import { z } from 'zod'
import { permit } from '../http/access.ts'
import { example } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { reason, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { nextCursor, page, paged, pageOf } from '../http/query.ts'
import { byOf } from '../http/who.ts'
import { User, userOut } from '../wire/user.ts'
import { type App, answer, byName, type Context, operation } from './route.ts'
import { Nothing } from './verbs.ts'

const name = text(200)
const reference = text(200)
const verified = z.boolean().optional().describe('You vouch that they read what is sent to the address.')

const Create = z
  .strictObject({
    email: emailAddress,
    name: name.optional(),
    reference: reference.optional().describe('Your own id for them: wherever their id is asked for, this does too.'),
    verified,
  })
  .meta(example({ email: 'Ada@Example.com', name: 'Ada Lovelace', reference: 'user-7', verified: true }))

const Update = z
  .strictObject({
    email: emailAddress.optional().describe('Another address has yet to be verified, unless `verified` comes with it.'),
    name: name.nullable().optional(),
    reference: reference.nullable().optional(),
    verified,
    reason,
  })
  .meta(example({ email: 'ada@example.org', name: null }))

/** People with an address. */
export const userRoutes = (app: App, { lapse, once }: Context): void => {
  app.post(
    '/v1/users',
    {
      ...permit('users', 'write'),
      schema: {
        ...operation('users', 'createUser', 'Create a user', 'Or adopt one of your own. No mail is sent.'),
        headers: idempotent,
        body: Create,
        response: { 201: answer('Created; `Location` says where.', User), ...problems(400, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const created = await once(request, reply, async (verbs) =>
        userOut(await verbs.users.create(request.body, byOf(request))),
      )
      return reply.code(201).header('location', `/v1/users/${created.id}`).send(created)
    },
  )

  app.get(
    '/v1/users',
    {
      ...permit('users', 'read'),
      schema: {
        ...operation('users', 'listUsers', 'List users', 'The newest first.'),
        querystring: z.strictObject({
          email: emailAddress.optional().describe('However it is spelled.'),
          reference: reference.optional(),
          ...page,
        }),
        response: {
          200: answer('A page.', z.object({ items: z.array(User), next_cursor: nextCursor })),
          ...problems(422),
        },
      },
    },
    async ({ query }) => {
      const { limit, cursor, ...filter } = query
      return paged(await lapse.users.list(filter, pageOf(query)), query, userOut)
    },
  )

  app.get(
    '/v1/users/:id',
    {
      ...permit('users', 'read'),
      schema: {
        ...operation('users', 'getUser', 'Get a user', 'By their id or your own.'),
        params: byName,
        response: { 200: answer('The user.', User), ...problems(404) },
      },
    },
    async ({ params }) => userOut(await lapse.users.get(params.id)),
  )

  app.patch(
    '/v1/users/:id',
    {
      ...permit('users', 'write'),
      schema: {
        ...operation(
          'users',
          'updateUser',
          'Change a user',
          'What is left out stays; `null` clears. With the address goes what was sent to the old one to verify it.',
        ),
        params: byName,
        body: Update,
        response: { 200: answer('Changed.', User), ...problems(400, 404, 409, 413, 415, 422) },
      },
    },
    async (request) => {
      const { params, body } = request
      const { reason, ...changes } = body
      return userOut(await lapse.users.update(params.id, changes, byOf(request, reason)))
    },
  )

  app.delete(
    '/v1/users/:id',
    {
      ...permit('users', 'write'),
      schema: {
        ...operation(
          'users',
          'deleteUser',
          'Delete a user',
          'Signs them out everywhere, takes away their memberships, and forgets their name and address. Invites to them or from them still have these, until they are purged 30 days after their end.',
        ),
        params: byName,
        querystring: z.strictObject({ reason }),
        body: Nothing,
        response: { 200: answer('Deleted; this is who it was.', User), ...problems(400, 404, 415, 422) },
      },
    },
    async (request) => {
      const { params, query } = request
      return userOut(await lapse.users.delete(params.id, byOf(request, query.reason)))
    },
  )
}
