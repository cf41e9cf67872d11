import { randomUUID } from 'node:crypto'
import cookie from '@fastify/cookie'
import Fastify, { type FastifyBaseLogger, type FastifyReply, LogController } from 'fastify'
import { serializerCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import type { Lapse } from 'lapse'
import type { Logger } from 'pino'
import { registerBoard } from './board.ts'
import { registerDocs } from './docs.ts'
import type { Env } from './env.ts'
import { answerWithin } from './http/deadline.ts'
import { sendProblem } from './http/errors.ts'
import { createOnce } from './http/idempotency.ts'
import { validatorCompiler } from './http/input.ts'
import { acceptJsonOnly } from './http/json.ts'
import { createLimits } from './http/limits.ts'
import { createMail } from './http/mailing.ts'
import { refuseOtherMethods } from './http/methods.ts'
import { HttpError, problemOf } from './http/problem.ts'
import { createRedeem } from './http/redemption.ts'
import { paceRefusals } from './http/refusals.ts'
import { answerUnreadable } from './http/unreadable.ts'
import type { Metrics } from './metrics.ts'
import { sendNotFoundAsWanted } from './pages/errors.ts'
import { registerPages } from './pages/pages.ts'
import { healthRoutes } from './routes/health.ts'
import type { App } from './routes/route.ts'
import { registerV1 } from './routes/v1.ts'

/** No caller waits longer than this, whatever PostgreSQL does. */
const answerMs = 6_000

/** Nothing that comes from here is shown inside another page, guessed at, or kept. */
const guarded = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** Two years: whoever has been here once comes by HTTPS, whatever a link says. */
const strict = 'max-age=63072000'

const isHttps = (url: string | undefined): boolean => url?.startsWith('https:') ?? false

export interface AppOptions {
  lapse: Lapse
  env: Env
  metrics: Metrics
  log: Logger
  onError: (where: string, error: unknown) => void
  /** Why nothing is answered yet but the state of the process. */
  starting?: () => string | undefined
}

/** The HTTP application, not yet listening. */
export const buildApp = async ({ lapse, env, metrics, log, onError, starting = () => undefined }: AppOptions) => {
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    // One line for each request, without its query, which may hold an address: see below.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    bodyLimit: 1024 * 1024,
    // As long as the longest reference.
    routerOptions: { maxParamLength: 500 },
    requestTimeout: 30_000,
    // While it closes, what still arrives on an open connection is answered like everything else.
    return503OnClosing: false,
    trustProxy: (_, hop) => hop < env.LAPSE_TRUSTED_PROXIES,
    clientErrorHandler: answerUnreadable(guarded),
    frameworkErrors: (error, request, reply) => sendProblem(error, request, reply as unknown as FastifyReply),
  }).withTypeProvider<ZodTypeProvider>()

  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler(sendProblem)
  app.setNotFoundHandler(sendNotFoundAsWanted)
  paceRefusals(app)
  acceptJsonOnly(app)
  answerWithin(app, answerMs)
  refuseWhile(app, starting)

  const headers = { ...guarded, ...(isHttps(env.LAPSE_PUBLIC_URL) && { 'strict-transport-security': strict }) }
  app.addHook('onRequest', async (_, reply) => void reply.headers(headers))
  app.addHook('onResponse', async ({ log: own, method, routeOptions, url, ip }, { statusCode, elapsedTime }) => {
    metrics.answered(method, routeOptions.url, statusCode, elapsedTime / 1_000)
    const path = url.split('?', 1)[0]
    own.info({ method, path, status: statusCode, ms: Math.round(elapsedTime), ip }, 'answered')
  })

  closeConnectionsAtEnd(app)

  const limits = createLimits(lapse.queues, {
    ...{ key: env.rootTokenHash, onRefused: metrics.limited, onError },
    rates: { 'mail-address': { points: env.LAPSE_SIGN_INS_PER_HOUR, seconds: 3_600 } },
  })
  const once = createOnce(lapse, env.rootTokenHash)
  await app.register(cookie)
  await registerDocs(app)
  await app.register(async (scope: App) => {
    const refuse = refuseOtherMethods(scope)
    healthRoutes(scope, lapse, metrics)
    refuse()
  })
  const redeem = createRedeem(limits, metrics)
  const people = { lapse, once, redeem, mail: createMail(limits), limits, metrics, publicUrl: env.LAPSE_PUBLIC_URL }
  await registerV1(app, people, env.rootTokenHash)
  await registerPages(app, people)
  await registerBoard(app, lapse.queues, env, limits)
  return app
}

/** Not these: a supervisor has to know that the process lives, and what it does. */
const always = new Set<string | undefined>(['/healthz', '/metrics'])

const refuseWhile = (app: App, starting: () => string | undefined): void => {
  // Answered here and not thrown: a start is no error to log.
  app.addHook('onRequest', async ({ id, routeOptions }, reply) => {
    const detail = starting()
    if (detail === undefined || always.has(routeOptions.url)) return
    const refusal = new HttpError('unavailable', { detail, headers: { 'retry-after': '1' } })
    return reply
      .code(refusal.status)
      .headers(refusal.headers)
      .type('application/problem+json')
      .send(problemOf(refusal, id))
  })
}

/** An answer that goes out while the application closes is the last one on its connection, which would be waited for else. */
const closeConnectionsAtEnd = (app: App): void => {
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
  })
  app.addHook('onSend', async (_, reply) => {
    if (closing) reply.header('connection', 'close')
  })
}
