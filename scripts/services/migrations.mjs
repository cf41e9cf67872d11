// The migrations of a folder that holds `schema/` and `migrations/`, as Prisma lays them out.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { failure } from '../lifetime.mjs'
import { PATIENCE_MS, STAYS_LOCKED } from './execute-in-turn.mjs'
import { brokenRules } from './migration-rules.mjs'
import { openSchemaEngine, sessionAt } from './schema-engine.mjs'

const filters = { externalTables: [], externalEnums: [] }

/** Opens the commands on the migrations in `folder` and the database at `url`. */
export const openMigrations = async (folder, url) => {
  const files = schemaFiles(join(folder, 'schema'))
  const base = join(folder, 'migrations')
  const engine = await openSchemaEngine(
    files.map(({ path, content }) => [path, content]),
    url,
  )
  const difference = async () => {
    const migrations = migrationsIn(base)
    const from = migrations.migrationDirectories.length ? { tag: 'migrations', ...migrations } : { tag: 'empty' }
    const to = { tag: 'schemaDatamodel', files }
    const { exitCode, stdout } = await engine.diff({ from, to, script: true, exitCode: true, filters })
    return exitCode === 0 ? '' : stdout
  }
  return {
    /** Applies what is pending; answers its names. With `role`, grants it what the migrations say afterwards. */
    deploy: async (role) => {
      const applied = await alone(url, () =>
        engine
          .applyMigrations({ migrationsList: migrationsIn(base), filters })
          .catch((error) => undoWaited(engine, error)),
      )
      if (role) await grant(url, role)
      return applied.appliedMigrationNames
    },
    status: async () => {
      const list = migrationsIn(base)
      const found = await engine.diagnoseMigrationHistory({
        migrationsList: list,
        optInToShadowDatabase: false,
        filters,
      })
      return {
        known: list.migrationDirectories.map(({ path }) => path),
        pending: found.history?.unappliedMigrationNames ?? [],
        unknown: found.history?.unpersistedMigrationNames ?? [],
        failed: found.failedMigrationNames,
        edited: found.editedMigrationNames,
      }
    },
    /** What the migrations do that would stop others from their work. */
    brokenRules: () =>
      brokenRules(
        migrationsIn(base).migrationDirectories.map(({ path, migrationFile }) => ({
          name: path,
          sql: migrationFile.content.value,
        })),
      ),
    /** The SQL that would take the migrations to the schema; empty when they agree. */
    difference,
    /** Writes that SQL as a new migration and answers its name, or undefined when there is nothing to write. */
    create: async (title) => {
      const sql = await difference()
      if (!sql) return undefined
      const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14)
      const name = `${stamp}_${title.toLowerCase().replace(/\W+/g, '_')}`
      mkdirSync(join(base, name), { recursive: true })
      writeFileSync(join(base, name, 'migration.sql'), sql)
      const lock = join(base, 'migration_lock.toml')
      if (!existsSync(lock)) writeFileSync(lock, 'provider = "postgresql"\n')
      return name
    },
    markApplied: (migrationName) => engine.markMigrationApplied({ migrationName, migrationsList: migrationsIn(base) }),
    markRolledBack: (migrationName) => engine.markMigrationRolledBack({ migrationName }),
  }
}

/** One that has only waited has done nothing that a person would have to look at. */
const undoWaited = async (engine, error) => {
  const [, migrationName] = /migration_name="([^"]+)"/.exec(error.message) ?? []
  if (migrationName && error.message.includes(STAYS_LOCKED)) await engine.markMigrationRolledBack({ migrationName })
  throw error
}

const schemaFiles = (folder) =>
  readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.prisma'))
    .sort()
    .map((name) => ({ path: join(folder, name), content: readFileSync(join(folder, name), 'utf8') }))

const migrationsIn = (base) => {
  const lock = join(base, 'migration_lock.toml')
  const folders = existsSync(base)
    ? readdirSync(base, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    : []
  return {
    baseDir: base,
    lockfile: { path: 'migration_lock.toml', content: existsSync(lock) ? readFileSync(lock, 'utf8') : null },
    shadowDbInitScript: '',
    migrationDirectories: folders
      .map((entry) => entry.name)
      .sort()
      .map((path) => ({
        path,
        migrationFile: { path: 'migration.sql', content: read(join(base, path, 'migration.sql')) },
      })),
  }
}

const read = (file) =>
  existsSync(file) ? { tag: 'ok', value: readFileSync(file, 'utf8') } : { tag: 'error', value: `${file} is missing` }

/** For `pg_try_advisory_lock`, in each database. */
const DEPLOY_LOCK = 7_206_419_511

/**
 * One deployment at a time. Prisma's engine has a lock of its own, and waits for it in a statement: CREATE INDEX CONCURRENTLY
 * waits for every statement that began before it, so that two deployments at once end in a deadlock. Here a second one asks
 * again and again, and holds nothing between.
 */
const alone = async (url, act) => {
  const { connectionString, options } = sessionAt(url)
  const client = new pg.Client({ connectionString, options })
  await client.connect()
  try {
    const isMine = async () =>
      (await client.query('SELECT pg_try_advisory_lock($1::bigint) AS mine', [DEPLOY_LOCK])).rows[0].mine
    for (const since = performance.now(); !(await isMine()); await sleep(200))
      if (performance.now() - since > PATIENCE_MS)
        throw failure('another deployment of migrations is still running. Wait for its end, then run this again.')
    return await act()
  } finally {
    await client.end()
  }
}

const grant = async (url, role) => {
  const { connectionString, options } = sessionAt(url)
  const client = new pg.Client({ connectionString, options })
  await client.connect()
  try {
    await client.query('SELECT lapse_grant($1)', [role])
  } catch (error) {
    throw failure(`granting to the role ${role} (LAPSE_APP_ROLE) failed: ${error.message}`)
  } finally {
    await client.end()
  }
}
