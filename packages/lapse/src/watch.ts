import { describeRedis, inspectRedis, type RedisState } from '@lapse/queue'
import type { Lapse } from './lapse.ts'

export interface WatchSettings {
  readonly everyMs: number
  readonly onError: (error: unknown) => void
  /** Called at each change of how Redis is, with that in a sentence. */
  readonly onRedis: (state: RedisState, text: string) => void
}

export interface Watching {
  /** Resolves when nobody is looking any more. */
  stop(): Promise<void>
}

/** Looks for what an operator should know, again and again, on timers of this process's own: it needs PostgreSQL alone. */
export const startWatch = (lapse: Lapse, { everyMs, onError, onRedis }: WatchSettings): Watching => {
  const watches = [
    repeat(everyMs, () => lapse.alerts.watch().catch(onError)),
    watchRedis(lapse, { onError, onRedis }),
    repeat(Math.min(everyMs, repeatMs), () => lookForEviction(lapse).catch(onError)),
  ]
  return { stop: async () => void (await Promise.all(watches.map(({ stop }) => stop()))) }
}

const beatMs = 1_000

/** A restart of Redis takes seconds and ends by itself. A refusal does not, and is reported at once. */
const awayMs = 5_000

/** An alert is over five minutes after it was last seen. */
const repeatMs = 60_000

/** Raises the alert about Redis when this process sees that it is bad. Needs PostgreSQL alone. */
const watchRedis = (lapse: Lapse, { onError, onRedis }: Pick<WatchSettings, 'onError' | 'onRedis'>): Watching => {
  const { health } = lapse.queues
  let badSince: number | undefined
  let reported = { at: Number.NEGATIVE_INFINITY, detail: '' }
  const look = async (state: RedisState): Promise<void> => {
    const now = performance.now()
    if (state.status === 'ok') {
      badSince = undefined
      return
    }
    badSince ??= now
    if (state.status === 'away' && now - badSince < awayMs) return
    const detail = describeRedis(state)
    if (now - reported.at < repeatMs && reported.detail === detail) return
    const before = reported
    reported = { at: now, detail }
    const value = Math.round((now - badSince) / 1_000)
    await lapse.alerts.report({ name: 'redis-unavailable', value, detail }).catch((error: unknown) => {
      reported = before
      onError(error)
    })
  }
  let reporting: Promise<void> = Promise.resolve()
  // A refusal that is over before the next beat is seen here alone.
  const stopListening = health.onChange((state) => {
    onRedis(state, state.status === 'ok' ? 'Redis accepts writes again.' : describeRedis(state))
    reporting = Promise.all([reporting, look(state)]).then(() => {})
  })
  const beats = repeat(beatMs, async () => look(await health.check()))
  return {
    stop: async () => {
      stopListening()
      await beats.stop()
      await reporting
    },
  }
}

/** A policy is changed while nobody looks, by whoever else uses this Redis. */
const lookForEviction = async (lapse: Lapse): Promise<void> => {
  const { health, redis } = lapse.queues
  if ((await health.check()).status !== 'ok') return
  const { eviction: detail } = await inspectRedis(redis)
  if (detail) await lapse.alerts.report({ name: 'redis-evicts', value: 1, detail })
}

/** `act` must not throw. */
const repeat = (everyMs: number, act: () => Promise<void>): Watching => {
  let timer: NodeJS.Timeout | undefined
  let acting: Promise<void> = Promise.resolve()
  let stopped = false
  const wait = () => {
    timer = setTimeout(() => {
      acting = act().finally(() => stopped || wait())
    }, everyMs)
    timer.unref()
  }
  wait()
  return {
    stop: () => {
      stopped = true
      clearTimeout(timer)
      return acting
    },
  }
}
