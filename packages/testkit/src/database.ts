import { randomUUID } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import pg from 'pg'
import { afterFile } from './after-file.ts'
import { setting } from './environment.ts'

export interface TestDatabase {
  /** For the application's role, as in production: it may not change events nor the schema. */
  readonly url: string
  /** For the owner, who may. */
  readonly ownerUrl: string
  /** Lets PostgreSQL log every statement on new connections, with its values; the function answers what it has written. */
  logAll(): Promise<() => string>
}

/** A migrated, empty database for this test file alone; dropped after it. */
export const testDatabase = async (): Promise<TestDatabase> => {
  const [template, application] = [new URL(setting('LAPSE_TEST_OWNER_URL')), new URL(setting('LAPSE_TEST_APP_URL'))]
  const name = `test_${randomUUID().replaceAll('-', '')}`
  await asOwner((client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template.pathname.slice(1)}`))
  afterFile(() => asOwner((client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)))
  const address = (url: URL) => Object.assign(new URL(url), { pathname: name }).href
  return {
    url: address(application),
    ownerUrl: address(template),
    logAll: async () => {
      await asOwner((client) => client.query(`ALTER DATABASE ${name} SET log_statement = 'all'`))
      const log = setting('LAPSE_TEST_POSTGRES_LOG')
      const { size } = statSync(log)
      return () => readFileSync(log).subarray(size).toString()
    },
  }
}

/** Not in the template itself: it cannot be copied while somebody is connected to it. */
const asOwner = async (work: (client: pg.Client) => Promise<unknown>): Promise<void> => {
  const url = Object.assign(new URL(setting('LAPSE_TEST_OWNER_URL')), { pathname: 'postgres' })
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}
