import type { Sql } from './database.ts'
import { Prisma } from './generated/prisma/client.ts'
import { lockTimeoutMs, readBack, sessionProblems } from './session-settings.ts'

/** The newest migration this code needs. */
export const schemaVersion = '20261201100003_resource_enclosed_by'

const oldestPostgres = 150_000

export interface DatabaseReport {
  readonly version: string
  /** Whether the newest migration that this code needs is applied. */
  readonly migrated: boolean
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
  const [facts] = await db.$queryRaw<
    {
      lockTimeout: string
      statementTimeout: string
      version: number
      name: string
      migrated: boolean
      owner: boolean
    }[]
  >(Prisma.sql`
    SELECT current_setting('lock_timeout') AS "lockTimeout", current_setting('statement_timeout') AS "statementTimeout",
      current_setting('server_version_num')::int AS version,
      split_part(current_setting('server_version'), ' ', 1) AS name,
      to_regclass('_prisma_migrations') IS NOT NULL AND to_regclass('resource') IS NOT NULL AS migrated,
      coalesce((SELECT pg_has_role(tableowner, 'USAGE') FROM pg_tables
        WHERE tablename = 'event' AND schemaname = current_schema()), false) AS owner`)
  if (!facts) throw new Error('PostgreSQL did not answer the boot check.')
  const settings = await sessionProblems(db)
  problems.push(...settings, ...(settings.length === 0 ? await readBack(db) : []))
  if (facts.version < oldestPostgres)
    problems.push(`PostgreSQL ${Math.floor(facts.version / 10_000)} is too old. Use version 15 or newer.`)
  const applied = facts.migrated ? await appliedSince(db) : []
  const migrated = applied[0] === schemaVersion
  if (!migrated) problems.push(`The database lacks the migration ${schemaVersion}. Run "npm run migrate deploy" first.`)
  else if (applied.length > 1)
    warnings.push(
      `The database is newer than this process: it has the migration ${applied.at(-1)}. Both work together while you upgrade; start the new version of this process soon.`,
    )
  if (facts.lockTimeout === '0')
    warnings.push(
      `PostgreSQL sessions have no lock_timeout, so one locked row holds a request for long: a pooler in between does not pass the startup option on. Run: ALTER ROLE <the application's> SET lock_timeout = '${lockTimeoutMs}ms'.`,
    )
  if (facts.statementTimeout === '0')
    warnings.push(
      "PostgreSQL sessions have no statement_timeout, so one statement may run for ever: a pooler in between does not pass the startup parameter on. Run: ALTER ROLE <the application's> SET statement_timeout = '15s'.",
    )
  if (facts.owner)
    warnings.push(
      'This database role owns the audit table and could drop its protection. Connect as a role of its own: see docs/deploy.md.',
    )
  return { version: facts.name, migrated, problems, warnings, clockSkewMs: await clockSkew(db) }
}

/** The migration that this code needs, and those that came after it. */
const appliedSince = async (db: Sql): Promise<string[]> => {
  const rows = await db.$queryRaw<{ name: string }[]>(Prisma.sql`
    SELECT migration_name AS name FROM _prisma_migrations
    WHERE migration_name >= ${schemaVersion} AND finished_at IS NOT NULL ORDER BY migration_name`)
  return rows.map(({ name }) => name)
}

/** This process's clock minus the database's in milliseconds, to within half a round trip. */
export const clockSkew = async (db: Sql): Promise<number> => {
  const before = Date.now()
  const [row] = await db.$queryRaw<{ now: number }[]>(
    Prisma.sql`SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now`,
  )
  return Math.round((before + Date.now()) / 2 - (row?.now ?? before))
}
