import { load } from './load.ts'
import type { Peer, Place } from './peer.ts'
import { connect, endRows, inTransaction, issueRows, newId } from './rows.ts'

interface Database {
  executeSql(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
}

interface Boss {
  on(event: 'error', listener: (error: Error) => void): void
  start(): Promise<unknown>
  stop(): Promise<void>
  createQueue(name: string, options: object): Promise<void>
  insert(name: string, jobs: object[], options: { db: Database }): Promise<unknown>
  work(
    name: string,
    options: object,
    handler: (jobs: { data: { id: string } }[], tx: Database) => Promise<void>,
  ): Promise<string>
}

const queue = 'expire'

const start = async ({ databaseUrl }: Place, options: object): Promise<Boss> => {
  const { PgBoss } = await load<{ PgBoss: new (options: object) => Boss }>('pg-boss')
  const boss = new PgBoss({ connectionString: databaseUrl, max: 10, schedule: false, ...options })
  boss.on('error', (error) => console.error(`pg-boss: ${error.message}`))
  await boss.start()
  return boss
}

/**
 * The job is inserted in the transaction of its row, as https://pgboss.io/api/jobs has it. The queue has a table to itself
 * (`partition`). The worker looks as often as it may, every half second, and goes on without a pause while the batches
 * are full; a batch ends in one transaction with the jobs' completion: https://pgboss.io/api/workers.
 */
export const pgBoss: Peer = {
  issuer: async (place) => {
    const boss = await start(place, { supervise: false })
    await boss.createQueue(queue, { partition: true })
    const pool = connect(place)
    const many = (at: readonly Date[]) =>
      inTransaction(pool, async (client) => {
        const ids = at.map(newId)
        await client.query(issueRows(ids, at))
        const db = { executeSql: (text: string, values?: unknown[]) => client.query(text, values) }
        await boss.insert(
          queue,
          at.map((startAfter, i) => ({ data: { id: ids[i] }, startAfter })),
          { db },
        )
      })
    return {
      one: (at) => many([at]),
      many,
      close: async () => {
        await boss.stop()
        await pool.end()
      },
    }
  },
  work: async (place) => {
    const boss = await start(place, {})
    const options = {
      batchSize: 1_000,
      burstWhenBatchFull: true,
      localConcurrency: 4,
      pollingIntervalSeconds: 0.5,
      transactional: true,
    }
    await boss.work(queue, options, async (jobs, tx) => {
      const { text, values } = endRows(jobs.map(({ data }) => data.id))
      await tx.executeSql(text, values)
    })
    return () => boss.stop()
  },
}
