import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../lifetime.mjs'
import { root } from '../root.mjs'

/** What the next version might bring, by the rules of docs/decisions/migrations.md. */
export const next = {
  '29990101000000_columns': `ALTER TABLE resource ADD COLUMN tier INTEGER NOT NULL DEFAULT 0, ADD COLUMN note TEXT;
ALTER TABLE resource ADD CONSTRAINT resource_tier CHECK (tier >= 0) NOT VALID;`,
  '29990101000001_constraint': 'ALTER TABLE resource VALIDATE CONSTRAINT resource_tier;',
  '29990101000002_index': 'CREATE INDEX CONCURRENTLY resource_tier_id ON resource (tier, id);',
}

/** The same as one would write it without a thought for those who work meanwhile. */
export const careless = `ALTER TABLE resource ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
ALTER TABLE resource ADD CONSTRAINT resource_rank CHECK (rank >= 0);
CREATE INDEX resource_rank_id ON resource (rank, id);`

/** The names of the migrations that a version brings, in their order. */
export const migrationsOf = (version) =>
  readdirSync(join(version, 'prisma/migrations'))
    .filter((name) => /^\d/.test(name))
    .sort()

/** A folder with the repository's migrations, to be applied some at a time, and more than those. */
export const migrationsAt = (folder, ownerUrl, appRole) => {
  const source = join(root, 'prisma')
  const target = join(folder, 'prisma')
  const write = (name, sql) => {
    mkdirSync(join(target, 'migrations', name), { recursive: true })
    writeFileSync(join(target, 'migrations', name, 'migration.sql'), sql)
  }
  cpSync(source, target, { recursive: true })
  for (const name of migrationsOf(root)) rmSync(join(target, 'migrations', name), { recursive: true })
  const deploy = async () => {
    const start = performance.now()
    await must('migrate', process.execPath, [join(root, 'scripts/migrate.mjs'), 'deploy'], {
      cwd: folder,
      env: { ...process.env, MIGRATE_DATABASE_URL: ownerUrl, LAPSE_APP_ROLE: appRole },
    })
    return performance.now() - start
  }
  return {
    add: (name) => cpSync(join(source, 'migrations', name), join(target, 'migrations', name), { recursive: true }),
    write,
    deploy,
  }
}
