import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '@lapse/testkit'
import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { stage } from './stage.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** What the next version might bring, by the rules of docs/decisions/migrations.md. */
const next = {
  column: `ALTER TABLE resource ADD COLUMN tier INTEGER NOT NULL DEFAULT 0, ADD COLUMN note TEXT;
    ALTER TABLE resource ADD CONSTRAINT resource_tier CHECK (tier >= 0) NOT VALID`,
  validated: 'ALTER TABLE resource VALIDATE CONSTRAINT resource_tier',
  index: 'CREATE INDEX CONCURRENTLY resource_tier_id ON resource (tier, id)',
}

/** Applies it to a database, as `npm run migrate deploy` does; answers what it says. */
const deploy = (ownerUrl: string) => {
  const folder = mkdtempSync(join(tmpdir(), 'lapse-upgrade-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(join(root, 'prisma'), join(folder, 'prisma'), { recursive: true })
  for (const [i, [name, sql]] of Object.entries(next).entries()) {
    const migration = join(folder, `prisma/migrations/2999010100000${i}_${name}`)
    mkdirSync(migration)
    writeFileSync(join(migration, 'migration.sql'), sql)
  }
  const child = spawn(process.execPath, [join(root, 'scripts/migrate.mjs'), 'deploy'], {
    cwd: folder,
    env: { PATH: process.env.PATH, MIGRATE_DATABASE_URL: ownerUrl },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data))
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  return { ended, output: () => output }
}

it('the next version’s migrations are applied while everything works, and the version before goes on beside it', async () => {
  const app = await stage()
  const old = await app.startWorker()
  await app.lapse.issueAll(Array.from({ length: 1_000 }, () => ({ kind: 'pass' as const, expiresIn: '1d' as const })))

  let done = 0
  let working = true
  const traffic = (async () => {
    while (working) {
      const { id } = await app.lapse.issue('pass', { expiresIn: '1h' })
      if ((await app.lapse.check('pass', id)).allowed) done += 1
    }
  })()
  onTestFinished(() => {
    working = false
  })
  const goesOn = async (what: string) => {
    const before = done
    await until(() => done > before + 10, { what: `issues and checks ${what}` })
  }

  // Somebody's long transaction, which no change of the table can get past.
  const holder = new pg.Client({ connectionString: app.database.ownerUrl })
  holder.on('error', () => {})
  await holder.connect()
  onTestFinished(() => holder.end())
  await holder.query('BEGIN; SELECT 1 FROM resource LIMIT 1 FOR UPDATE')
  const migration = deploy(app.database.ownerUrl)
  await until(() => migration.output().includes('trying again'), { what: 'the migration to step back' })
  await goesOn('while a migration waits for its lock')
  await holder.query('COMMIT')
  expect(await migration.ended, migration.output()).toBe(0)
  await goesOn('after it')

  const { rows } =
    await app.sql(`SELECT (SELECT convalidated FROM pg_constraint WHERE conname = 'resource_tier') AS checked,
    (SELECT indisvalid FROM pg_index WHERE indexrelid = 'resource_tier_id'::regclass) AS indexed`)
  expect(rows).toEqual([{ checked: true, indexed: true }])

  // One that was running all the while, and one of the same version that starts only now.
  const late = await app.startWorker()
  expect(late.output()).toContain('newer than this process')
  await old.stop()
  const { id } = await app.lapse.issue('lease', { expiresIn: '3s', payload: { email: 'ada@example.com' } })
  expect((await app.happened(id, 'expired')).trigger).toBe('job')
  working = false
  await traffic
  await late.stop()
}, 90_000)
