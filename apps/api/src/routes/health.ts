import { setTimeout as sleep } from 'node:timers/promises'
import type { Lapse } from 'lapse'
import { z } from 'zod'
import { onlyProblems, unanswered } from '../http/problem.ts'
import type { Metrics } from '../metrics.ts'
import { type App, answer } from './route.ts'

const operation = (operationId: string, summary: string, description: string) => ({
  tags: ['operation'],
  operationId,
  summary,
  description,
})

const Ready = z.object({
  status: z.literal('ready'),
  postgres: z.literal('well'),
  redis: z
    .enum(['well', 'refusing', 'away'])
    .describe('`away` and `refusing` writes are no failure: timers are pending, and the sweep ends what is due.'),
  redis_detail: z.string().optional().describe('What Redis answers when it is `refusing`.'),
  clock_skew_ms: z.number().describe("This machine's clock minus the database's, which decides."),
})

/** For those who run it: without a token, so keep them from the public. */
export const healthRoutes = (app: App, lapse: Lapse, metrics: Metrics): void => {
  app.get(
    '/healthz',
    {
      schema: {
        ...operation('isAlive', 'Alive?', 'Whether the process answers.'),
        response: { 200: answer('It does.', z.object({ status: z.literal('alive') })) },
      },
    },
    async () => ({ status: 'alive' as const }),
  )

  app.get(
    '/readyz',
    {
      schema: {
        ...operation('isReady', 'Ready?', 'Whether resources can be issued and checked: PostgreSQL decides.'),
        response: { 200: answer('They can.', Ready), ...onlyProblems(503) },
      },
    },
    async () => {
      const [skewMs, redis] = await Promise.all([
        within(2_000, lapse.clockSkew()),
        // However many ask, it is one write in half a second.
        within(500, lapse.queues.health.check()).catch(() => ({ status: 'away' as const })),
      ])
      return {
        ...{ status: 'ready' as const, postgres: 'well' as const, clock_skew_ms: skewMs },
        redis: redis.status === 'ok' ? ('well' as const) : redis.status,
        ...(redis.status === 'refusing' && { redis_detail: redis.reason }),
      }
    },
  )

  app.get(
    '/metrics',
    {
      schema: {
        ...operation('getMetrics', 'Metrics', 'For Prometheus.'),
        response: { 200: { description: 'All of them.', content: { 'text/plain': { schema: z.string() } } } },
      },
    },
    async (_, reply) => reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  )
}

const within = <T>(ms: number, asked: Promise<T>): Promise<T> => {
  const late = sleep(ms, undefined, { ref: false }).then(() => {
    throw unanswered()
  })
  return Promise.race([asked, late])
}
