import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster } from 'ioredis'
import type { Connection } from './connection.ts'
import { slotOf } from './shards.ts'

/** Redis as this process sees it. `refusing`: it answers, and does not accept writes; `reason` is its own answer. */
export type RedisState = { readonly status: 'ok' } | { readonly status: 'refusing' | 'away'; readonly reason: string }

/** However many ask, Redis is asked so often at most. */
const freshMs = 500

/** Longer than any command of a producer's connection takes. */
const probeMs = 3_000

/** A bad state this old may be over: it is waited for the next answer before a command is given up for it. */
const staleMs = 10_000

/** After a READONLY the connection is made anew, and is away for a moment: the refusal is still what is wrong. */
const reconnectingMs = 3_000

/** A prefix that is used no more leaves nothing behind. */
const keyMs = 60_000

/**
 * Whether Redis accepts writes. A replica, a primary without its replicas, a full one and one that cannot save all answer
 * reads, so only a write tells. One that refuses writes is as good as none: timers cannot be armed, and jobs cannot be taken.
 */
export class RedisHealth {
  readonly #redis: Connection
  readonly #prefix: string
  readonly #listeners = new Set<(state: RedisState) => void>()
  #state: RedisState = { status: 'ok' }
  #checking: Promise<RedisState> | undefined
  /** By the process's monotonic clock, as all here. */
  #checkedAt = Number.NEGATIVE_INFINITY
  #refusedAt = Number.NEGATIVE_INFINITY
  #connectionError: Error | undefined

  constructor(redis: Connection, prefix: string) {
    this.#redis = redis
    this.#prefix = prefix
    redis.on('error', (error: Error) => {
      this.#connectionError = error
    })
    redis.on('ready', () => {
      this.#connectionError = undefined
    })
  }

  /** As it was last seen. */
  get state(): RedisState {
    return this.#state
  }

  /** Answers how to stop listening. */
  onChange(listener: (state: RedisState) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Writes to every master, unless that was done in the last half second. Takes up to three seconds, and throws nothing. */
  check(): Promise<RedisState> {
    if (performance.now() - this.#checkedAt < freshMs) return Promise.resolve(this.#state)
    this.#checking ??= this.#probe().finally(() => {
      this.#checking = undefined
    })
    return this.#checking
  }

  /**
   * Whether a command is worth sending. While Redis is bad the answer comes at once and a probe is on its way, so that
   * nothing waits for a Redis that hangs.
   */
  async isUsable(): Promise<boolean> {
    if (this.#state.status === 'ok') return true
    const checking = this.check()
    const isStale = performance.now() - this.#checkedAt > staleMs
    return isStale && (await checking).status === 'ok'
  }

  /** Notes whether this error is a refusal of Redis': one that is shorter than a beat is noticed by that alone. */
  refused(error: unknown): boolean {
    const refusal = refusalOf(error)
    if (refusal === undefined || !known.test(refusal)) return false
    this.#become({ status: 'refusing', reason: refusal })
    return true
  }

  /** A command of Redis has failed. What is no refusal may be an absence, or a fault of the command: a probe tells. */
  failed(error: unknown): void {
    if (this.refused(error)) return
    this.#checkedAt = Number.NEGATIVE_INFINITY
    void this.check()
  }

  async #probe(): Promise<RedisState> {
    const late = sleep(probeMs, undefined, { ref: false }).then(() => {
      throw new Error(`no answer within ${probeMs} ms`)
    })
    const written = Promise.allSettled(this.#keys().map((key) => this.#redis.set(key, '1', 'PX', keyMs)))
    const failures = await Promise.race([written, late]).then(
      (results) => results.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : [])),
      (error: unknown) => [error],
    )
    this.#checkedAt = performance.now()
    const refusal = failures.map(refusalOf).find((words) => words !== undefined)
    if (refusal !== undefined) this.#become({ status: 'refusing', reason: refusal })
    else if (failures.length > 0) this.#become({ status: 'away', reason: this.#absence(failures[0]) })
    else this.#become({ status: 'ok' })
    return this.#state
  }

  #become(state: RedisState): void {
    const now = performance.now()
    if (state.status === 'refusing') this.#refusedAt = now
    if (state.status === 'away' && this.#state.status === 'refusing' && now - this.#refusedAt < reconnectingMs) return
    const was = this.#state
    this.#state = state
    if (JSON.stringify(was) === JSON.stringify(state)) return
    for (const listener of this.#listeners) listener(state)
  }

  /** One on each master of a cluster. */
  #keys(): string[] {
    if (!(this.#redis instanceof Cluster)) return [`${this.#prefix}:heartbeat`]
    const { slots } = this.#redis
    const masters = new Set(slots.map((nodes) => nodes?.[0]))
    masters.delete(undefined)
    const keys: string[] = []
    for (let n = 0; masters.size > 0 && n < slots.length; n++)
      if (masters.delete(slots[slotOf(`heartbeat-${n}`)]?.[0])) keys.push(`${this.#prefix}:{heartbeat-${n}}`)
    // Before a cluster is known: fails, and says why.
    return keys.length > 0 ? keys : [`${this.#prefix}:heartbeat`]
  }

  #absence(error: unknown): string {
    const cause = this.#redis.status === 'ready' ? error : (this.#connectionError ?? error)
    return cause instanceof Error ? cause.message || cause.name : String(cause)
  }
}

/** Answers that say how Redis is, and not what was wrong with a command. */
const known = /\b(READONLY|NOREPLICAS|MISCONF|OOM|MASTERDOWN|CLUSTERDOWN|LOADING|BUSY|NOAUTH|NOPERM)\b/

/** What Redis answered, without the script that asked; `undefined` when it did not answer. */
const refusalOf = (error: unknown): string | undefined => {
  const reply = (error as { lastNodeError?: unknown } | null)?.lastNodeError ?? error
  if (!(reply instanceof Error) || reply.name !== 'ReplyError') return undefined
  return reply.message.split(' script: ')[0]?.trim()
}

const advice: readonly (readonly [answer: RegExp, what: string])[] = [
  [/READONLY/, 'It is a replica: let REDIS_URL lead to the primary.'],
  [/NOREPLICAS/, 'Too few replicas follow it (min-replicas-to-write): bring them back.'],
  [/MISCONF/, 'It cannot write its data to disk: see its log, and make room.'],
  [/OOM/, 'It has reached its maxmemory: raise it, or set LAPSE_HORIZON_HOURS.'],
  [/NOPERM|NOAUTH/, 'Its user may not write: see the login in REDIS_URL.'],
]

/** In a sentence: what is wrong, in Redis' own words, and what to do. */
export const describeRedis = (state: Exclude<RedisState, { status: 'ok' }>): string => {
  const reason = state.reason.replace(/\.$/, '')
  if (state.status === 'away') return `Redis cannot be reached: ${reason}. See that it runs, and check REDIS_URL.`
  const [, what] = advice.find(([answer]) => answer.test(reason)) ?? [undefined, 'See its log.']
  return `Redis refuses writes: ${reason}. ${what}`
}
