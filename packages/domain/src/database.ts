import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { Prisma, PrismaClient } from './generated/prisma/client.ts'

/** Whatever can run a statement: the database, or a transaction on it. */
export type Sql = Pick<PrismaClient, '$queryRaw' | '$executeRaw'>

export interface DatabaseOptions {
  /** `postgresql://…`; `?schema=` names the schema Lapse lives in, as Prisma has it; `public` without. */
  url: string
  /** Connections in the pool; 10 unless said otherwise. */
  connections?: number
  /** Shown in pg_stat_activity. */
  name?: string
}

export interface Database {
  readonly prisma: PrismaClient
  close(): Promise<void>
}

/**
 * Opens one pool, shared by everything in the process. It connects when first used.
 *
 * Every session runs in UTC: the Prisma adapter stores wrong instants in any other zone. Statements are prepared once a
 * connection, by their text.
 */
export const openDatabase = ({ url, connections = 10, name = 'lapse' }: DatabaseOptions): Database => {
  const address = new URL(url)
  const schema = address.searchParams.get('schema') ?? 'public'
  const own = address.searchParams.get('options') ?? ''
  address.searchParams.delete('schema')
  address.searchParams.delete('options')
  const searchPath = schema === 'public' ? '' : ` -c search_path=${schema},public`
  const pool = new pg.Pool({
    connectionString: address.href,
    options: `${own} -c timezone=UTC${searchPath}`.trim(),
    max: connections,
    application_name: name,
    statement_timeout: 15_000,
    idle_in_transaction_session_timeout: 30_000,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
  })
  // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
  pool.on('error', () => {})
  const names = new Map<string, string>()
  const adapter = new PrismaPg(pool, {
    schema,
    statementNameGenerator: ({ sql }) => {
      const known = names.get(sql)
      // A hook may build statements from values: past a bound they stay unnamed, so that no session fills up.
      if (known !== undefined || names.size >= 500) return known ?? ''
      const fresh = `lapse_${names.size}`
      names.set(sql, fresh)
      return fresh
    },
  })
  const prisma = new PrismaClient({ adapter })
  return {
    prisma,
    close: async () => {
      await prisma.$disconnect()
      await pool.end()
    },
  }
}

/** The newest migration this code needs. */
export const schemaVersion = '20261121080000_init'

const oldestPostgres = 150_000

export interface DatabaseReport {
  /** Reasons not to start, each saying what to do. */
  readonly problems: string[]
  readonly warnings: string[]
  /** This process's clock minus the database's, in milliseconds. */
  readonly clockSkewMs: number
}

/** Looks at the database before anything relies on it. Throws what the driver throws when it cannot be reached. */
export const inspectDatabase = async (db: Sql): Promise<DatabaseReport> => {
  const problems: string[] = []
  const warnings: string[] = []
  const epoch = new Date(Date.UTC(2024, 5, 1, 12))
  const [facts] = await db.$queryRaw<
    { zone: string; version: number; sameInstant: boolean; migrated: boolean; owner: boolean }[]
  >(Prisma.sql`
    SELECT current_setting('TimeZone') AS zone,
      current_setting('server_version_num')::int AS version,
      extract(epoch FROM ${epoch}::timestamptz) = ${epoch.getTime() / 1000}::float8 AS "sameInstant",
      to_regclass('_prisma_migrations') IS NOT NULL AND to_regclass('resource') IS NOT NULL AS migrated,
      coalesce((SELECT pg_has_role(tableowner, 'USAGE') FROM pg_tables
        WHERE tablename = 'event' AND schemaname = current_schema()), false) AS owner`)
  if (!facts) throw new Error('PostgreSQL did not answer the boot check.')
  if (facts.zone !== 'UTC' || !facts.sameInstant)
    problems.push(
      `PostgreSQL sessions run in the time zone ${facts.zone}, which would corrupt instants. Let the connection set TimeZone=UTC: a pooler in between must pass the startup option "-c timezone=UTC" on.`,
    )
  if (facts.version < oldestPostgres)
    problems.push(`PostgreSQL ${Math.floor(facts.version / 10_000)} is too old. Use version 15 or newer.`)
  if (!facts.migrated || !(await isMigrated(db)))
    problems.push(`The database lacks the migration ${schemaVersion}. Run "npm run migrate deploy" first.`)
  if (facts.owner)
    warnings.push(
      'This database role owns the audit table and could drop its protection. Connect as a role of its own: see docs/deploy.md.',
    )
  return { problems, warnings, clockSkewMs: await clockSkew(db) }
}

const isMigrated = async (db: Sql): Promise<boolean> => {
  const rows = await db.$queryRaw<unknown[]>(Prisma.sql`
    SELECT 1 FROM _prisma_migrations WHERE migration_name = ${schemaVersion} AND finished_at IS NOT NULL`)
  return rows.length > 0
}

/** Errors of the driver, of Prisma's transactions and of PostgreSQL that pass by themselves. */
const passing = /DatabaseNotReachable|ConnectionClosed|TransactionWriteConflict|TooManyConnections|SocketTimeout/
const passingCodes = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2034', 'P2037'])
/** Connection, resources, shutdown, lock and statement timeouts, deadlock. */
const passingStates = /^(08...|53...|57P0[1-3]|57014|55P03|40P01|40001|25006)$/

/** Whether PostgreSQL cannot be asked right now, so that the same request may succeed later. */
export const isUnavailable = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false
  const { code, meta } = error as {
    code?: string
    meta?: { driverAdapterError?: { cause?: { kind?: string; originalCode?: string } } }
  }
  const { kind = '', originalCode = '' } = meta?.driverAdapterError?.cause ?? {}
  if (passingCodes.has(code ?? '') || passing.test(kind) || passingStates.test(originalCode)) return true
  // The pool and the socket have no codes of their own.
  return /connection (terminated|error|timeout)|timeout exceeded when trying to connect|not queryable|ECONN|EPIPE/i.test(
    error.message,
  )
}

/** This process's clock minus the database's in milliseconds, to within half a round trip. */
export const clockSkew = async (db: Sql): Promise<number> => {
  const before = Date.now()
  const [row] = await db.$queryRaw<{ now: number }[]>(
    Prisma.sql`SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now`,
  )
  return Math.round((before + Date.now()) / 2 - (row?.now ?? before))
}
