import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import { forgetSession } from '../../http/cookie.ts'
import type { App } from '../../routes/route.ts'
import { byId } from '../../routes/route.ts'
import { accountPage } from '../account.ts'
import { sendPage } from '../errors.ts'
import { visitorOf } from '../visitor.ts'
import type { PagesContext } from './context.ts'
import { invitationOf, sendAccepted, sendDeclined, unconfirmed } from './invites.ts'

const Answer = z.object({ action: z.enum(['join', 'decline']) })

const toSignIn = (reply: FastifyReply) => reply.redirect('/sign-in', 303)
const toAccount = (reply: FastifyReply) => reply.redirect('/account', 303)

/** What waits for whoever is signed in, and where they are signed in. */
export const accountRoutes = (app: App, { lapse, redeem }: PagesContext): void => {
  const membershipsOf = async (user: string) => {
    const memberships = await lapse.memberships.list({ user }, { limit: 200 })
    const organizations = await lapse.organizations.getAll(memberships.map((one) => one.organizationId))
    return memberships.flatMap(({ role, organizationId }) => {
      const organization = organizations.get(organizationId)
      return organization?.status === 'active' ? { organization: organization.name, role } : []
    })
  }

  app.get('/account', { schema: { hide: true } }, async (request, reply) => {
    const visitor = visitorOf(request)
    if (!visitor) return toSignIn(reply)
    const { user, session } = visitor
    const [invites, sessions, memberships] = await Promise.all([
      lapse.invites.mine(user),
      lapse.sessions.list(user.id, { limit: 200 }),
      membershipsOf(user.id),
    ])
    return sendPage(
      reply,
      200,
      accountPage({
        email: user.email,
        unconfirmed: user.verifiedAt === null ? unconfirmed(user) : undefined,
        now: session.seenAt,
        memberships,
        invitations: invites.map(({ invite, organization }) => ({
          ...invitationOf(invite),
          organization: organization.name,
        })),
        sessions: sessions
          .map(({ id, payload, issuedAt, expiresAt }) => ({
            id,
            agent: payload.agent ?? null,
            issuedAt,
            expiresAt,
            current: id === session.id,
          }))
          .sort((a, b) => Number(b.current) - Number(a.current)),
      }),
    )
  })

  // Where the answer to a form stood, somebody may come back to.
  for (const path of ['/', '/invites/:id', '/sessions/:id/revoke', '/sessions/revoke', '/sign-out'])
    app.get(path, { schema: { hide: true } }, async (_, reply) => toAccount(reply))

  app.post('/invites/:id', { schema: { hide: true, params: byId, body: Answer } }, async (request, reply) => {
    const user = visitorOf(request)?.user
    if (!user) return toSignIn(reply)
    const { params, body } = request
    if (body.action === 'join') {
      const accepted = await redeem(request, { kind: 'invite' }, () => lapse.invites.accept(params, user))
      return sendAccepted(reply, accepted, user, 'account')
    }
    const declined = await redeem(request, { kind: 'invite' }, () => lapse.invites.decline(params, user))
    return sendDeclined(reply, declined, user)
  })

  app.post('/sessions/:id/revoke', { schema: { hide: true, params: byId } }, async (request, reply) => {
    const visitor = visitorOf(request)
    if (!visitor) return toSignIn(reply)
    const { id } = await lapse.sessions.revoke(visitor.user.id, request.params.id)
    return id === visitor.session.id ? toSignIn(forgetSession(reply)) : toAccount(reply)
  })

  app.post('/sessions/revoke', { schema: { hide: true } }, async (request, reply) => {
    const visitor = visitorOf(request)
    if (visitor) await lapse.sessions.revokeAll(visitor.user.id)
    return toSignIn(forgetSession(reply))
  })

  app.post('/sign-out', { schema: { hide: true } }, async (request, reply) => {
    const visitor = visitorOf(request)
    if (visitor) await lapse.sessions.revoke(visitor.user.id, visitor.session.id)
    return toSignIn(forgetSession(reply))
  })
}
