import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  type Accepted,
  canonicalAddress,
  emailAddress,
  flowingText,
  type Declined as LapseDeclined,
  LapseError,
  type Invite as LapseInvite,
  type Verbs,
  type WhichInvite,
} from 'lapse'
import { z } from 'zod'
import { boundTo, openTo, ownOrganization, ownUser, permit } from '../http/access.ts'
import { denied } from '../http/denied.ts'
import { example, optional } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { forHost, lifetime, lifetimeOf, required, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { counted as countedFlag, flag, nextCursor, page, paged, pageOf, tally, tallyOut } from '../http/query.ts'
import { selectorOf } from '../http/redemption.ts'
import { byOf, isHost, signedIn } from '../http/who.ts'
import { changedInviteOut, delivers, Invite, IssuedInvite, inviteOut, Joined, joinedOut } from '../wire/invite.ts'
import { role } from '../wire/membership.ts'
import { statuses } from '../wire/resource.ts'
import { organizationIdOf } from './organizations.ts'
import { type App, answer, byId, operation, type PeopleContext } from './route.ts'
import { Nothing, Reason, unlessUnknown } from './verbs.ts'

const message = flowingText(500).optional().describe('Stands in the mail.')
const deliver = z
  .enum(delivers)
  .optional()
  .describe('`mail` unless you say otherwise; `return` gives the token to you, and no mail is sent about this invite.')

const Create = z
  .strictObject({
    organization: text(200).describe('Its id, or your own for it.'),
    email: emailAddress,
    role,
    invited_by: text(200)
      .optional()
      .describe(
        'The user who invites, a member, by id or your own for them; without it you do. Nobody invites above their role.',
      ),
    message,
    deliver,
    ...lifetime,
  })
  .meta(example({ organization: 'acme', email: 'grace@example.com', role: 'member', deliver: 'return' }))

const Resend = z
  .strictObject({ email: emailAddress.optional(), role: role.optional(), message, deliver })
  .optional()
  .meta({ ...example({ role: 'admin' }), ...optional })

const token = text(500).describe('From the link.')

const Accept = z
  .strictObject({
    token,
    email: emailAddress.optional().describe('From the host application: whose address you vouch for.'),
    name: text(200).optional().describe('From the host application.'),
    reference: text(200).optional().describe('From the host application: your own id for them.'),
  })
  .meta(example({ token: 'lps_invite_…' }))

const Decline = z.strictObject({ token }).meta(example({ token: 'lps_invite_…' }))

const Declined = z.object({ status: z.literal('declined') }).meta({ description: 'It has ended.' })

const filters = {
  organization: text(200).optional().describe('Its id, or your own for it.'),
  email: emailAddress.optional(),
  status: z.enum(statuses).optional().describe('By the database clock, swept or not.'),
  live: flag.optional().describe('Only what may be accepted now, or only what may not.'),
  count: countedFlag,
}

/** A token that is bound to an organization is shown who invited, and not their name or address. */
const viewerOf = (request: FastifyRequest) => (boundTo(request) === undefined ? 'host' : 'tenant')

/** Invites in their own words: invite, resend, withdraw, accept, decline. */
export const inviteRoutes = (app: App, { lapse, once, redeem, mail, publicUrl }: PeopleContext): void => {
  const urlOf = (secret: string): string => new URL(`/invites/open?token=${encodeURIComponent(secret)}`, publicUrl).href

  const inviteOf = async (id: string): Promise<LapseInvite> => {
    const resource = await lapse.get(id)
    if (resource.kind !== 'invite') throw new LapseError('not_found')
    return resource as LapseInvite
  }

  const redeemed = async <T extends { readonly status: string }>(
    request: FastifyRequest,
    reply: FastifyReply,
    which: WhichInvite,
    act: (verbs: Verbs) => Promise<T>,
  ) => {
    const selector = 'token' in which ? selectorOf(which.token) : undefined
    const result = await redeem(request, { kind: 'invite', selector }, () => once(request, reply, act))
    return unlessOther(result)
  }

  const withToken = (secret: string | undefined) => secret !== undefined && { token: secret, url: urlOf(secret) }

  app.post(
    '/v1/invites',
    {
      ...permit('invites', 'write', 'own'),
      schema: {
        ...operation(
          'invites',
          'createInvite',
          'Invite somebody',
          'For 72 hours, 24 as admin or owner, unless you say otherwise. One live invite for an organization and an address.',
        ),
        headers: idempotent,
        body: Create,
        response: {
          201: answer('Invited; `Location` says where.', IssuedInvite),
          ...problems(400, 403, 409, 413, 415, 422, 429),
        },
      },
    },
    async (request, reply) => {
      const { invited_by: named, expires_at, expires_in, ...body } = request.body
      const invitedBy = await ownUser(lapse, request, named)
      const rest = { ...body, organization: await ownOrganization(lapse, request, body.organization) }
      const { expiresAt, expiresIn: expiresInMs } = lifetimeOf({ expires_at, expires_in })
      let secret: string | undefined
      const issue = () =>
        once(request, reply, async (verbs) => {
          const issued = await verbs.invites.create({ ...rest, invitedBy, expiresAt, expiresInMs }, byOf(request))
          secret = issued.token
          return changedInviteOut(issued, viewerOf(request))
        })
      // Which organization it is has its refusal in the verb.
      const byMail = rest.deliver !== 'return'
      const organization = byMail ? await lapse.organizations.get(rest.organization).catch(unlessUnknown) : undefined
      const created = organization ? await mail(reply, mailingOf(organization.id, rest.email), issue) : await issue()
      return reply
        .code(201)
        .header('location', `/v1/invites/${created.id}`)
        .send({ ...created, ...withToken(secret) })
    },
  )

  app.get(
    '/v1/invites',
    {
      ...permit('invites', 'read', 'own'),
      schema: {
        ...operation('invites', 'listInvites', 'List invites', 'The newest first.'),
        querystring: z.strictObject({ ...filters, ...page }),
        response: {
          200: answer('A page.', z.object({ items: z.array(Invite), next_cursor: nextCursor, ...tally })),
          ...problems(403, 422),
        },
      },
    },
    async (request) => {
      const { query } = request
      const { limit, cursor, count: counted, organization: asked, email, ...rest } = query
      const organization = await ownOrganization(lapse, request, asked)
      const filter = {
        ...rest,
        kind: 'invite',
        subject: email === undefined ? undefined : canonicalAddress('email', email).canonical,
        organizationId: organization === undefined ? undefined : await organizationIdOf(lapse, organization),
      }
      const [rows, total] = await Promise.all([
        lapse.list(filter, pageOf(query)) as Promise<LapseInvite[]>,
        counted ? lapse.tally(filter) : undefined,
      ])
      return { ...paged(rows, query, (invite) => inviteOut(invite, viewerOf(request))), ...tallyOut(total) }
    },
  )

  app.get(
    '/v1/invites/mine',
    {
      ...openTo('users'),
      schema: {
        ...operation('invites', 'listMyInvites', 'My invites', 'Live ones for my address, the newest first.'),
        response: { 200: answer('All of them.', z.object({ items: z.array(Invite) })), ...problems(403, 429) },
      },
    },
    async (request) => {
      const mine = await lapse.invites.mine(signedIn(request).user)
      return { items: mine.map(({ invite }) => inviteOut(invite)) }
    },
  )

  app.get(
    '/v1/invites/:id',
    {
      ...permit('invites', 'read', 'resource'),
      schema: {
        ...operation('invites', 'getInvite', 'Get an invite', 'Looking changes nothing.'),
        params: byId,
        response: { 200: answer('The invite.', Invite), ...problems(403, 404) },
      },
    },
    async (request) => inviteOut(await inviteOf(request.params.id), viewerOf(request)),
  )

  app.post(
    '/v1/invites/:id/resend',
    {
      ...permit('invites', 'write', 'resource'),
      schema: {
        ...operation(
          'invites',
          'resendInvite',
          'Send it again',
          'A new invite with a new token, perhaps another role or address; the old one is dead. Three an hour.',
        ),
        params: byId,
        headers: idempotent,
        body: Resend,
        response: {
          201: answer('The new one; `Location` says where.', IssuedInvite),
          ...problems(400, 403, 404, 409, 413, 415, 422, 429),
        },
      },
    },
    async (request, reply) => {
      const { params, body = {} } = request
      const { organizationId, payload } = await inviteOf(params.id)
      const byMail = body.deliver === undefined ? payload.mail : body.deliver === 'mail'
      let secret: string | undefined
      const issue = () =>
        once(request, reply, async (verbs) => {
          const issued = await verbs.invites.resend(params.id, body, byOf(request))
          secret = issued.token
          return changedInviteOut(issued, viewerOf(request))
        })
      const mailing = mailingOf(organizationId ?? '', body.email ?? payload.email)
      const again = byMail ? await mail(reply, mailing, issue) : await issue()
      return reply
        .code(201)
        .header('location', `/v1/invites/${again.id}`)
        .send({ ...again, ...withToken(secret) })
    },
  )

  app.post(
    '/v1/invites/:id/revoke',
    {
      ...permit('invites', 'write', 'resource'),
      schema: {
        ...operation('invites', 'revokeInvite', 'Withdraw it', 'It ends at once; quiet when it has ended already.'),
        params: byId,
        headers: idempotent,
        body: Reason,
        response: { 200: answer('Ended; `status` says how.', Invite), ...problems(400, 403, 404, 409, 415, 422) },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      return once(request, reply, async (verbs) =>
        inviteOut(await verbs.invites.revoke(params.id, byOf(request, body?.reason)), viewerOf(request)),
      )
    },
  )

  app.post(
    '/v1/invites/accept',
    {
      ...openTo('users', permit('invites', 'write')),
      schema: {
        ...operation(
          'invites',
          'acceptInvite',
          'Accept by the token',
          'For the signed-in whose verified address it is for; or, from the host application, for a user whom it vouches for.',
        ),
        headers: idempotent,
        body: Accept,
        response: { 200: answer('A member.', Joined), ...problems(400, 403, 409, 413, 415, 422, 429), ...denied },
      },
    },
    async (request, reply) => {
      const { token, ...person } = request.body
      if (isHost(request)) {
        const vouched = { ...person, email: required('email', person.email) }
        return redeemed(request, reply, { token }, async ({ invites }) =>
          acceptedOut(await invites.acceptFor(token, vouched, byOf(request))),
        )
      }
      for (const [field, value] of Object.entries(person)) if (value !== undefined) throw forHost(field)
      const { user } = signedIn(request)
      return redeemed(request, reply, { token }, async ({ invites }) =>
        acceptedOut(await invites.accept({ token }, user)),
      )
    },
  )

  app.post(
    '/v1/invites/decline',
    {
      ...openTo('users'),
      schema: {
        ...operation('invites', 'declineInvite', 'Decline by the token', 'It ends, and may be followed by another.'),
        headers: idempotent,
        body: Decline,
        response: { 200: answer('Ended.', Declined), ...problems(400, 403, 409, 413, 415, 422, 429), ...denied },
      },
    },
    async (request, reply) => {
      const { user } = signedIn(request)
      return redeemed(request, reply, request.body, async ({ invites }) =>
        declinedOut(await invites.decline(request.body, user)),
      )
    },
  )

  app.post(
    '/v1/invites/:id/accept',
    {
      ...openTo('users'),
      schema: {
        ...operation(
          'invites',
          'acceptMyInvite',
          'Accept one of mine',
          'Reading my mail is what proves my right to it.',
        ),
        params: byId,
        headers: idempotent,
        body: Nothing,
        response: { 200: answer('A member.', Joined), ...problems(400, 403, 409, 413, 415, 422, 429), ...denied },
      },
    },
    async (request, reply) => {
      const { user } = signedIn(request)
      return redeemed(request, reply, request.params, async ({ invites }) =>
        acceptedOut(await invites.accept(request.params, user)),
      )
    },
  )

  app.post(
    '/v1/invites/:id/decline',
    {
      ...openTo('users'),
      schema: {
        ...operation('invites', 'declineMyInvite', 'Decline one of mine', 'It ends, and may be followed by another.'),
        params: byId,
        headers: idempotent,
        body: Nothing,
        response: { 200: answer('Ended.', Declined), ...problems(400, 403, 409, 413, 415, 422, 429), ...denied },
      },
    },
    async (request, reply) => {
      const { user } = signedIn(request)
      return redeemed(request, reply, request.params, async ({ invites }) =>
        declinedOut(await invites.decline(request.params, user)),
      )
    },
  )
}

const mailingOf = (organizationId: string, email: string) => ({
  ...{ organizationId, target: canonicalAddress('email', email).canonical, about: 'invite' },
})

/** What was denied is kept, with its event; what may yet be mended is thrown, and undone. */
const acceptedOut = (accepted: Accepted) => {
  if ('membership' in accepted) return joinedOut(accepted)
  if (accepted.status === 'full')
    throw new LapseError('seats_taken', { detail: 'The invite stays good: try again when a seat is free.' })
  return deniedOut(accepted.status)
}

const declinedOut = ({ status }: LapseDeclined) => (status === 'declined' ? { status } : deniedOut(status))

const deniedOut = (status: 'denied' | 'other-address' | 'unverified') => {
  if (status === 'unverified')
    throw new LapseError('unverified_address', { detail: 'Sign in by a link, or confirm it.' })
  return { status }
}

/** @throws LapseError `other_address` */
const unlessOther = <T extends { readonly status: string }>(result: T) => {
  if (result.status === 'other-address')
    throw new LapseError('other_address', { detail: 'Sign in with the address it was sent to.' })
  return result as Exclude<T, { readonly status: 'other-address' }>
}
