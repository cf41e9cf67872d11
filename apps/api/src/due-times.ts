import type { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import type { Queues } from 'lapse'

interface TimerJob {
  id?: string | undefined
  name: string
  timestamp: number
  delay?: number
  opts: { delay?: number }
  data: { kind?: unknown }
}

/**
 * Lets the board show a timer's kind and when it is really due.
 *
 * The board adds up a job's `timestamp` and `delay`; for one that came early and was delayed again these do not tell
 * its time any more. The score in the set of delayed jobs does.
 */
export const showDueTimes = (
  adapter: BullMQAdapter,
  timers: Queues['timers'],
  redis: Queues['redis'],
): BullMQAdapter => {
  const delayed = timers.toKey('delayed')
  const corrected = async <J extends { id?: string | undefined; timestamp: number; delay: number }>(
    jobs: J[],
  ): Promise<J[]> => {
    const known = jobs.filter((job) => job?.id !== undefined)
    if (known.length === 0) return jobs
    const scores = await redis.zmscore(delayed, ...known.map((job) => job.id ?? ''))
    for (const [i, job] of known.entries()) {
      const score = scores[i]
      if (score != null) job.delay = Math.floor(Number(score) / 0x1000) - job.timestamp
    }
    return jobs
  }
  const getJobs = adapter.getJobs.bind(adapter)
  const getJob = adapter.getJob.bind(adapter)
  adapter.getJobs = async (...range) => corrected(await getJobs(...range))
  adapter.getJob = async (id) => {
    const job = await getJob(id)
    return job && (await corrected([job]))[0]
  }
  adapter.setFormatter('name', (job: TimerJob) => {
    const due = new Date(job.timestamp + (job.delay || job.opts.delay || 0))
    return `${job.name} · ${String(job.data?.kind)} · due ${due.toISOString()}`
  })
  return adapter
}
