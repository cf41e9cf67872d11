import { type Job, Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import type { Peer, Place } from './peer.ts'
import { connect, endRow, issueRows, newId } from './rows.ts'

const redisOf = ({ redisUrl }: Place) => new Redis(redisUrl, { maxRetriesPerRequest: null })

/**
 * What most would write: the row, then a delayed job whose handler ends it. Between the two a crash loses the job.
 * It drains fastest at the same concurrency as with an empty handler: https://docs.bullmq.io/guide/workers/concurrency.
 */
export const bullmq: Peer = {
  issuer: async (place) => {
    const pool = connect(place)
    const connection = redisOf(place)
    const queue = new Queue('naive', { connection, prefix: place.prefix })
    const jobOf = (id: string, at: Date) => ({
      name: 'expire',
      data: { id },
      opts: { jobId: `${id}-expire`, delay: at.getTime() - Date.now(), removeOnComplete: true },
    })
    return {
      one: async (at) => {
        const { name, data, opts } = jobOf(newId(), at)
        await pool.query(issueRows([data.id], [at]))
        await queue.add(name, data, opts)
      },
      many: async (at) => {
        const ids = at.map(newId)
        await pool.query(issueRows(ids, at))
        await queue.addBulk(at.map((date, i) => jobOf(ids[i] ?? '', date)))
      },
      close: async () => {
        await queue.close()
        connection.disconnect()
        await pool.end()
      },
    }
  },
  work: async (place) => {
    const pool = connect(place)
    const connection = redisOf(place)
    const expire = async ({ data }: Job<{ id: string }>) => void (await pool.query(endRow(data.id)))
    const worker = new Worker('naive', expire, { connection, prefix: place.prefix, concurrency: 100 })
    await worker.waitUntilReady()
    return async () => {
      await worker.close()
      connection.disconnect()
      await pool.end()
    }
  },
}
