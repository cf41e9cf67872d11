import { DelayedError, type Job, type Worker } from 'bullmq'
import { isCluster } from './address.ts'
import { workerConnection } from './connection.ts'
import { isReadable, type JobName, type Jobs, type QueueName } from './jobs.ts'
import { defaultPrefix, type QueueOptions } from './queues.ts'
import { ReadableWorker } from './readable-job.ts'
import { RetryDelay } from './retry-delay.ts'
import { type Place, placeOf } from './shards.ts'

/** All that a processor can answer. */
export type Outcome =
  | { readonly do: 'done' }
  | { readonly do: 'retry'; readonly inMs: number }
  | { readonly do: 'drop'; readonly reason: string }

export const done: Outcome = { do: 'done' }
/** The same job again, that many milliseconds from now. */
export const retryIn = (ms: number): Outcome => ({ do: 'retry', inMs: ms })
/** There is nothing to do, and why. */
export const drop = (reason: string): Outcome => ({ do: 'drop', reason })

/** One function for each job of a queue. */
export type Processor<Q extends QueueName> = { [N in JobName<Q>]: (data: Jobs[Q][N]) => Promise<Outcome> }

export interface RunnerOptions extends QueueOptions {
  concurrency: number
  /** Where this queue is in Redis, when it is one of the timers' shards. */
  place?: Place
  /** Called for each job that was dropped, and for each that threw. */
  onDrop?: (queue: QueueName, job: string, reason: string) => void
  onError: (queue: QueueName, error: unknown) => void
}

export interface Runner {
  readonly worker: Worker
  /** Takes no new job and waits for those under way, until the deadline. */
  close(deadlineMs: number): Promise<void>
}

/**
 * Runs one queue's processor and translates its answers for BullMQ.
 *
 * No job ever fails: the row, or the ledger, is the truth and decides how often something is tried. A processor that
 * throws (PostgreSQL is away, say) is called again later, and finished jobs are removed at once, so that their ids can be
 * used again.
 */
export const startRunner = <Q extends QueueName>(queue: Q, processor: Processor<Q>, options: RunnerOptions): Runner => {
  const { redisUrl, prefix = defaultPrefix } = options
  const place = options.place ?? placeOf(queue, prefix, isCluster(redisUrl))
  const connection = workerConnection(redisUrl)
  const run = async (job: Job): Promise<Outcome> => {
    const process =
      Object.hasOwn(processor, job.name) && (processor[job.name as JobName<Q>] as (data: unknown) => Promise<Outcome>)
    if (!process) return drop('no processor of that name')
    if (!isReadable(queue, job.data)) return drop('malformed data')
    try {
      return await process(job.data)
    } catch (error) {
      options.onError(queue, error)
      return retryIn(Math.min(30_000, 1_000 * 2 ** Math.min(job.attemptsStarted, 5)))
    }
  }
  const worker = new ReadableWorker(
    place.name,
    async (job, token) => {
      const outcome = await run(job)
      if (outcome.do === 'retry') {
        const at = Date.now() + Math.max(1, Math.ceil(outcome.inMs))
        // Refused, it is left as it is, and comes back when its lock has run out: thrown, the error would fail the job.
        await job.moveToDelayed(at, token).catch((error) => options.onError(queue, error))
        throw new DelayedError()
      }
      if (outcome.do === 'drop') options.onDrop?.(queue, job.name, outcome.reason)
    },
    {
      connection,
      prefix: place.prefix,
      concurrency: options.concurrency,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
      // A worker that is killed hard gives its jobs back after 10 s instead of 60.
      lockDuration: 10_000,
      stalledInterval: 5_000,
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      // After an error of the connection's; without it a shard would stand still for 15 s.
      runRetryDelay: 500,
    },
  )
  const stopPausing = pauseOnErrors(worker, (error) => options.onError(queue, error))
  return {
    worker,
    close: async (deadlineMs) => {
      stopPausing()
      // BullMQ waits without limit, above all for a Redis that is away. What is not done by then is given back when its
      // lock runs out.
      const patience = connection.status === 'ready' ? deadlineMs : Math.min(deadlineMs, 1_000)
      const deadline = new Promise((resolve) => setTimeout(resolve, patience).unref())
      await Promise.race([worker.close().catch((error) => options.onError(queue, error)), deadline])
      connection.disconnect()
    },
  }
}

/** So soon it goes on after a first error. */
const initialPauseMs = 100

/** So soon it is back when Redis accepts writes again. Half an error a second is little, for 256 shards too. */
const maxPauseMs = 2_000

/** Longer than it waits for a job without a word: an error after that begins anew. */
const calmMs = 10_000

/**
 * BullMQ asks again at once when Redis refuses a command, thousands of times a second: after each error the worker pauses,
 * twice as long each time. Answers how to stop that.
 */
const pauseOnErrors = (worker: Worker, onError: (error: Error) => void): (() => void) => {
  const delay = new RetryDelay({ initialMs: initialPauseMs, maxMs: maxPauseMs })
  let pausing: NodeJS.Timeout | undefined
  let resumedAt = Number.NEGATIVE_INFINITY
  let stopped = false
  worker.on('completed', () => delay.reset())
  worker.on('error', (error) => {
    onError(error)
    if (pausing || stopped) return
    if (performance.now() - resumedAt > calmMs) delay.reset()
    worker.pause(true).catch(onError)
    pausing = setTimeout(() => {
      pausing = undefined
      resumedAt = performance.now()
      worker.resume().catch(onError)
    }, delay.next())
  })
  return () => {
    stopped = true
    clearTimeout(pausing)
  }
}
