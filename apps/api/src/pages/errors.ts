import type { FastifyReply, FastifyRequest } from 'fastify'
import { headersOf, sendNotFound } from '../http/errors.ts'
import { refusalOf } from '../http/problem.ts'
import { contentSecurityPolicy } from './layout.ts'
import {
  type Failure,
  failedPage,
  notFoundPage,
  refusedPage,
  tooManyPage,
  unavailablePage,
  unreadablePage,
} from './notice.ts'

export const sendPage = (reply: FastifyReply, status: number, page: string) =>
  reply.code(status).type('text/html; charset=utf-8').send(page)

const pages: Partial<Record<number, (failure: Failure) => string>> = {
  403: refusedPage,
  404: notFoundPage,
  429: tooManyPage,
  500: failedPage,
  503: unavailablePage,
}

/**
 * Answers any error as a page. `denied` is the one for a token that is not good: the same bytes whatever the reason, for
 * every request.
 */
export const createSendErrorPage =
  ({ denied = notFoundPage }: { denied?: () => string } = {}) =>
  (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const refusal = refusalOf(error)
    if (refusal.code === 'token_not_valid') return sendPage(reply, refusal.status, denied())
    if (refusal.status >= 500) request.log.error({ err: error }, refusal.message)
    const headers = headersOf(refusal)
    const failure = { retryAfter: Number(headers['retry-after'] ?? 60), wasOpened: request.method === 'GET' }
    return sendPage(reply.headers(headers), refusal.status, (pages[refusal.status] ?? unreadablePage)(failure))
  }

/** Nothing is at this address: a page for whoever sits before a browser, a problem for everybody else. */
export const sendNotFoundAsWanted = (request: FastifyRequest, reply: FastifyReply) => {
  reply.header('vary', 'accept')
  if (!request.headers.accept?.includes('text/html')) return sendNotFound(request, reply)
  return sendPage(reply.header('content-security-policy', contentSecurityPolicy), 404, notFoundPage())
}
