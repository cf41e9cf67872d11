import { setImmediate as turn } from 'node:timers/promises'
import type { Timer } from '@lapse/domain'
import type { Queue } from 'bullmq'
import { isReadable, readTimerId, timerId, type WakeUp } from './jobs.ts'
import type { Queues } from './queues.ts'
import { shardOf } from './shards.ts'
import { jsonOf } from './stored.ts'
import { removeWatermark } from './upkeep.ts'

/** As many at a time, so that no burst keeps a producer's command waiting past its time. */
const chunk = 1_000

/** Redis answers nobody else during one of them, and works at it while the next is written. */
const pipeline = 125

/** As many as may wait for others; a bulk goes by itself, for nobody shall wait for it. */
const few = 50

export interface TimerOptions {
  /** How far ahead timers are enqueued, in milliseconds; unlimited without. The look-ahead brings the others. */
  horizonMs?: number | undefined
}

/** A timer as it is in Redis: `delayed` until then, unless it is being worked on. */
export interface StandingTimer {
  readonly state: string
  readonly firesAt: Date
}

/** The delayed jobs. Both verbs fail fast when Redis is away, and may be repeated at any time. */
export class Timers {
  readonly #queues: Queues
  readonly #horizonMs: number
  readonly #gathered = new Map<Queue, { readonly timers: Timer[]; readonly sent: Promise<void> }>()

  constructor(queues: Queues, { horizonMs = Number.POSITIVE_INFINITY }: TimerOptions = {}) {
    this.#queues = queues
    this.#horizonMs = horizonMs
  }

