import type { Queue } from 'bullmq'
import { isReadable, type WakeUp } from './jobs.ts'
import { Lease } from './lease.ts'
import type { Queues } from './queues.ts'
import { RetryDelay } from './retry-delay.ts'
import { jsonOf } from './stored.ts'
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

/** Jobs of one millisecond in one shard that are read for their kinds. With more than that every kind rings: one query each. */
const jobsRead = 200

export interface AlarmOptions {
  /** By how much this process's clock is ahead of the database's. */
  readonly skewMs: () => number
  readonly ring: (kind: string) => void
  /** For all kinds: more timers are due in one millisecond than are read. Their jobs come all the same. */
  readonly ringAll?: () => void
}

/** The first millisecond in which timers are due, and of which kinds they are. */
interface Due {
  readonly firesAt: number
  readonly kinds: ReadonlySet<string> | 'all'
}

/**
 * Rings at the instant of each timer. Redis wakes whoever waits for one at its ticks, a hundred a second (`hz`), which makes
 * each up to ten milliseconds late; a timer of a process's own is not. One of all workers rings. Nothing hangs on it: the
 * job comes all the same, and finds that somebody has looked.
 */
export class Alarm {
  readonly #queues: Queues
  readonly #options: AlarmOptions
  readonly #lease: Lease
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> = Promise.resolve()
  #stopped = false
  readonly #retryDelay = new RetryDelay({ initialMs: beatMs, maxMs: maxRetryMs })
  /** By the process's monotonic clock. */
  #mineUntil = Number.NEGATIVE_INFINITY
  /** The last millisecond that it has rung for. */
  #rangFor = 0

  constructor(queues: Queues, options: AlarmOptions) {
    this.#queues = queues
    this.#options = options
    this.#lease = new Lease(queues.redis, `${queues.prefix}:alarm`, leaseMs)
    this.#lookIn(0)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#looking
    // Without Redis it runs out by itself.
    await this.#lease.release().catch((error) => this.#queues.report(error, 'alarm'))
  }

  #lookIn(ms: number, due?: Due): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => {
      // While Redis is away or refuses there is nothing to ring for: the net sweeps.
      this.#looking = this.#turn(due).then(
        () => this.#retryDelay.reset(),
        (error) => {
          this.#queues.report(error, 'alarm')
          this.#lookIn(this.#retryDelay.next())
        },
      )
    }, ms)
  }

  async #turn(due: Due | undefined): Promise<void> {
    if (due) this.#ring(due)
    const next = (await this.#isMine()) ? await this.#next() : undefined
    // A timer of Node's may come a moment early.
    const ms = next ? Math.max(leastMs, next.firesAt - this.#now() + 1) : beatMs
    if (ms > beatMs) this.#lookIn(beatMs)
    else this.#lookIn(ms, next)
  }

  #ring({ firesAt, kinds }: Due): void {
    this.#rangFor = firesAt
    if (kinds === 'all') this.#options.ringAll?.()
    else for (const kind of kinds) this.#options.ring(kind)
  }

  /** By the database's clock. */
  #now(): number {
    return Date.now() - this.#options.skewMs()
  }

  async #isMine(): Promise<boolean> {
    const now = performance.now()
    if (now < this.#mineUntil - leaseMs / 2) return true
    const taken = await this.#lease.take()
    this.#mineUntil = taken ? now + leaseMs : Number.NEGATIVE_INFINITY
    return taken
  }

  /** The first that it has not rung for, of all shards. A shard that cannot be read does not silence the others. */
  async #next(): Promise<Due | undefined> {
    const now = this.#now()
    // A clock that was ahead, and comes right, has rung for what is not due yet.
    const from = Math.max(Math.min(this.#rangFor, now) + 1, now - pastMs)
    const firsts = await this.#fromEach(this.#queues.shards(), async (shard) => {
      const firesAt = await this.#firstIn(shard, from)
      return firesAt === undefined ? [] : [{ shard, firesAt }]
    })
    if (firsts.length === 0) return undefined
    const firesAt = Math.min(...firsts.map((first) => first.firesAt))
    const shards = firsts.filter((first) => first.firesAt === firesAt).map(({ shard }) => shard)
    const kinds = await this.#fromEach(shards, (shard) => this.#kindsAt(shard, firesAt))
    return { firesAt, kinds: kinds.includes(undefined) ? 'all' : new Set(kinds as string[]) }
  }

  async #firstIn(shard: Queue, from: number): Promise<number | undefined> {
    const [, score] = await this.#queues.redis.zrangebyscore(
      ...([shard.toKey('delayed'), from * scorePerMs, '+inf', 'WITHSCORES', 'LIMIT', 0, 1] as const),
    )
    return score === undefined ? undefined : Math.floor(Number(score) / scorePerMs)
  }

  /** `undefined`: there are more than are read. What is no wake-up has no kind; the runner drops it when it is due. */
  async #kindsAt(shard: Queue, firesAt: number): Promise<(string | undefined)[]> {
    const { redis } = this.#queues
    const [first, last] = [firesAt * scorePerMs, (firesAt + 1) * scorePerMs - 1]
    const jobs = await redis.zrangebyscore(shard.toKey('delayed'), first, last, 'LIMIT', 0, jobsRead)
    if (jobs.length === jobsRead) return [undefined]
    const asked = redis.pipeline()
    for (const job of jobs) asked.hget(shard.toKey(job), 'data')
    const answers = (await asked.exec()) ?? []
    return answers.flatMap(([error, text]) => {
      const data = error ? undefined : jsonOf(String(text))
      return isReadable('timers', data) ? [(data as WakeUp).kind] : []
    })
  }

  async #fromEach<T>(shards: readonly Queue[], read: (shard: Queue) => Promise<T[]>): Promise<T[]> {
    const answers = await Promise.allSettled(shards.map(read))
    const failed = answers.filter((answer) => answer.status === 'rejected')
    if (failed.length === shards.length && failed[0]) throw failed[0].reason
    for (const { reason } of failed) this.#queues.report(reason, 'alarm')
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  }
}
