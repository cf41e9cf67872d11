import type { JobName } from './jobs.ts'
import type { Queues } from './queues.ts'
import { readStored } from './stored.ts'

export type UpkeepTask = JobName<'upkeep'>

/** How often each task runs, over all workers together, in milliseconds. */
export type UpkeepIntervals = Readonly<Record<UpkeepTask, number>>

/** Job Schedulers die with Redis' data: this is called at every boot, and whenever they are found to be gone. */
export const scheduleUpkeep = async (queues: Queues, intervals: UpkeepIntervals): Promise<void> => {
  await Promise.all(
    (Object.entries(intervals) as [UpkeepTask, number][]).map(([task, every]) =>
      queues.upkeep.upsertJobScheduler(task, { every }, { name: task, data: {} }),
    ),
  )
}

/** How far the look-ahead has armed, and when it last looked: instants of the database's clock. */
export interface Watermark {
  readonly through: Date
  readonly at: Date
}

/** One beside each shard of the timers, for of a cluster's masters each can forget for itself. */
const keys = (queues: Queues, shards?: number) => queues.shards(shards).map(({ opts }) => `${opts.prefix}:look-ahead`)

/**
 * `undefined` when Redis has forgotten it, of one shard even, and with it, maybe, timers: so too for a number of shards
 * that has not been used yet. What cannot be read counts as forgotten. Throws when Redis is away, or one of its masters.
 */
export const readWatermark = async (queues: Queues): Promise<Watermark | undefined> => {
  const stored = await Promise.all(keys(queues).map((key) => readStored(queues, key, markOf)))
  const marks = stored.filter((mark) => mark !== undefined)
  if (marks.length < stored.length) return undefined
  const least = (name: keyof Watermark) => new Date(Math.min(...marks.map((mark) => mark[name].getTime())))
  return { through: least('through'), at: least('at') }
}

const markOf = ({ through, at }: Partial<Record<keyof Watermark, unknown>>): Watermark | undefined => {
  const mark = { through: new Date(String(through)), at: new Date(String(at)) }
  return Number.isNaN(mark.through.getTime() + mark.at.getTime()) ? undefined : mark
}

/** Only while Redis remembers the one before: a flush in the meantime must not go unnoticed. */
export const moveWatermark = async (queues: Queues, watermark: Watermark): Promise<void> => {
  await Promise.all(keys(queues).map((key) => queues.redis.set(key, JSON.stringify(watermark), 'XX')))
}

/** Begins anew: nothing has been looked at. Done before anything is put back, so that a flush from then on is noticed. */
export const resetWatermark = async (queues: Queues): Promise<void> => {
  const nothing = JSON.stringify({ through: new Date(0), at: new Date(0) })
  await Promise.all(keys(queues).map((key) => queues.redis.set(key, nothing)))
}

/** Of a number of shards that is not used any more: whoever comes back to it begins anew. */
export const removeWatermark = async (queues: Queues, shards: number): Promise<void> => {
  await Promise.all(keys(queues, shards).map((key) => queues.redis.del(key)))
}
