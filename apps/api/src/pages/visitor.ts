import type { FastifyRequest } from 'fastify'
import type { Lapse } from 'lapse'
import { forgetSession, sessionCookie } from '../http/cookie.ts'
import { HttpError } from '../http/problem.ts'
import { isOwnPage, isSafe } from '../http/who.ts'
import type { App } from '../routes/route.ts'

/**
 * Refuses what another site makes a browser send. Our pages ask for no Referer to be sent, so browsers that do not say where
 * a form is from otherwise say `Origin: null`.
 */
export const refuseOtherSites = (scope: App): void => {
  scope.addHook('onRequest', async (request) => {
    const { origin, 'sec-fetch-site': site } = request.headers
    const isSilent = site === undefined && origin === 'null'
    if (!isSafe(request) && !isSilent && !isOwnPage(request)) throw new HttpError('forbidden')
  })
}

/** Finds out who is signed in in this browser. A session that has ended is forgotten by it. */
export const knowVisitor = (scope: App, lapse: Lapse): void => {
  scope.decorateRequest('who')
  scope.addHook('onRequest', async (request, reply) => {
    request.who = { is: 'nobody' }
    const token = request.cookies[sessionCookie]
    if (!token) return
    const found = await lapse.sessions.authenticate(token)
    if (found.status === 'valid') request.who = { is: 'user', user: found.user, session: found.session }
    else forgetSession(reply)
  })
}

/** Who is signed in in this browser, if anybody is. */
export const visitorOf = ({ who }: FastifyRequest) => (who.is === 'user' ? who : undefined)
