import formbody from '@fastify/formbody'
import { refuseOtherMethods } from '../http/methods.ts'
import { createSendSignInLink } from '../http/sign-in-link.ts'
import type { App, PeopleContext } from '../routes/route.ts'
import { createSendErrorPage } from './errors.ts'
import { goneInvitePage, invalidInvitePage } from './invite.ts'
import { contentSecurityPolicy } from './layout.ts'
import { createLook } from './link.ts'
import { accountRoutes } from './routes/account.ts'
import type { PagesContext } from './routes/context.ts'
import { inviteRoutes } from './routes/invites.ts'
import { sharedPageRoutes, shareLinkRoutes } from './routes/share-links.ts'
import { confirmRoutes, signInRoutes } from './routes/sign-in.ts'
import { unsubscribeRoutes } from './routes/unsubscribe.ts'
import { closedSharePage, invalidSharePage } from './share-link.ts'
import { invalidConfirmationPage, invalidLinkPage } from './sign-in.ts'
import { invalidUnsubscribePage } from './unsubscribe.ts'
import { knowVisitor, refuseOtherSites } from './visitor.ts'

/** More than any form of ours holds. */
const bodyLimit = 16 * 1024

/** The hosted pages: for people with a browser, by links from mails. Whatever goes wrong here is told as a page too. */
export const registerPages = async (app: App, people: PeopleContext): Promise<void> => {
  const { lapse, limits, redeem } = people
  const context: PagesContext = {
    ...{ lapse, limits, redeem },
    look: createLook(limits),
    sendSignInLink: createSendSignInLink(people),
  }
  await app.register(async (scope: App) => {
    scope.setErrorHandler(createSendErrorPage())
    scope.removeAllContentTypeParsers()
    await scope.register(formbody, { bodyLimit })
    scope.addHook('onRequest', async (_, reply) => void reply.header('content-security-policy', contentSecurityPolicy))
    refuseOtherSites(scope)
    knowVisitor(scope, lapse)
    const refuse = refuseOtherMethods(scope)
    // Each with its own page for a token that is not good.
    for (const [routes, denied] of [
      [inviteRoutes, invalidInvitePage],
      [accountRoutes, goneInvitePage],
      [signInRoutes, invalidLinkPage],
      [confirmRoutes, invalidConfirmationPage],
      [shareLinkRoutes, invalidSharePage],
      [sharedPageRoutes, closedSharePage],
    ] as const)
      await scope.register(async (inner: App) => {
        inner.setErrorHandler(createSendErrorPage({ denied }))
        routes(inner, context)
      })
    refuse()
  })
  // Mail programs are other sites, and nobody's browser.
  await app.register(async (scope: App) => {
    scope.setErrorHandler(createSendErrorPage({ denied: invalidUnsubscribePage }))
    scope.addHook('onRequest', async (_, reply) => void reply.header('content-security-policy', contentSecurityPolicy))
    const refuse = refuseOtherMethods(scope)
    unsubscribeRoutes(scope, context)
    refuse()
  })
}
