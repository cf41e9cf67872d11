import type { AddressInfo } from 'node:net'
import { createLapse, type Lapse, type LapseConfig, lapseOptions, startWatch } from 'lapse'
import type { Logger } from 'pino'
import { buildApp } from './app.ts'
import type { Env } from './env.ts'
import { createMetrics } from './metrics.ts'

/** Puts the API together and starts it. It needs PostgreSQL; Redis may be away. */
export const startApi = async (env: Env, config: LapseConfig, log: Logger) => {
  const metrics = createMetrics()
  const lapse: Lapse = createLapse({
    ...lapseOptions(env, config),
    onError: (error) => log.warn({ err: error }, 'timers are pending'),
    onLapsed: metrics.lapsed,
  })
  try {
    for (const warning of await lapse.inspect()) log.warn(warning)
    if (!env.LAPSE_SECRET)
      log.warn(
        'LAPSE_SECRET is not set: nothing can be issued whose token has to be mailed, such as invites and sign-in.',
      )
    if (env.LAPSE_BOARD_PASSWORD && env.LAPSE_BOARD_PASSWORD.length < 12)
      log.warn('LAPSE_BOARD_PASSWORD is shorter than 12 characters. Choose a longer one.')
    metrics.watch(lapse)
    const app = await buildApp({ lapse, env, metrics, log })
    await app.listen({ host: env.HOST, port: env.PORT })
    const { port } = app.server.address() as AddressInfo
    // Here too: a worker that is gone tells nobody.
    const watching = startWatch(lapse, {
      everyMs: env.LAPSE_WATCH_SECONDS * 1_000,
      onError: (error) => log.warn({ err: error }, 'could not look for alerts'),
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
    await lapse.close()
    throw error
  }
}
