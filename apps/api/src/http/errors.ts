import type { FastifyReply, FastifyRequest } from 'fastify'
import { HttpError, problemOf, refusalOf } from './problem.ts'

/** Answers any error as a problem. What is our own fault is logged, and not told. */
export const sendProblem = (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
  const refusal = refusalOf(error)
  if (refusal.status >= 500) request.log.error({ err: error }, refusal.message)
  return reply
    .code(refusal.status)
    .headers(refusal instanceof HttpError ? refusal.headers : {})
    .type('application/problem+json')
    .send(problemOf(refusal, request.id))
}

export const sendNotFound = (request: FastifyRequest, reply: FastifyReply) =>
  sendProblem(new HttpError('no_such_address', { detail: 'All addresses are listed at /docs.' }), request, reply)
