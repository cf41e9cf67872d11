import type { FastifyInstance } from 'fastify'
import { HttpError, unanswered } from './problem.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** For a route that lets its callers wait. */
    answerWithinMs?: number
  }
}

/**
 * Answers for whoever has not answered by then, so that no caller waits longer. What is under way goes on; its result is
 * not shown to anybody.
 *
 * Not Fastify's `handlerTimeout`: that one is cleared as soon as the request has arrived.
 */
export const answerWithin = (app: FastifyInstance, ms: number): void => {
  app.addHook('onRequest', (request, reply, done) => {
    const timer = setTimeout(() => {
      if (reply.sent || reply.raw.headersSent) return
      // Fastify would warn of the late result as of a mistake.
      reply.raw.once('finish', () => {
        reply.send = () => reply
      })
      // Sent as errors are where the request was going: as a problem, or as a page.
      reply.send(request.raw.complete ? unanswered() : new HttpError('too_slow', { headers: { connection: 'close' } }))
    }, request.routeOptions.config?.answerWithinMs ?? ms)
    reply.raw.once('close', () => clearTimeout(timer))
    done()
  })
}
