import type { FastifyInstance } from 'fastify'
import { asCaller, type Caller } from 'lapse'
import { HttpError, unanswered } from './problem.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** For a route that lets its callers wait. */
    answerWithinMs?: number
  }
  interface FastifyRequest {
    /** On whose behalf its statements run. */
    caller: Caller
  }
}

/** So long before a request has to be answered it is given up: a cancelled statement takes a moment to say so. */
const cancelMs = 1_000

/**
 * Gives up what has taken too long, or whose client went away: its statements are cancelled, and what was not committed does
 * not happen. The answer is then what its handler makes of that; when there is none soon, because PostgreSQL cannot even be
 * asked to cancel, the request is answered without it.
 *
 * Not Fastify's `handlerTimeout`: that one is cleared as soon as the request has arrived.
 */
export const answerWithin = (app: FastifyInstance, ms: number): void => {
  // An object of its own for each request comes with `onRequest`.
  app.decorateRequest('caller', null as unknown as Caller)
  app.addHook('onRequest', (request, reply, done) => {
    const { raw } = reply
    const giveUp = new AbortController()
    const answersWithinMs = request.routeOptions.config?.answerWithinMs ?? ms
    const late = setTimeout(() => {
      // What is being sent goes on.
      if (!raw.headersSent) giveUp.abort(new DOMException('It took too long.', 'TimeoutError'))
    }, answersWithinMs - cancelMs)
    const tooLate = setTimeout(() => {
      if (reply.sent || raw.headersSent) return
      // Fastify would warn of the late result as of a mistake.
      raw.once('finish', () => {
        reply.send = () => reply
      })
      // Sent as errors are where the request was going: as a problem, or as a page.
      reply.send(request.raw.complete ? unanswered() : new HttpError('too_slow', { headers: { connection: 'close' } }))
    }, answersWithinMs)
    raw.once('close', () => {
      clearTimeout(late)
      clearTimeout(tooLate)
      if (!raw.writableFinished) giveUp.abort(new DOMException('The client went away.', 'AbortError'))
    })
    request.caller = { signal: giveUp.signal }
    asCaller(request.caller, done)
  })
  // The body arrives in events of the connection, which know nothing of the request.
  app.addHook('preValidation', (request, _, done) => asCaller(request.caller, done))
}
