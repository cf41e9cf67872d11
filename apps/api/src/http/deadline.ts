import type { FastifyInstance } from 'fastify'
import { HttpError, unanswered } from './problem.ts'

/**
 * Answers for whoever has not answered by then, so that no caller waits longer. What is under way goes on; its result is
 * not shown to anybody.
 *
 * Not Fastify's `handlerTimeout`: that one is cleared as soon as the request has arrived.
 */
export const answerWithin = (app: FastifyInstance, ms: number): void => {
  app.addHook('onRequest', (request, reply, done) => {
    const timer = setTimeout(() => {
      if (reply.sent) return
      // Sent as errors are where the request was going: as a problem, or as a page.
      reply.send(request.raw.complete ? unanswered() : new HttpError('too_slow', { headers: { connection: 'close' } }))
    }, ms)
    reply.raw.once('close', () => clearTimeout(timer))
    done()
  })
}
