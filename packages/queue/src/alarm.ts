import { randomUUID } from 'node:crypto'
import { isReadable } from './jobs.ts'
import type { Queues } from './queues.ts'
import { RetryDelay } from './retry-delay.ts'
import { scorePerMs } from './timers.ts'

/** So often somebody looks for what has come in, and whoever rings says that they still do. */
const beatMs = 1_000

/** While Redis refuses, it is asked less and less often, and again so soon after that. */
const maxRetryMs = 4_000

/** Whoever rings and dies is followed by another after this. */
const leaseMs = 3_000

/** Where many are due one after the other, somebody looks all the time: more often than this is no use. */
const leastMs = 2

/** What is so much in the past is the queue's affair. */
const pastMs = 100

/** Takes the place of whoever rings when it is free, or keeps it. */
const takePlace = `
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`

const leavePlace = `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`

export interface AlarmOptions {
  /** By how much this process's clock is ahead of the database's. */
  readonly skewMs: () => number
  readonly ring: (kind: string) => void
  readonly onError?: (error: unknown) => void
}

/**
 * Rings at the instant of each timer. Redis wakes whoever waits for one at its ticks, a hundred a second (`hz`), which makes
 * each up to ten milliseconds late; a timer of a process's own is not. One of all workers rings. Nothing hangs on it: the
 * job comes all the same, and finds that somebody has looked.
 */
export class Alarm {
  readonly #queues: Queues
  readonly #options: AlarmOptions
  readonly #name = randomUUID()
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> = Promise.resolve()
  #stopped = false
  readonly #retryDelay = new RetryDelay({ initialMs: beatMs, maxMs: maxRetryMs })
  /** By the process's monotonic clock. */
  #mineUntil = Number.NEGATIVE_INFINITY
  /** Of the last timer that it has rung for. */
  #rangFor = 0

  constructor(queues: Queues, options: AlarmOptions) {
    this.#queues = queues
    this.#options = options
    this.#lookIn(0)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#looking
    const { redis, prefix } = this.#queues
    await redis.eval(leavePlace, 1, `${prefix}:alarm`, this.#name).catch(() => {})
  }

  #lookIn(ms: number, before: () => void = () => {}): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => {
      before()
      // While Redis is away or refuses there is nothing to ring for: the net sweeps.
      this.#looking = this.#look().then(
        () => this.#retryDelay.reset(),
        (error) => {
          this.#options.onError?.(error)
          this.#lookIn(this.#retryDelay.next())
        },
      )
    }, ms)
  }

  async #look(): Promise<void> {
    const next = (await this.#isMine()) ? await this.#next() : undefined
    // A timer of Node's may come a moment early.
    const ms = next ? Math.max(leastMs, next.firesAt - this.#now() + 1) : beatMs
    if (!next || ms > beatMs) return this.#lookIn(beatMs)
    this.#lookIn(ms, () => {
      this.#rangFor = next.firesAt
      this.#options.ring(next.kind)
    })
  }

  /** By the database's clock. */
  #now(): number {
    return Date.now() - this.#options.skewMs()
  }

  async #isMine(): Promise<boolean> {
    const now = performance.now()
    if (now < this.#mineUntil - leaseMs / 2) return true
    const { redis, prefix } = this.#queues
    const taken = await redis.eval(takePlace, 1, `${prefix}:alarm`, this.#name, leaseMs)
    this.#mineUntil = taken === 1 ? now + leaseMs : Number.NEGATIVE_INFINITY
    return taken === 1
  }

  /** The first that it has not rung for, of all shards. */
  async #next(): Promise<{ readonly firesAt: number; readonly kind: string } | undefined> {
    const { redis } = this.#queues
    const now = this.#now()
    // A clock that was ahead, and comes right, has rung for what is not due yet.
    const from = Math.max(Math.min(this.#rangFor, now) + 1, now - pastMs) * scorePerMs
    const firsts = await Promise.all(
      this.#queues.shards().map(async (shard) => {
        const [job, score] = await redis.zrangebyscore(
          ...([shard.toKey('delayed'), from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1] as const),
        )
        return job === undefined ? [] : [{ key: shard.toKey(job), firesAt: Math.floor(Number(score) / scorePerMs) }]
      }),
    )
    const [first] = firsts.flat().sort((a, b) => a.firesAt - b.firesAt)
    const data = first && JSON.parse((await redis.hget(first.key, 'data')) ?? 'null')
    return first && isReadable('timers', data) ? { firesAt: first.firesAt, kind: data.kind } : undefined
  }
}
