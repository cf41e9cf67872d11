import { type Job, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import pg from 'pg'

export interface YardstickOptions {
  readonly redisUrl: string
  readonly prefix: string
  /** Jobs to do. */
  readonly count: number
  /** With it, one transaction a job; without, an empty handler. */
  readonly databaseUrl?: string
}

export interface YardstickReport {
  /** When the last job was completed. */
  readonly lastAt: number
  /** From the instant each job was due to the moment its handler ran, in milliseconds. */
  readonly lateness: number[]
}

const { redisUrl, prefix, count, databaseUrl } = JSON.parse(process.argv[2] ?? '') as YardstickOptions
const pool = databaseUrl && new pg.Pool({ connectionString: databaseUrl, max: 10, options: '-c timezone=UTC' })
const lateness: number[] = []
let completed = 0

const expire = async (database: pg.Pool, id: string): Promise<void> => {
  const client = await database.connect()
  const run = (name: string, text: string) => client.query({ name, text, values: [id] })
  try {
    await client.query('BEGIN')
    await run('lock', `SELECT status, ends_at FROM resource WHERE id = $1 FOR UPDATE`)
    await run(
      'end',
      `UPDATE resource SET status = 'expired', ended_at = ends_at, next_step = 'purge', changed_at = date_trunc('milliseconds', clock_timestamp()),
         due_at = clock_timestamp() + interval '30 days' WHERE id = $1 AND status = 'active' AND ends_at <= clock_timestamp()`,
    )
    await run(
      'log',
      `INSERT INTO event (resource_id, kind, type, version, at, from_status, to_status, trigger, lateness_ms)
       SELECT id, kind, 'expired', version, date_trunc('milliseconds', clock_timestamp()), 'active', 'expired', 'job', 0 FROM resource WHERE id = $1`,
    )
    await client.query('COMMIT')
  } finally {
    client.release()
  }
}

const worker = new Worker(
  'yardstick',
  async (job: Job) => {
    lateness.push(Date.now() - job.timestamp - (job.opts.delay ?? 0))
    if (pool) await expire(pool, job.data.id)
  },
  {
    connection: new Redis(redisUrl, { maxRetriesPerRequest: null }),
    prefix,
    // Of 20, 100 and 500 the one at which it drains fastest.
    concurrency: 100,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  },
)
worker.on('completed', () => {
  completed += 1
  if (completed === count) process.send?.({ lastAt: Date.now(), lateness } satisfies YardstickReport)
})
await worker.waitUntilReady()
process.send?.('ready')
