import type { JobName } from './jobs.ts'
import type { Queues } from './queues.ts'

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

const key = (queues: Queues) => `${queues.prefix}:look-ahead`

/** `undefined` when Redis has forgotten it, and with it, maybe, timers. Throws when Redis is away. */
export const readWatermark = async (queues: Queues): Promise<Watermark | undefined> => {
  const text = await queues.redis.get(key(queues))
  if (text === null) return undefined
  const { through, at } = JSON.parse(text) as { through: string; at: string }
  return { through: new Date(through), at: new Date(at) }
}

/** Only while Redis remembers the one before: a flush in the meantime must not go unnoticed. */
export const moveWatermark = async (queues: Queues, watermark: Watermark): Promise<void> => {
  await queues.redis.set(key(queues), JSON.stringify(watermark), 'XX')
}

/** Begins anew: nothing has been looked at. Done before anything is put back, so that a flush from then on is noticed. */
export const resetWatermark = async (queues: Queues): Promise<void> => {
  await queues.redis.set(key(queues), JSON.stringify({ through: new Date(0), at: new Date(0) }))
}
