import { Readable } from 'node:stream'
import { emailAddress, LapseError, singleLine } from 'lapse'
import { z } from 'zod'
import { ownOrganization, ownOrganizationId, permit } from '../http/access.ts'
import { example } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { lifetime, lifetimeOf, reason, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { flag, id, nextCursor, page, paged, pageOf, tally } from '../http/query.ts'
import { byOf } from '../http/who.ts'
import {
  Access,
  accessOut,
  ChangedGrant,
  changedGrantOut,
  Grant,
  grantOut,
  Written,
  writtenOut,
} from '../wire/access-grant.ts'
import { timer } from '../wire/resource.ts'
import { type App, answer, type Context, operation } from './route.ts'

const triple = {
  resource: text(200).describe('What it is about: a type and an id, such as `document:42`.'),
  relation: text(200).describe('What the subject is to it, such as `viewer`.'),
  subject: text(200).describe('Who: a type and an id, such as `user:7`.'),
}
const source = text(200)
  .optional()
  .describe('Where it comes from, such as a ticket: grants of different sources stand side by side.')
const organization = text(200)
  .optional()
  .describe('In which it means something, by its id or your own; what is in one is nothing to another.')

const granted = {
  ...triple,
  source,
  email: emailAddress.optional().describe('Who is told a quarter of an hour before its end.'),
  reason: singleLine(500).optional().describe('Why; stays with it.'),
  ...lifetime,
}
const ours = { resource: 'document:42', relation: 'viewer', subject: 'user:7' }

const One = z.strictObject({ ...granted, organization })
const Update = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('create'), ...granted }),
  z.strictObject({ op: z.literal('touch'), ...granted }),
  z.strictObject({ op: z.literal('delete'), ...triple, source }),
])
const bulk = { organization, reason }

export const grantFilter = {
  resource: triple.resource.optional(),
  relation: triple.relation.optional(),
  subject: triple.subject.optional(),
  organization_id: id.optional(),
}
const live = flag.optional().describe('Only what holds, unless you say `false`: then only what does not.')

