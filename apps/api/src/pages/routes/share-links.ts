import type { FastifyRequest } from 'fastify'
import { LapseError, type Viewing } from 'lapse'
import { z } from 'zod'
import { keepPass, passOf } from '../../http/cookie.ts'
import { createOpen } from '../../http/opening.ts'
import { HttpError } from '../../http/problem.ts'
import { byOf } from '../../http/who.ts'
import { type App, byId } from '../../routes/route.ts'
import { sendPage } from '../errors.ts'
import { Link } from '../link.ts'
import { sharedPage, sharePage } from '../share-link.ts'
import type { PagesContext } from './context.ts'

const Form = z.object({ password: z.string().max(1_000).catch('') }).catch({ password: '' })

/** What this browser has opened before, if that is still open. */
const createViewingOf =
  ({ lapse }: PagesContext) =>
  async (request: FastifyRequest, id: string): Promise<Viewing | undefined> => {
    const pass = passOf(request, id)
    const viewing = pass === undefined ? undefined : await lapse.shareLinks.checkPass(pass)
    return pass !== undefined && viewing?.link.id === id ? { ...viewing, pass } : undefined
  }

/** A share link: looking at it counts nothing, and a person's click counts one view. */
export const shareLinkRoutes = (app: App, context: PagesContext): void => {
  const { lapse, look } = context
  const open = createOpen(context)
  const viewingOf = createViewingOf(context)

  app.get('/share-links/open', { schema: { hide: true, querystring: Link } }, async (request, reply) => {
    const looked = await look(request, async () => {
      const seen = await lapse.shareLinks.look(request.query.token)
      if (seen.state === 'denied') throw new LapseError('token_not_valid')
      const viewing = await viewingOf(request, seen.id)
      if (!viewing && seen.state === 'used-up') throw new LapseError('token_not_valid')
      return { ...seen, viewing }
    })
    if (looked.viewing) return reply.redirect(addressOf(looked.viewing), 303)
    return sendPage(reply, 200, sharePage(looked))
  })

  app.post('/share-links/open', { schema: { hide: true, querystring: Link, body: Form } }, async (request, reply) => {
    const opening = { token: request.query.token, password: request.body.password, client: request.ip }
    try {
      const opened = await open(request, opening, async (id) => {
        // Who presses the button twice is counted once.
        const viewing = await viewingOf(request, id)
        return viewing ? { status: 'unlocked' as const, ...viewing } : lapse.shareLinks.view(id, byOf(request))
      })
      if (opened.status === 'unlocked') return keepPass(reply, opened).redirect(addressOf(opened), 303)
      return sendPage(reply, 403, sharePage({ asksPassword: true, error: mistakes[opened.status] }))
    } catch (error) {
      if (!isTooSoon(error)) throw error
      const wait = Number(error.headers['retry-after'])
      const words = `Please wait ${wait === 1 ? 'a second' : `${wait} seconds`}, then type it again.`
      return sendPage(reply.headers(error.headers), 429, sharePage({ asksPassword: true, error: words }))
    }
  })
}

/** What is behind the link, for the browser that has opened it. Asked of the database each time. */
export const sharedPageRoutes = (app: App, context: PagesContext): void => {
  const viewingOf = createViewingOf(context)

  app.get('/share-links/view/:id', { schema: { hide: true, params: byId } }, async (request, reply) => {
    const viewing = await viewingOf(request, request.params.id)
    if (!viewing) throw new LapseError('token_not_valid')
    const { link, expiresAt } = viewing
    return sendPage(reply, 200, sharedPage({ ...link.payload, expiresAt, now: link.seenAt }))
  })
}

const addressOf = ({ link }: Viewing): string => `/share-links/view/${link.id}`

const mistakes = {
  'password-required': 'Please type the password.',
  'wrong-password': 'This is not the password. Mind its upper and lower case.',
}

/** After a wrong password. Whoever gets no further for other reasons gets a page of its own. */
const isTooSoon = (error: unknown): error is HttpError => error instanceof HttpError && error.field === 'password'
