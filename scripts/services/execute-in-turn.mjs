import { setTimeout as sleep } from 'node:timers/promises'
import { statementsOf } from './sql-statements.mjs'

/** A statement that waits for its lock makes all that come after it wait as well: never longer than this. */
const LOCK_WAIT_MS = 300

/** It tries again after so long, in which all others have their turn, and gives up after so long in all. */
const PAUSE_MS = 1_000
export const PATIENCE_MS = Number(process.env.LAPSE_MIGRATE_PATIENCE_SECONDS || 600) * 1_000

const LOCK_NOT_AVAILABLE = '55P03'

/** How the error begins when it has given up. */
export const STAYS_LOCKED = 'The table stays locked'

/**
 * Runs a migration's script on a pool of one connection, beside whoever works with the database: as one transaction, or,
 * when it is a single statement such as CREATE INDEX CONCURRENTLY, as PostgreSQL runs that.
 */
export const executeInTurn = async (pool, script) => {
  // Held over all tries: the pool closes a connection on which a query has failed, and Prisma's lock would go with it.
  const client = await pool.connect()
  const [first, ...more] = statementsOf(script)
  const concurrent = more.length === 0 && / CONCURRENTLY /i.test(first?.text ?? '')
  try {
    // What is concurrent locks nobody out while it waits for the transactions that are under way.
    await client.query(`SET lock_timeout = ${concurrent ? 0 : LOCK_WAIT_MS}`)
    if (concurrent) await clearHalfBuilt(client, first.text)
    await tryInTurn(client, script)
  } finally {
    await client.query('SET lock_timeout = 0').catch(() => {})
    client.release()
  }
}

const tryInTurn = async (client, script) => {
  const since = performance.now()
  for (let holders = []; ; await sleep(PAUSE_MS))
    try {
      return await client.query(script)
    } catch (error) {
      if (error.code !== LOCK_NOT_AVAILABLE) throw error
      const before = holders
      holders = await holdersOf(client)
      const lasting = holders.filter((pid) => before.includes(pid))
      const who =
        lasting.length > 0 ? `the PostgreSQL processes ${lasting.join(', ')} (see pg_stat_activity)` : 'others'
      if (performance.now() - since > PATIENCE_MS) {
        error.message = `${STAYS_LOCKED} by ${who}. Nothing was changed: end what holds it, and run it again.`
        throw error
      }
      console.error(`The table is in use by ${who}: trying again.`)
    }
}

/** One that was interrupted leaves an index that is kept up and never used, and stands in the way of the next. */
const clearHalfBuilt = async (client, statement) => {
  const [, name] = /^CREATE (?:UNIQUE )?INDEX CONCURRENTLY "?(\w+)"?/i.exec(statement) ?? []
  if (!name) return
  const { rowCount } = await client.query(
    `SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE c.relname = $1 AND c.relnamespace = current_schema()::regnamespace AND NOT i.indisvalid`,
    [name],
  )
  if (rowCount) await client.query(`DROP INDEX CONCURRENTLY "${name}"`)
}

const holdersOf = async (client) => {
  const { rows } = await client.query(`
    SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'relation' AND granted AND pid <> pg_backend_pid()
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
  return rows.map(({ pid }) => pid)
}