/** Temporary access in its own words. */
export const accessGrantRoutes = (app: App, { lapse, once }: Context): void => {
  app.post(
    '/v1/access-grants',
    {
      ...permit('access-grants', 'write', 'own'),
      schema: {
        ...operation(
          'access-grants',
          'createAccessGrant',
          'Grant access for a while',
          'For an hour unless you say otherwise; at most 8 hours for elevated relations, and 30 days for others. Over one that has ended it is granted anew.',
        ),
        headers: idempotent,
        body: One.meta(example({ ...ours, expires_in: 3_600, reason: 'on call' })),
        response: {
          201: answer('Granted; `Location` says where.', ChangedGrant),
          ...problems(400, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { organization, ...input } = request.body
      const place = { organization: await ownOrganization(lapse, request, organization) }
      const made = await once(request, reply, async ({ accessGrants }) =>
        changedGrantOut(await accessGrants.create({ ...inputOf(input), ...place }, byOf(request, input.reason))),
      )
      return reply.code(201).header('location', `/v1/resources/${made.id}`).send(made)
    },
  )

  app.post(
    '/v1/access-grants/touch',
    {
      ...permit('access-grants', 'write', 'own'),
      schema: {
        ...operation(
          'access-grants',
          'touchAccessGrant',
          'Give a grant this end',
          'What stands is extended or shortened, never past the longest life since it was granted; what has ended, or never was, is granted. `expires_at` or `expires_in` has to be given.',
        ),
        headers: idempotent,
        body: One.meta(example({ ...ours, expires_in: 7_200 })),
        response: { 200: answer('As it stands now.', ChangedGrant), ...problems(400, 409, 413, 415, 422) },
      },
    },
    async (request, reply) => {
      const { organization, ...input } = request.body
      const place = { organization: await ownOrganization(lapse, request, organization) }
      return once(request, reply, async ({ accessGrants }) =>
        changedGrantOut(await accessGrants.touch({ ...inputOf(input), ...place }, byOf(request, input.reason))),
      )
    },
  )

  app.post(
    '/v1/access-grants/delete',
    {
      ...permit('access-grants', 'write', 'own'),
      schema: {
        ...operation(
          'access-grants',
          'deleteAccessGrants',
          'Take access away',
          'With resource, relation and subject: what stands for these three, in `organization` or in none, of one source or of all. Else all that stand for a resource or for a subject, in `organization` or wherever they are. Quiet when there is none.',
        ),
        headers: idempotent,
        body: z
          .strictObject({
            resource: triple.resource.optional(),
            relation: triple.relation.optional(),
            subject: triple.subject.optional(),
            source,
            organization,
            reason,
          })
          .meta(example({ ...ours, reason: 'left the team' })),
        response: {
          200: answer('How many grants that has ended.', z.object({ deleted: z.int() })),
          ...problems(400, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { resource, relation, subject, source, reason, ...named } = request.body
      const organization = await ownOrganization(lapse, request, named.organization)
      const by = byOf(request, reason)
      return once(request, reply, async ({ accessGrants }) => {
        if (resource !== undefined && relation !== undefined && subject !== undefined)
          return { deleted: await accessGrants.delete({ resource, relation, subject, source, organization }, by) }
        if (source !== undefined)
          throw new LapseError('invalid', { field: 'source', detail: 'Only with resource, relation and subject.' })
        return { deleted: await accessGrants.deleteAll({ resource, relation, subject, organization }, by) }
      })
    },
  )

  app.post(
    '/v1/access-grants/write',
    {
      ...permit('access-grants', 'write', 'own'),
      schema: {
        ...operation(
          'access-grants',
          'writeAccessGrants',
          'Up to 1,000 updates',
          'All of them, or none. Each `create`, `touch` or `delete` is as the route of that name.',
        ),
        headers: idempotent,
        body: z.strictObject({ updates: z.array(Update).min(1).max(1_000), ...bulk }).meta(
          example({
            updates: [
              { op: 'touch', ...ours, expires_in: 3_600 },
              { op: 'delete', ...ours, relation: 'editor' },
            ],
          }),
        ),
        response: {
          200: answer('What became of each, in their order.', z.object({ items: z.array(Written), timer })),
          ...problems(400, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { updates, organization, reason } = request.body
      const where = { ...byOf(request, reason), organization: await ownOrganization(lapse, request, organization) }
      return once(request, reply, async ({ accessGrants }) => {
        const wanted = updates.map((update) =>
          update.op === 'delete' ? update : { ...inputOf(update), op: update.op },
        )
        const { written, timer } = await accessGrants.write(wanted, where)
        return { items: written.map(writtenOut), timer }
      })
    },
  )

  app.post(
    '/v1/access-grants/import',
    {
      ...permit('access-grants', 'write', 'own'),
      schema: {
        ...operation('access-grants', 'importAccessGrants', 'Create up to 1,000 grants', 'All of them, or none.'),
        headers: idempotent,
        body: z
          .strictObject({ items: z.array(z.strictObject(granted)).min(1).max(1_000), ...bulk })
          .meta(example({ items: [{ ...ours, expires_in: 3_600 }] })),
        response: {
          201: answer('Granted, in the order of the request.', z.object({ items: z.array(ChangedGrant) })),
          ...problems(400, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { items, organization, reason } = request.body
      const where = { ...byOf(request, reason), organization: await ownOrganization(lapse, request, organization) }
      const made = await once(request, reply, async ({ accessGrants }) => ({
        items: (await accessGrants.import(items.map(inputOf), where)).map(changedGrantOut),
      }))
      return reply.code(201).send(made)
    },
  )

  app.post(
    '/v1/access-grants/check',
    {
      ...permit('access-grants', 'read', 'own'),
      schema: {
        ...operation(
          'access-grants',
          'checkAccess',
          'Does it hold now?',
          'By the database clock, in one indexed read.',
        ),
        body: z.strictObject({ ...triple, organization }).meta(example(ours)),
        response: { 200: answer('The answer, either way.', Access), ...problems(400, 413, 415, 422) },
      },
    },
    async (request) => {
      const { organization, ...asked } = request.body
      return accessOut(
        await lapse.accessGrants.check({ ...asked, organization: await ownOrganization(lapse, request, organization) }),
      )
    },
  )

  app.post(
    '/v1/access-grants/check-many',
    {
      ...permit('access-grants', 'read', 'own'),
      schema: {
        ...operation('access-grants', 'checkAccesses', 'Do they hold now?', 'Up to 100, in one read.'),
        body: z
          .strictObject({ items: z.array(z.strictObject(triple)).min(1).max(100), organization })
          .meta(example({ items: [ours] })),
        response: {
          200: answer('The answers, in the order of the request.', z.object({ items: z.array(Access) })),
          ...problems(400, 413, 415, 422),
        },
      },
    },
    async (request) => {
      const organization = await ownOrganization(lapse, request, request.body.organization)
      const verdicts = await lapse.accessGrants.checkMany(request.body.items, { organization })
      return { items: verdicts.map(accessOut) }
    },
  )

  app.get(
    '/v1/access-grants',
    {
      ...permit('access-grants', 'read', 'own'),
      schema: {
        ...operation('access-grants', 'listAccessGrants', 'List grants', 'By either side; the newest first.'),
        querystring: z.strictObject({ ...grantFilter, live, ...page }),
        response: {
          200: answer('A page.', z.object({ items: z.array(Grant), next_cursor: nextCursor })),
          ...problems(422),
        },
      },
    },
    async (request) => {
      const { query } = request
      const { limit, cursor, organization_id, ...rest } = query
      const filter = { ...rest, organizationId: ownOrganizationId(request, organization_id) }
      return paged(await lapse.accessGrants.list(filter, pageOf(query)), query, grantOut)
    },
  )

  app.get(
    '/v1/access-grants/count',
    {
      ...permit('access-grants', 'read', 'own'),
      schema: {
        ...operation('access-grants', 'countAccessGrants', 'Count grants', 'As many as the list has.'),
        querystring: z.strictObject({ ...grantFilter, live }),
        response: {
          200: answer('How many.', z.object({ count: z.int(), at_least: tally.at_least })),
          ...problems(422),
        },
      },
    },
    async (request) => {
      const { organization_id, ...rest } = request.query
      const filter = { ...rest, organizationId: ownOrganizationId(request, organization_id) }
      const { count, atLeast } = await lapse.accessGrants.tally(filter)
      return { count, ...(atLeast && { at_least: true as const }) }
    },
  )

  app.get(
    '/v1/access-grants/export',
    {
      ...permit('access-grants', 'read', 'own'),
      // To answer without a body it would have to read everything all the same.
      exposeHeadRoute: false,
      schema: {
        ...operation(
          'access-grants',
          'exportAccessGrants',
          'All grants that hold',
          'One in a line, the oldest first, read as they are sent. The header `lapse-cursor` says where to begin to watch, so that nothing is missed that happens meanwhile.',
        ),
        querystring: z.strictObject(grantFilter),
        response: {
          200: {
            description: 'A grant in each line.',
            content: { 'application/x-ndjson': { schema: z.string() as z.ZodType } },
          },
          ...problems(422),
        },
      },
    },
    async (request, reply) => {
      const { organization_id, ...rest } = request.query
      const filter = { ...rest, organizationId: ownOrganizationId(request, organization_id) }
      const { cursor } = await lapse.accessGrants.watch({ cursor: 'now' })
      const pages = lapse.accessGrants.export(filter)
      // What can be refused is refused before anything is sent.
      const first = await pages.next()
      const lines = async function* () {
        for (let next = first; !next.done; next = await pages.next())
          yield next.value.map((grant) => `${JSON.stringify(grantOut(grant))}\n`).join('')
      }
      return reply.header('lapse-cursor', cursor).type('application/x-ndjson').send(Readable.from(lines()))
    },
  )
}

const inputOf = ({ expires_at, expires_in, ...input }: z.infer<z.ZodObject<typeof granted>>) => {
  const { expiresAt, expiresIn } = lifetimeOf({ expires_at, expires_in })
  return { ...input, expiresAt, expiresInMs: expiresIn }
}
