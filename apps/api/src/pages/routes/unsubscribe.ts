import type { App } from '../../routes/route.ts'
import { sendPage } from '../errors.ts'
import { Link } from '../link.ts'
import { unsubscribedPage, unsubscribePage } from '../unsubscribe.ts'
import type { PagesContext } from './context.ts'

/**
 * The link in a reminder. A mail program posts to it by itself when its user says so (RFC 8058): without a cookie, with a body
 * of its own choice, and from wherever it is. All that decides is the token.
 */
export const unsubscribeRoutes = (app: App, { lapse }: Pick<PagesContext, 'lapse'>): void => {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { bodyLimit: 16 * 1024, parseAs: 'buffer' }, (_, __, done) => done(null, undefined))

  app.get('/unsubscribe', { schema: { hide: true, querystring: Link } }, async ({ query }, reply) => {
    lapse.suppressions.mustLead(query.token)
    return sendPage(reply, 200, unsubscribePage())
  })

  app.post('/unsubscribe', { schema: { hide: true, querystring: Link } }, async ({ query }, reply) => {
    await lapse.suppressions.unsubscribe(query.token)
    return sendPage(reply, 200, unsubscribedPage())
  })
}
