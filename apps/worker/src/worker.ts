import {
  Alarm,
  createLapse,
  createMailer,
  type Lapse,
  type LapseConfig,
  lapseOptions,
  type Place,
  type QueueName,
  startRunner,
  startWatch,
} from 'lapse'
import type { Logger } from 'pino'
import type { Env } from './env.ts'
import { createMetrics } from './metrics.ts'
import { Net } from './net.ts'
import { createProcessors } from './processors.ts'
import { startHealthServer } from './server.ts'
import { TimerRunners } from './timer-runners.ts'

/** Stops within 10 s: what a runner cannot finish by then is given back to the queue. */
const closeMs = 7_000

/** The same error again within a minute is counted, and not told: an absent Redis would fill the log. */
const newsOnly = () => {
  const told = new Map<string, number>()
  return (where: string, error: unknown): boolean => {
    const news = `${where}: ${error instanceof Error ? error.message : error}`
    const last = told.get(news)
    if (last !== undefined && performance.now() - last < 60_000) return false
    if (told.size > 1_000) told.clear()
    told.set(news, performance.now())
    return true
  }
}

/** Twice as many mails stand in the queue as can go out until the next sweep feeds it again. */
const mailsAhead = (env: Env): number => env.LAPSE_MAIL_RATE * Math.max(15, env.LAPSE_SWEEP_SECONDS) * 2

/** Puts a worker together and starts it. */
export const startWorker = async (env: Env, config: LapseConfig, log: Logger) => {
  const isNews = newsOnly()
  const onError = (where: string, error: unknown) => {
    metrics.failed(where)
    // How Redis is, is logged when it changes.
    if (lapse.queues.health.refused(error)) return
    if (isNews(where, error)) log.warn({ where, err: error }, 'survived an error')
  }
  const lapse: Lapse = createLapse({
    ...lapseOptions(env, config),
    onError: (error) => onError('after-commit', error),
  })
  const metrics = createMetrics(lapse)
  for (const warning of await lapse.inspect()) log.warn(warning)

  const transport = config.mail?.transport ?? env.SMTP_URL
  const from = config.mail?.from ?? env.LAPSE_MAIL_FROM
  const mailer = transport && createMailer({ transport, from, connections: env.LAPSE_MAIL_CONNECTIONS })
  if (!env.LAPSE_SECRET) log.warn('LAPSE_SECRET is not set: mails that carry a token wait in the ledger.')
  if (!mailer)
    log.warn('No mail is sent: set SMTP_URL, or mail.transport in lapse.config.ts. Mails wait in the ledger.')

  if (env.LAPSE_ALERT_SWEEP_SECONDS <= env.LAPSE_SWEEP_SECONDS)
    log.warn('LAPSE_ALERT_SWEEP_SECONDS is not longer than LAPSE_SWEEP_SECONDS: it alerts between two sweeps.')

  const engine = lapse.engine({
    onAdvanced: metrics.advanced,
    onError: (error) => onError('hook', error),
    full: { email: mailsAhead(env) },
  })
  const intervals = {
    sweep: env.LAPSE_SWEEP_SECONDS * 1_000,
    'look-ahead': env.LAPSE_LOOK_AHEAD_SECONDS * 1_000,
    purge: env.LAPSE_PURGE_SECONDS * 1_000,
  }
  const net = new Net(lapse, engine, intervals, onError)
  const deliver = lapse.deliverer({
    mailer: mailer || undefined,
    mailRate: env.LAPSE_MAIL_RATE,
    mailCopies: env.LAPSE_MAIL_COPIES,
    publicUrl: env.LAPSE_PUBLIC_URL,
    backoff: { baseMs: env.LAPSE_RETRY_SECONDS * 1_000, capMs: 3_600_000, attempts: env.LAPSE_RETRY_ATTEMPTS },
    onAttempt: metrics.attempted,
  })
  const processors = createProcessors(lapse, engine, deliver, net)

  const redis = { redisUrl: env.REDIS_URL, prefix: env.LAPSE_PREFIX }
  const run = <Q extends QueueName>(queue: Q, concurrency: number, place?: Place) =>
    startRunner(queue, processors[queue], {
      ...redis,
      ...(place && { place }),
      concurrency,
      onError,
      onDrop: (where, job, reason) => {
        metrics.dropped(where, reason)
        log.debug({ queue: where, job, reason }, 'dropped a job')
      },
    })

  const runners = [
    // All of them meet in one look: more would only be fetched before the first of them starts.
    new TimerRunners(
      lapse,
      redis,
      (place) => run('timers', 20, place),
      (error) => onError('timer-runners', error),
    ),
    run('handler', 20),
    run('webhook', 50),
    run('call', 50),
    run('upkeep', 1),
    // Without a transport a mail would only use its attempts up. Those that wait for their turn hold a lease: no more
    // than a second's worth.
    ...(mailer ? [run('email', Math.min(env.LAPSE_MAIL_CONNECTIONS, env.LAPSE_MAIL_RATE))] : []),
  ]
  const alarm = new Alarm(lapse.queues, {
    skewMs: () => net.skewMs,
    ring: (kind) => engine.ring(kind),
    onError: (error) => onError('alarm', error),
  })
  // After the runners: with an empty Redis it arms everything again, and what is due meanwhile must not wait for that.
  await net.start()
  if (env.LAPSE_CLEANUP_ON_START)
    void lapse.cleanup().then(
      ({ removed, answers, notices }) => log.info({ removed, answers, notices }, 'cleaned up'),
      (error) => onError('cleanup', error),
    )
  const watching = startWatch(lapse, {
    everyMs: env.LAPSE_WATCH_SECONDS * 1_000,
    onError: (error) => onError('watch', error),
    onRedis: ({ status }, text) => (status === 'ok' ? log.info(text) : log.error(text)),
  })
  const health = await startHealthServer(
    { host: env.HOST, port: env.LAPSE_WORKER_PORT },
    metrics,
    () => net.isHealthy,
    () => lapse.queues.health.state,
  )

  return {
    url: health.url,
    close: async () => {
      engine.stop()
      deliver.stop()
      await Promise.all([net.stop(), alarm.stop(), watching.stop(), ...runners.map((runner) => runner.close(closeMs))])
      await health.close()
      if (mailer) mailer.close()
      await lapse.close()
    },
  }
}
