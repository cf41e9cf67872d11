import type pg from 'pg'
import { load } from './load.ts'
import type { Peer } from './peer.ts'
import { connect, endRow, issueRows, newId } from './rows.ts'

interface Job {
  readonly attrs: { readonly data: { readonly id: string } }
}

interface Agenda {
  readonly ready: Promise<void>
  on(event: 'error', listener: (error: Error) => void): void
  define(name: string, handler: (job: Job) => Promise<void>, options: object): void
  schedule(when: Date, name: string, data: object): Promise<unknown>
  start(): Promise<void>
  stop(): Promise<void>
}

const start = async (pool: pg.Pool): Promise<Agenda> => {
  const { Agenda } = await load<{ Agenda: new (options: object) => Agenda }>('agenda')
  const { PostgresBackend } = await load<{ PostgresBackend: new (options: object) => object }>(
    '@agendajs/postgres-backend',
  )
  const agenda = new Agenda({
    backend: new PostgresBackend({ pool }),
    processEvery: 1_000,
    maxConcurrency: 100,
    defaultConcurrency: 100,
    removeOnComplete: true,
  })
  agenda.on('error', (error) => console.error(`agenda: ${error.message}`))
  await agenda.ready
  return agenda
}

/**
 * With its tables in PostgreSQL instead of MongoDB: https://www.npmjs.com/package/@agendajs/postgres-backend. It locks what
 * is due before it looks again, one job after the
 * other, and then waits for each job's instant. It has nothing for many at once.
 */
export const agenda: Peer = {
  share: 0.1,
  issuer: async (place) => {
    const pool = connect(place)
    const agenda = await start(pool)
    const one = async (at: Date) => {
      const id = newId()
      await pool.query(issueRows([id], [at]))
      await agenda.schedule(at, 'expire', { id })
    }
    return {
      one,
      many: async (at) => {
        const ids = at.map(newId)
        await pool.query(issueRows(ids, at))
        await Promise.all(at.map((date, i) => agenda.schedule(date, 'expire', { id: ids[i] })))
      },
      close: async () => {
        await agenda.stop()
        await pool.end()
      },
    }
  },
  work: async (place) => {
    const pool = connect(place)
    const agenda = await start(pool)
    const expire = async ({ attrs }: Job) => void (await pool.query(endRow(attrs.data.id)))
    agenda.define('expire', expire, { concurrency: 100 })
    await agenda.start()
    return async () => {
      await agenda.stop()
      await pool.end()
    }
  },
}
