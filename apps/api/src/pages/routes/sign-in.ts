import { type Lapse, LapseError, type Purpose } from 'lapse'
import { z } from 'zod'
import { keepSession } from '../../http/cookie.ts'
import { selectorOf } from '../../http/redemption.ts'
import type { App } from '../../routes/route.ts'
import { sendPage } from '../errors.ts'
import { Link, LinkWithInvite } from '../link.ts'
import { checkMailPage, confirmEmailPage, confirmedPage, confirmSignInPage, signInPage } from '../sign-in.ts'
import { visitorOf } from '../visitor.ts'
import { askAgain, email } from './address.ts'
import type { PagesContext } from './context.ts'

const mustLead = async ({ verifications }: Lapse, token: string, purpose: Purpose): Promise<void> => {
  const { valid } = await verifications.look(token, { purposes: [purpose] })
  if (!valid) throw new LapseError('token_not_valid')
}

/** Asking for a link, and what it leads to: a page with one button, for only a person presses it. */
export const signInRoutes = (app: App, { lapse, redeem, look, sendSignInLink }: PagesContext): void => {
  app.get('/sign-in', { schema: { hide: true } }, async (request, reply) =>
    visitorOf(request) ? reply.redirect('/account', 303) : sendPage(reply, 200, signInPage()),
  )

  app.post('/sign-in', { schema: { hide: true, body: z.object({ email }) } }, async (request, reply) => {
    const { body } = request
    try {
      await sendSignInLink(request, body.email)
    } catch (error) {
      return sendPage(reply, 422, signInPage(askAgain(error, body.email)))
    }
    return sendPage(reply, 202, checkMailPage())
  })

  app.get('/sign-in/open', { schema: { hide: true, querystring: LinkWithInvite } }, async (request, reply) => {
    await look(request, () => mustLead(lapse, request.query.token, 'sign-in'))
    return sendPage(reply, 200, confirmSignInPage())
  })

  app.post('/sign-in/open', { schema: { hide: true, querystring: LinkWithInvite } }, async (request, reply) => {
    const { token, invite } = request.query
    const { 'user-agent': agent } = request.headers
    const opened = await redeem(request, { kind: 'verification', selector: selectorOf(token) }, () =>
      lapse.signIn.open(token, { agent }),
    )
    const before = visitorOf(request)
    // The browser forgets that one, so nobody could use it any more, or end it.
    if (before)
      await lapse.sessions
        .revoke(before.user.id, before.session.id, { reason: 'signed in anew' })
        .catch((error) => request.log.error({ err: error }, 'the session before was not ended'))
    const kept = keepSession(reply, opened.token, lapse.sessions.longestMs)
    return kept.redirect(invite ? `/invites/open?token=${invite}` : '/account', 303)
  })
}

/** What the link leads to that confirms an address. */
export const confirmRoutes = (app: App, { lapse, redeem, look }: PagesContext): void => {
  app.get('/confirm', { schema: { hide: true, querystring: Link } }, async (request, reply) => {
    await look(request, () => mustLead(lapse, request.query.token, 'confirm-email'))
    return sendPage(reply, 200, confirmEmailPage())
  })

  app.post('/confirm', { schema: { hide: true, querystring: Link } }, async (request, reply) => {
    const { token } = request.query
    await redeem(request, { kind: 'verification', selector: selectorOf(token) }, () =>
      lapse.verifications.consume(token, { purposes: ['confirm-email'] }),
    )
    return sendPage(reply, 200, confirmedPage())
  })
}
