import {
  Alarm,
  createLapse,
  createMailer,
  createResolver,
  type Lapse,
  type LapseConfig,
  lapseOptions,
  type Place,
  type QueueName,
  startRunner,
  startWatch,
  survivor,
  unlessStopped,
} from 'lapse'
import type { Logger } from 'pino'
import type { Env } from './env.ts'
import { createMetrics } from './metrics.ts'
import { Net } from './net.ts'
import { createProcessors } from './processors.ts'
import { resealLater } from './resealing.ts'
import { startHealthServer } from './server.ts'
import { TimerRunners } from './timer-runners.ts'

/** Stops within 10 s: what a runner cannot finish by then is given back to the queue. */
const closeMs = 7_000

/** Jobs that only wake the dispatcher. */
const wakeUpsAtOnce = 10

/** Attempts under way at once, in one process; `Slots` says how they are shared. */
const slots = { handler: 32, webhook: 100, call: 100 }

/**
 * Puts a worker together and starts it. It answers for its state before it asks PostgreSQL anything, for the first sweep and
 * the first look-ahead take as long as there is work to do. `stop` ends both early.
 */
export const startWorker = async (env: Env, config: LapseConfig, log: Logger, stop: AbortSignal) => {
  const survived = survivor(log, (where) => metrics.failed(where))
  const onError = (where: string, error: unknown) => {
    // How Redis is, is logged when it changes.
    if (lapse.queues.health.refused(error)) metrics.failed(where)
    else survived(where, error)
  }
  const lapse: Lapse = createLapse({ ...lapseOptions(env, config), onError: (error, where) => onError(where, error) })
  const metrics = createMetrics(lapse)
  let unready = (): string | undefined => 'starting: PostgreSQL and Redis are being looked at'
  const health = await startHealthServer(
    { host: env.HOST, port: env.LAPSE_WORKER_PORT },
    metrics,
    () => unready(),
    () => lapse.queues.health.state,
  )
  for (const warning of await unlessStopped(lapse.inspect(), stop)) log.warn(warning)

  const transport = config.mail?.transport ?? env.SMTP_URL
  const from = config.mail?.from ?? env.LAPSE_MAIL_FROM
  const mailer =
    transport &&
    createMailer({
      transport,
      from,
      connections: env.LAPSE_MAIL_CONNECTIONS,
      answerTimeoutMs: env.LAPSE_MAIL_ANSWER_SECONDS * 1_000,
      // One of its own: the mail server's name never waits for names that others chose.
      resolve: createResolver({ servers: env.LAPSE_DNS_SERVERS }),
    })
  if (!env.LAPSE_SECRET) log.warn('LAPSE_SECRET is not set: mails that carry a token wait in the ledger.')
  if (!mailer)
    log.warn('No mail is sent: set SMTP_URL, or mail.transport in lapse.config.ts. Mails wait in the ledger.')

  if (env.LAPSE_ALERT_SWEEP_SECONDS <= env.LAPSE_SWEEP_SECONDS)
    log.warn('LAPSE_ALERT_SWEEP_SECONDS is not longer than LAPSE_SWEEP_SECONDS: it alerts between two sweeps.')

  const engine = lapse.engine({
    onAdvanced: metrics.advanced,
    onError: (error) => onError('hook', error),
    dispatch: (channel) => dispatcher.wake(channel),
  })
  const intervals = {
    sweep: env.LAPSE_SWEEP_SECONDS * 1_000,
    'look-ahead': env.LAPSE_LOOK_AHEAD_SECONDS * 1_000,
    purge: env.LAPSE_PURGE_SECONDS * 1_000,
  }
  const net = new Net(lapse, engine, intervals, onError)
  let swept = false
  unready = () => {
    swept ||= net.isHealthy
    if (net.isHealthy) return undefined
    return swept ? 'no sweep has succeeded lately' : 'starting: the first sweep advances what became due meanwhile'
  }
  stop.addEventListener('abort', () => engine.stop())
  const deliver = lapse.deliverer({
    mailer: mailer || undefined,
    mailRate: env.LAPSE_MAIL_RATE,
    resolve: createResolver({ servers: env.LAPSE_DNS_SERVERS }),
    mailCopies: env.LAPSE_MAIL_COPIES,
    mailAnswerMs: env.LAPSE_MAIL_ANSWER_SECONDS * 1_000,
    publicUrl: env.LAPSE_PUBLIC_URL,
    backoff: { baseMs: env.LAPSE_RETRY_SECONDS * 1_000, capMs: 3_600_000, attempts: env.LAPSE_RETRY_ATTEMPTS },
    onAttempt: metrics.attempted,
  })
  const dispatcher = lapse.dispatcher(deliver, {
    slots: {
      ...slots,
      // Without a transport a mail would only use its attempts up. Those that wait for their turn hold a lease: no more
      // than a second's worth.
      ...(mailer && { email: Math.min(env.LAPSE_MAIL_CONNECTIONS, env.LAPSE_MAIL_RATE) }),
    },
    onError: (error) => onError('outbox', error),
  })
  const processors = createProcessors(lapse, engine, dispatcher, net)

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
    new TimerRunners(lapse, redis, (place) => run('timers', 20, place), onError),
    // They only wake the dispatcher, and are done.
    ...(['handler', 'webhook', 'call', ...(mailer ? (['email'] as const) : [])] as const).map((queue) =>
      run(queue, wakeUpsAtOnce),
    ),
    run('upkeep', 1),
  ]
  const alarm = new Alarm(lapse.queues, {
    skewMs: () => net.skewMs,
    ring: (kind) => engine.ring(kind),
    ringAll: () => engine.ringAll(),
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

  const stopResealing = env.LAPSE_SECRET
    ? resealLater(lapse, {
        onDone: ({ resealed, unreadable }) => log.info({ resealed, unreadable }, 'sealed anew under the first key'),
        onError: (error) => onError('reseal', error),
      })
    : () => {}

  return {
    url: health.url,
    close: async () => {
      stopResealing()
      engine.stop()
      deliver.stop()
      const stopping = [dispatcher.stop(), new Promise((resolve) => setTimeout(resolve, closeMs).unref())]
      await Promise.all([
        net.stop(),
        alarm.stop(),
        watching.stop(),
        Promise.race(stopping),
        ...runners.map((runner) => runner.close(closeMs)),
      ])
      await health.close()
      if (mailer) mailer.close()
      await lapse.close()
    },
  }
}
