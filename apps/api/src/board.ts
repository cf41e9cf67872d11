import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { FastifyAdapter } from '@bull-board/fastify'
import basicAuth from '@fastify/basic-auth'
import type { FastifyRequest } from 'fastify'
import type { Queues } from 'lapse'
import { showDueTimes } from './due-times.ts'
import type { Env } from './env.ts'
import { login } from './http/auth.ts'
import { sendProblem } from './http/errors.ts'
import type { Limits } from './http/limits.ts'
import { HttpError } from './http/problem.ts'
import type { App } from './routes/route.ts'

const prefix = '/queues'

/** Bull Board asks Google for its fonts, and is not let. It sets styles on elements. */
const contentSecurityPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"

const explained: Record<keyof Pick<Queues, 'timers' | 'email' | 'handler' | 'upkeep'>, string> = {
  timers:
    'Wake-ups at the instants things are due. The rows in PostgreSQL decide; nothing done here extends or ends anything.',
  email: 'Mails to be sent.',
  handler: "Calls of the application's own functions.",
  upkeep: 'The sweep, the look-ahead and the purge.',
}

/** Bull Board behind a login; it shows, and acts only when LAPSE_BOARD_WRITABLE is set. */
export const registerBoard = async (app: App, queues: Queues, env: Env, { login: limit }: Limits): Promise<void> => {
  const { LAPSE_BOARD_USER: user, LAPSE_BOARD_PASSWORD: password, LAPSE_BOARD_WRITABLE: writable } = env
  if (password === undefined) {
    const closed = async () => {
      throw new HttpError('no_such_address', { detail: 'The board is closed. Set LAPSE_BOARD_PASSWORD to open it.' })
    }
    for (const url of [prefix, `${prefix}/*`]) app.all(url, { schema: { hide: true }, onRequest: closed }, closed)
    return
  }
  const board = new FastifyAdapter().setBasePath(prefix)
  createBullBoard({
    queues: queues.all.map((queue) => {
      const isTimers = queues.shards().includes(queue)
      const description = explained[isTimers ? 'timers' : (queue.name as keyof typeof explained)]
      const adapter = new BullMQAdapter(queue, { readOnlyMode: !writable, description })
      return isTimers ? showDueTimes(adapter, queue, queues.redis) : adapter
    }),
    serverAdapter: board,
    options: {
      uiConfig: {
        boardTitle: 'Lapse',
        favIcon: { default: 'static/favicon.ico', alternative: 'static/favicon-32x32.png' },
      },
    },
  })
  // All it asks is Redis, so that is what fails.
  board.setErrorHandler(({ message, statusCode = 503 }: Error & { statusCode?: number }) => ({
    status: statusCode as 500,
    body: { error: { key: 'ERRORS.INTERNAL_SERVER_ERROR' }, message: `Redis does not answer: ${message}` },
  }))
  const isLogin = login(user, password)
  await app.register(async (scope) => {
    await scope.register(basicAuth, {
      validate: async (givenUser, givenPassword, { ip }) => {
        if (isLogin(givenUser, givenPassword)) return limit.passed(ip)
        await limit.failed(ip)
        throw new Error('Another user or password')
      },
      authenticate: { realm: 'Lapse' },
    })
    scope.addHook('onRequest', async (_, reply) => void reply.header('content-security-policy', contentSecurityPolicy))
    // Refusals are answered here: what is thrown would meet the board's own error handler.
    scope.addHook('onRequest', (request, reply, done) => {
      scope.basicAuth.call(scope, request, reply, (error) => {
        const refusal = new HttpError('unauthorized', { detail: 'Log in to see the queues.' })
        if (error) sendProblem(error instanceof HttpError ? error : refusal, request, reply)
        else done()
      })
    })
    scope.addHook('onRequest', async (request, reply) => {
      const refusal = refusalToAct(request, writable)
      if (refusal) return sendProblem(refusal, request, reply)
    })
    await scope.register(board.registerPlugin(), { prefix })
  })
}

/** A browser sends a login along with whatever another site makes it send. */
const refusalToAct = ({ method, headers }: FastifyRequest, writable: boolean): HttpError | undefined => {
  if (method === 'GET' || method === 'HEAD') return undefined
  if (!writable)
    return new HttpError('forbidden', { detail: 'The board only shows. LAPSE_BOARD_WRITABLE=true lets it act.' })
  const { origin, host, 'sec-fetch-site': site } = headers
  const isSameOrigin =
    site === undefined ? URL.canParse(origin ?? '') && new URL(origin ?? '').host === host : site === 'same-origin'
  return isSameOrigin ? undefined : new HttpError('forbidden', { detail: 'The board acts only for its own page.' })
}
