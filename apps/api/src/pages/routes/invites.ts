import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Accepted, type Declined, type Invite, isUnavailable, LapseError, type Looked, type User } from 'lapse'
import { z } from 'zod'
import { forgetSession } from '../../http/cookie.ts'
import { notBefore } from '../../http/not-before.ts'
import { selectorOf, type Undenied } from '../../http/redemption.ts'
import type { App } from '../../routes/route.ts'
import { sendPage } from '../errors.ts'
import {
  alreadyMemberPage,
  declinedPage,
  expiredInvitePage,
  type Full,
  fullPage,
  invitePage,
  inviteSignInPage,
  joinedPage,
  requestedPage,
  wrongAccountPage,
} from '../invite.ts'
import { Link } from '../link.ts'
import { checkMailPage } from '../sign-in.ts'
import { visitorOf } from '../visitor.ts'
import { askAgain, email } from './address.ts'
import type { PagesContext } from './context.ts'

/** Longer than what there is to do takes, so that how long it took tells nothing. */
const floorMs = 250

const Form = z.object({ action: z.enum(['join', 'decline', 'request', 'sign-in', 'sign-out']), email })

type Opened = FastifyRequest<{ Querystring: z.infer<typeof Link> }>
type Submitted = FastifyRequest<{ Querystring: z.infer<typeof Link>; Body: z.infer<typeof Form> }>

/** The link in an invitation's mail. All of its forms come back to it, so that no page holds its token. */
export const inviteRoutes = (app: App, { lapse, limits, redeem, look, sendSignInLink }: PagesContext): void => {
  const show = (request: Opened, reply: FastifyReply) => {
    const user = visitorOf(request)?.user
    return look(request, async () => sendLooked(reply, await lapse.invites.look(request.query.token, user), user))
  }

  const redeemed = <T extends { readonly status: string }>(request: Submitted, act: () => Promise<T>) =>
    redeem(request, { kind: 'invite', selector: selectorOf(request.query.token) }, act)

  const acts = {
    join: async (request: Submitted, reply: FastifyReply) => {
      const user = visitorOf(request)?.user
      if (!user) return show(request, reply)
      return sendAccepted(reply, await redeemed(request, () => lapse.invites.accept(request.query, user)), user)
    },

    decline: async (request: Submitted, reply: FastifyReply) => {
      const user = visitorOf(request)?.user
      if (!user) return show(request, reply)
      return sendDeclined(reply, await redeemed(request, () => lapse.invites.decline(request.query, user)), user)
    },

    request: async ({ query, ip, log }: Submitted, reply: FastifyReply) => {
      await limits.mailFrom(ip, 'address')
      await notBefore(floorMs, () =>
        lapse.invites.requestNew(query.token).catch((error) => {
          if (isUnavailable(error)) throw error
          log.error({ err: error }, 'nobody was told that a new invite is asked for')
        }),
      )
      return sendPage(reply, 202, requestedPage())
    },

    'sign-in': async (request: Submitted, reply: FastifyReply) => {
      const { query, body } = request
      try {
        await sendSignInLink(request, body.email, { invite: query.token })
      } catch (error) {
        return sendPage(reply, 422, inviteSignInPage(askAgain(error, body.email)))
      }
      return sendPage(reply, 202, checkMailPage())
    },

    'sign-out': async (request: Submitted, reply: FastifyReply) => {
      const visitor = visitorOf(request)
      if (visitor) await lapse.sessions.revoke(visitor.user.id, visitor.session.id)
      request.who = { is: 'nobody' }
      return show(request, forgetSession(reply))
    },
  }

  app.get('/invites/open', { schema: { hide: true, querystring: Link } }, show)

  app.post('/invites/open', { schema: { hide: true, querystring: Link, body: Form } }, async (request, reply) =>
    acts[request.body.action](request, reply),
  )
}

/** Details only for whom it is for. @throws LapseError `token_not_valid` */
const sendLooked = (reply: FastifyReply, looked: Looked, user: User | undefined) => {
  switch (looked.state) {
    case 'denied':
      throw new LapseError('token_not_valid')
    case 'signed-out':
      return sendPage(reply, 200, inviteSignInPage())
    case 'other-address':
    case 'unverified':
      return sendWrongAccount(reply, looked.state, user)
    case 'member':
      return sendPage(reply, 200, alreadyMemberPage({ organization: looked.organization.name }))
    case 'open': {
      const { invite, organization, full } = looked
      return sendPage(reply, 200, invitePage({ ...invitationOf(invite), organization: organization.name, full }))
    }
    case 'expired': {
      const { invite, organization } = looked
      return sendPage(reply, 200, expiredInvitePage({ organization: organization.name, expiredAt: invite.endsAt }))
    }
  }
}

/** What a person wants to know about an invite. */
export const invitationOf = ({ id, payload, expiresAt, seenAt }: Invite) => ({
  id,
  inviter: payload.inviter && (payload.inviter.name ?? payload.inviter.email),
  email: payload.email,
  role: payload.role,
  message: payload.message,
  expiresAt,
  now: seenAt,
})

export const sendAccepted = (reply: FastifyReply, accepted: Undenied<Accepted>, user: User, from?: Full['from']) => {
  switch (accepted.status) {
    case 'joined': {
      const { organization, membership } = accepted
      return sendPage(reply, 200, joinedPage({ organization: organization.name, role: membership.role }))
    }
    case 'already-member':
      return sendPage(reply, 200, alreadyMemberPage({ organization: accepted.organization.name }))
    case 'full':
      return sendPage(reply, 409, fullPage({ organization: accepted.organization.name, from }))
    default:
      return sendWrongAccount(reply, accepted.status, user)
  }
}

export const sendDeclined = (reply: FastifyReply, { status }: Undenied<Declined>, user: User) =>
  status === 'declined' ? sendPage(reply, 200, declinedPage()) : sendWrongAccount(reply, status, user)

const sendWrongAccount = (reply: FastifyReply, why: 'other-address' | 'unverified', user: User | undefined) => {
  const reason = why === 'unverified' ? unconfirmed(user) : why
  return sendPage(reply, 403, wrongAccountPage({ signedInAs: user?.email ?? '', reason }))
}

/** As the domain has it: nobody signs in by a link of ours to an account of the host's before its address is confirmed. */
export const unconfirmed = (user: User | undefined) => (user?.reference ? 'unverified-elsewhere' : 'unverified')
