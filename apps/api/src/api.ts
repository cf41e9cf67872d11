import type { AddressInfo } from 'node:net'
import { createLapse, type Lapse, type LapseConfig, lapseOptions, startWatch, survivor, unlessStopped } from 'lapse'
import type { Logger } from 'pino'
import { buildApp } from './app.ts'
import type { Env } from './env.ts'
import { createMetrics } from './metrics.ts'

const never = new AbortController().signal

/**
 * Puts the API together and starts it. It needs PostgreSQL; Redis may be away. It listens first, and answers for its state;
 * everything else is answered with 503 until PostgreSQL and Redis have been looked at.
 */
export const startApi = async (env: Env, config: LapseConfig, log: Logger, stop: AbortSignal = never) => {
  const onError = survivor(log, (where) => metrics.failed(where))
  const lapse: Lapse = createLapse({
    ...lapseOptions(env, config),
    onError: (error, where) => onError(where, error),
    onLapsed: (rows) => metrics.lapsed(rows),
  })
  const metrics = createMetrics(lapse)
  let starting: string | undefined = 'Lapse is starting: PostgreSQL and Redis are being looked at.'
  const app = await buildApp({ lapse, env, metrics, log, onError, starting: () => starting })
  try {
    await app.listen({ host: env.HOST, port: env.PORT })
    const { port } = app.server.address() as AddressInfo
    for (const warning of await unlessStopped(lapse.inspect(), stop)) log.warn(warning)
    if (!env.LAPSE_SECRET)
      log.warn(
        'LAPSE_SECRET is not set: nothing can be issued whose token has to be mailed, such as invites and sign-in.',
      )
    if (env.LAPSE_BOARD_PASSWORD && env.LAPSE_BOARD_PASSWORD.length < 12)
      log.warn('LAPSE_BOARD_PASSWORD is shorter than 12 characters. Choose a longer one.')
    starting = undefined
    // Here too: a worker that is gone tells nobody.
    const watching = startWatch(lapse, {
      everyMs: env.LAPSE_WATCH_SECONDS * 1_000,
      onError: (error) => onError('watch', error),
      onRedis: ({ status }, text) => (status === 'ok' ? log.info(text) : log.error(text)),
    })
    return {
      url: `http://${env.HOST.includes(':') ? `[${env.HOST}]` : env.HOST}:${port}`,
      /** Takes no new connection, finishes what it has begun, and lets go of the services. */
      close: async () => {
        await Promise.all([app.close(), watching.stop()])
        await lapse.close()
      },
    }
  } catch (error) {
    await app.close()
    // A process that is to end does not wait for a statement that PostgreSQL holds up.
    if (!stop.aborted) await lapse.close()
    throw error
  }
}
