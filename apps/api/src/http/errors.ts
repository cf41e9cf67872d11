import type { FastifyReply, FastifyRequest } from 'fastify'
import type { LapseError } from 'lapse'
import { sendDenied } from './denied.ts'
import { HttpError, problemOf, refusalOf } from './problem.ts'

/** Answers any error as a problem. What is our own fault is logged, and not told. */
export const sendProblem = (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
  const refusal = refusalOf(error)
  if (refusal.code === 'token_not_valid') return sendDenied(reply)
  if (refusal.status >= 500) request.log.error({ err: error }, refusal.message)
  return reply
    .code(refusal.status)
    .headers(headersOf(refusal))
    .type('application/problem+json')
    .send(problemOf(refusal, request.id))
}

/** What goes with a refusal besides its body. */
export const headersOf = (refusal: HttpError | LapseError): Readonly<Record<string, string>> => {
  if (refusal instanceof HttpError) return refusal.headers
  if (refusal.code === 'signed_out') return { 'www-authenticate': 'Bearer realm="lapse"' }
  return refusal.retryAfter === undefined ? {} : { 'retry-after': String(refusal.retryAfter) }
}

export const sendNotFound = (request: FastifyRequest, reply: FastifyReply) =>
  sendProblem(new HttpError('no_such_address', { detail: 'All addresses are listed at /docs.' }), request, reply)
