import { load } from './load.ts'
import type { Peer } from './peer.ts'
import { connect, endRow, issueRows, newId } from './rows.ts'

interface Graphile {
  makeWorkerUtils(options: object): Promise<{ migrate(): Promise<void>; release(): Promise<void> }>
  run(options: object): Promise<{ stop(): Promise<void> }>
  Logger: new (factory: () => () => void) => unknown
}

/** Counted, so that the jobs are not sent back. */
const addJobs = `
  SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
    SELECT ROW('expire', json_build_object('id', id), NULL, to_timestamp(ms / 1000), NULL, NULL, NULL, NULL)
      ::graphile_worker.job_spec
    FROM unnest($1::uuid[], $2::float8[]) AS t (id, ms)))`

/**
 * The job is added by the row's own statement, through `add_jobs`: https://worker.graphile.org/docs/sql-add-job. The
 * worker's settings are those of https://worker.graphile.org/docs/performance. Jobs of the future are found by looking,
 * every two seconds unless told otherwise; here ten times a second.
 */
export const graphileWorker: Peer = {
  issuer: async (place) => {
    const { makeWorkerUtils, Logger } = await load<Graphile>('graphile-worker')
    const utils = await makeWorkerUtils({ connectionString: place.databaseUrl, logger: new Logger(() => () => {}) })
    await utils.migrate()
    await utils.release()
    const pool = connect(place)
    const many = (at: readonly Date[]) => pool.query(issueRows(at.map(newId), at, addJobs))
    return { one: (at) => many([at]), many, close: () => pool.end() }
  },
  work: async (place) => {
    const { run, Logger } = await load<Graphile>('graphile-worker')
    const pool = connect(place)
    const runner = await run({
      preset: {
        worker: {
          connectionString: place.databaseUrl,
          concurrentJobs: 24,
          maxPoolSize: 25,
          localQueue: { size: 500 },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
          pollInterval: 100,
          logger: new Logger(() => () => {}),
        },
      },
      noHandleSignals: true,
      taskList: { expire: async ({ id }: { id: string }) => void (await pool.query(endRow(id))) },
    })
    return async () => {
      await runner.stop()
      await pool.end()
    }
  },
}