  /**
   * Enqueues a wake-up at exactly `dueAt`, wherever this process's clock stands. What comes in one turn of the event loop
   * goes out in one pipeline: a write for each would take a third of what issuing costs.
   */
  async arm(timers: readonly Timer[]): Promise<void> {
    const near = timers.filter((timer) => timer.dueAt - Date.now() <= this.#horizonMs)
    if (near.length === 0) return
    // It tells workers to look here, and need not be waited for.
    this.#queues.divisions.claim().catch((error) => this.#queues.report(error, 'divisions'))
    const send = near.length < few ? this.#sendTogether : this.#send
    // One shard that cannot be reached does not keep the others from being told.
    const groups = byShard(this.#queues.shards(), near)
    const sent = await Promise.allSettled([...groups].map(([shard, own]) => send.call(this, shard, own)))
    const failed = sent.find((one) => one.status === 'rejected')
    if (failed) throw failed.reason
  }

  /**
   * Removes those that are still delayed, one script after the other: the end of a large organization takes back some
   * hundred thousand. What is being handed out already finds that its resource has ended.
   */
  async disarm(timers: readonly Timer[]): Promise<void> {
    const groups = [...byShard(this.#queues.shards(), timers)]
    const removed = await Promise.allSettled(groups.map(([shard, own]) => this.#remove(shard, own, timerId)))
    const failed = removed.find((one) => one.status === 'rejected')
    if (failed) throw failed.reason
  }

  /**
   * Takes away what is due and would be looked at for nothing: after a burst BullMQ would hand out and put away each job by
   * itself, which costs more than the ends themselves. What somebody has in hand is left alone, and what is missed here is
   * answered like any other.
   */
  async dismiss(isOver: (id: string) => boolean): Promise<void> {
    for (const count of await this.#queues.divisions.all())
      await Promise.all(this.#queues.shards(count).map((shard) => this.#dismissFrom(shard, isOver)))
  }

  /** Those that do not stand in Redis, in whatever state, and however many shards there are. */
  async missing(timers: readonly Timer[]): Promise<Timer[]> {
    let missing = timers
    for (const count of await this.#queues.divisions.all()) missing = await this.#absent(missing, count)
    return [...missing]
  }

  /** The same timers, with how each of them stands in Redis. */
  async standing<T extends Timer>(timers: readonly T[]): Promise<(T & { standing: StandingTimer | undefined })[]> {
    const counts = await this.#queues.divisions.all()
    return Promise.all(timers.map(async (timer) => ({ ...timer, standing: await this.#find(timer, counts) })))
  }

  /**
   * Moves what still waits in shards of a number that nobody uses any more to where it belongs now, and forgets those that
   * are empty. A timer stands in both places for a moment, and may come twice, which the row does not mind.
   */
  async moveAbandoned(): Promise<number> {
    const { divisions } = this.#queues
    let moved = 0
    for (const count of await divisions.abandoned()) {
      const shards = this.#queues.shards(count)
      for (const shard of shards) moved += await this.#empty(shard)
      const left = await Promise.all(shards.map((shard) => shard.getJobCountByTypes(...anyState)))
      if (left.some((jobs) => jobs > 0)) continue
      await removeWatermark(this.#queues, count)
      await Promise.all(shards.map((shard) => shard.trimEvents(0)))
      await divisions.forget(count)
    }
    return moved
  }

  async #empty(shard: Queue): Promise<number> {
    for (let moved = 0; ; ) {
      const jobs = await this.#queues.redis.zrange(shard.toKey('delayed'), '0', String(chunk - 1), 'WITHSCORES')
      if (jobs.length === 0) return moved
      await this.arm(await this.#timersOf(shard, jobs))
      // What has begun to run in the meantime stands there no more, and ends by itself.
      const ids = jobs.filter((_, i) => i % 2 === 0)
      await this.#remove(shard, ids, String)
      moved += ids.length
    }
  }

  /** What cannot be read is left out: the rows know which timers there should be. */
  async #timersOf(shard: Queue, jobs: readonly string[]): Promise<Timer[]> {
    const asked = this.#queues.redis.pipeline()
    for (let i = 0; i < jobs.length; i += 2) asked.hget(shard.toKey(jobs[i] ?? ''), 'data')
    const answers = (await asked.exec()) ?? []
    return answers.flatMap(([error, text], i) => {
      const named = readTimerId(jobs[2 * i] ?? '')
      const data = error ? undefined : jsonOf(String(text))
      const dueAt = Math.floor(Number(jobs[2 * i + 1]) / scorePerMs)
      return named && isReadable('timers', data) && dueAt > 0 ? [{ ...named, kind: (data as WakeUp).kind, dueAt }] : []
    })
  }

  async #remove<T>(shard: Queue, all: readonly T[], idOf: (one: T) => string): Promise<void> {
    for (const part of inParts(all, pipeline)) {
      const jobs = part.map(idOf)
      const keys = jobs.map((job) => shard.toKey(job))
      await this.#queues.redis.eval(dismissal, 1 + jobs.length, shard.toKey('delayed'), ...keys, 'set', ...jobs)
    }
  }

  async #dismissFrom(shard: Queue, isOver: (id: string) => boolean): Promise<void> {
    const { redis } = this.#queues
    const [wait, delayed] = [shard.toKey('wait'), shard.toKey('delayed')]
    const take = async (from: string, jobs: readonly string[]): Promise<boolean> => {
      const over = jobs.filter((job) => isOver(job.slice(0, uuidLength)))
      if (over.length === 0) return false
      const keys = over.map((job) => shard.toKey(job))
      await redis.eval(dismissal, 1 + over.length, from, ...keys, from === wait ? 'list' : 'set', ...over)
      // Where most of it stays the rest is not worth the way.
      return over.length > chunk / 2
    }
    // Workers take from the right, and bring a thousand over from what is delayed each time they look.
    while (await take(wait, await redis.lrange(wait, -chunk, -1))) {}
    const due = () => redis.zrangebyscore(delayed, 0, (Date.now() + 1) * scorePerMs, 'LIMIT', 0, chunk)
    while (await take(delayed, await due())) {}
  }

  async #absent(timers: readonly Timer[], count: number): Promise<Timer[]> {
    const { redis } = this.#queues
    const absent: Timer[] = []
    for (const [shard, own] of byShard(this.#queues.shards(count), timers))
      for (const part of inParts(own, chunk)) {
        const asked = redis.pipeline()
        for (const timer of part) asked.exists(shard.toKey(timerId(timer)))
        const answers = (await asked.exec()) ?? []
        const failed = answers.find(([error]) => error)?.[0]
        if (failed) throw failed
        absent.push(...part.filter((_, i) => answers[i]?.[1] !== 1))
      }
    return absent
  }

  async #find(timer: Timer, counts: readonly number[]): Promise<StandingTimer | undefined> {
    for (const count of counts) {
      const job = await shardFor(this.#queues.shards(count), timer.id).getJob(timerId(timer))
      if (job) return { state: await job.getState(), firesAt: new Date(job.timestamp + job.delay) }
    }
    return undefined
  }

  #sendTogether(shard: Queue, timers: readonly Timer[]): Promise<void> {
    const gathered = this.#gathered.get(shard)
    if (gathered) {
      gathered.timers.push(...timers)
      return gathered.sent
    }
    const together = [...timers]
    const sent = turn().then(() => {
      this.#gathered.delete(shard)
      return this.#send(shard, together)
    })
    this.#gathered.set(shard, { timers: together, sent })
    return sent
  }

  async #send(shard: Queue, timers: readonly Timer[]): Promise<void> {
    for (const some of inParts(timers, chunk)) {
      // Building a pipeline takes milliseconds: each in a turn of its own, so that other requests come between.
      let next: Promise<void> = Promise.resolve()
      const sent = inParts(some, pipeline).map((part) => {
        const mine = next
        next = next.then(() => turn())
        return mine.then(() => shard.addBulk(part.map(jobOf)))
      })
      await Promise.all(sent)
    }
  }
}

/** A job's id begins with the id of its resource. */
const uuidLength = 36

/** BullMQ orders what is delayed by its millisecond, and within it by when it was added. */
export const scorePerMs = 0x1000

/**
 * Only what is still there: a worker may have taken it a moment ago. In a list it is looked for where it stood, at the end,
 * for the whole of a long one would take its time.
 */
const dismissal = `
local inList, there = ARGV[1] == 'list', {}
if inList then for _, job in ipairs(redis.call('LRANGE', KEYS[1], -${chunk}, -1)) do there[job] = true end end
for i = 2, #KEYS do
  local job = ARGV[i]
  local found = 0
  if not inList then found = redis.call('ZREM', KEYS[1], job)
  elseif there[job] then found = redis.call('LREM', KEYS[1], -1, job) end
  if found == 1 then redis.call('DEL', KEYS[i]) end
end`

const anyState = ['delayed', 'waiting', 'active', 'prioritized'] as const

const shardFor = (shards: readonly Queue[], id: string): Queue => shards[shardOf(id, shards.length)] as Queue

const byShard = (shards: readonly Queue[], timers: readonly Timer[]): Map<Queue, Timer[]> => {
  const groups = new Map<Queue, Timer[]>()
  for (const timer of timers) {
    const shard = shardFor(shards, timer.id)
    const group = groups.get(shard)
    if (group) group.push(timer)
    else groups.set(shard, [timer])
  }
  return groups
}

const inParts = <T>(all: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size))

const jobOf = (timer: Timer) => {
  const { id, kind, version, offset, dueAt } = timer
  const data: WakeUp = { id, kind, version, ...(offset !== undefined && { offset }) }
  // BullMQ fires at timestamp + delay: from one reading of the clock that is dueAt, whatever the clock said.
  const timestamp = Date.now()
  return { name: timer.step, data, opts: { jobId: timerId(timer), timestamp, delay: Math.max(0, dueAt - timestamp) } }
}
