import { spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const owner = new URL(process.env.LAPSE_TEST_OWNER_URL as string)
const at = (database: string) => Object.assign(new URL(owner), { pathname: database }).href

// Each command is a process of its own, which takes a while on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

let folder: string
let url: string

const sql = async (text: string, connectionString = url) => {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

/** Runs `npm run migrate <args>` for the project in `folder`, on a database of its own. */
const migrate = (args: string, env: Record<string, string> = {}) =>
  new Promise<{ code: number | null; output: string }>((resolve) => {
    const child = spawn(process.execPath, [join(root, 'scripts/migrate.mjs'), ...args.split(' ')], {
      cwd: folder,
      env: { ...process.env, MIGRATE_DATABASE_URL: url, ...env },
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data))
    child.on('close', (code) => resolve({ code, output }))
  })

const migration = (name: string, text: string) => {
  mkdirSync(join(folder, 'prisma/migrations', name), { recursive: true })
  writeFileSync(join(folder, 'prisma/migrations', name, 'migration.sql'), text)
}

/** All that the repository has, without waiting for the program to apply it. */
const migrated = async () => {
  const name = new URL(url).pathname.slice(1)
  await sql(`DROP DATABASE ${name}`, at('postgres'))
  await sql(`CREATE DATABASE ${name} TEMPLATE ${owner.pathname.slice(1)}`, at('postgres'))
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lapse-migrate-'))
  cpSync(join(root, 'prisma'), join(folder, 'prisma'), { recursive: true })
  const name = `migrate_${randomUUID().replaceAll('-', '')}`
  await sql(`CREATE DATABASE ${name}`, at('postgres'))
  url = at(name)
})

afterEach(async () => {
  rmSync(folder, { recursive: true, force: true })
  await sql(`DROP DATABASE "${new URL(url).pathname.slice(1)}" WITH (FORCE)`, at('postgres'))
})

describe('deploy', () => {
  it('keeps to the schema that ?schema= names, beside an application that has tables of the same names', async () => {
    await sql('CREATE TABLE resource (of_the_application int)')
    const beside = { MIGRATE_DATABASE_URL: `${url}?schema=lapse`, LAPSE_APP_ROLE: 'lapse_app' }
    expect(await migrate('deploy', beside)).toMatchObject({ code: 0 })
    expect(await migrate('status', beside)).toMatchObject({ code: 0 })
    const tables = await sql(
      `SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE tablename IN ('resource', '_prisma_migrations')`,
    )
    expect(tables.map(({ name }) => name).sort()).toEqual([
      'lapse._prisma_migrations',
      'lapse.resource',
      'public.resource',
    ])
    expect(await sql(`SELECT has_table_privilege('lapse_app', 'lapse.event', 'DELETE') AS may`)).toEqual([
      { may: false },
    ])
  })

  it('applies what is pending, and nothing the second time', async () => {
    expect(await migrate('status')).toMatchObject({ code: 1, output: expect.stringMatching(/^pending {2}\d+_init$/m) })
    expect(await migrate('deploy')).toMatchObject({ code: 0, output: expect.stringMatching(/^applied \d+_init$/m) })
    expect(await migrate('deploy')).toEqual({ code: 0, output: 'Nothing to apply: up to date.\n' })
    expect(await migrate('status')).toMatchObject({ code: 0, output: expect.stringMatching(/^applied {2}\d+_init$/m) })
  })

  it('grants the application its role, and says when it cannot', async () => {
    const can = () =>
      sql(`SELECT has_table_privilege('lapse_app', 'resource', 'UPDATE') AS change,
      has_table_privilege('lapse_app', 'event', 'DELETE') AS forge`)
    await migrate('deploy')
    expect(await can()).toEqual([{ change: false, forge: false }])
    expect(await migrate('deploy', { LAPSE_APP_ROLE: 'lapse_app' })).toMatchObject({ code: 0 })
    expect(await can()).toEqual([{ change: true, forge: false }])
    expect(await migrate('deploy', { LAPSE_APP_ROLE: 'nobody_here' })).toMatchObject({
      code: 1,
      output: expect.stringContaining('"nobody_here" does not exist'),
    })
  })

  it('run twice at once, applies everything once', async () => {
    const both = await Promise.all([migrate('deploy'), migrate('deploy')])
    expect(both.map(({ code, output }) => [code, code === 0 || output])).toEqual([
      [0, true],
      [0, true],
    ])
    const applied = await sql('SELECT migration_name FROM _prisma_migrations')
    expect(applied).toHaveLength(
      readdirSync(join(root, 'prisma/migrations'), { withFileTypes: true }).filter((e) => e.isDirectory()).length,
    )
  })

  it('leaves nothing of a migration that fails, names it, and goes on after it is resolved', async () => {
    const name = '29990101000000_broken'
    migration(name, 'CREATE TABLE half (id int); SELECT 1 / 0;')
    expect(await migrate('deploy')).toEqual({ code: 1, output: expect.stringContaining(`${name}: `) })
    expect(await sql("SELECT to_regclass('half') AS half")).toEqual([{ half: null }])
    expect(await migrate('status')).toMatchObject({ code: 1, output: expect.stringContaining(`FAILED   ${name}`) })
    expect(await migrate('deploy')).toMatchObject({ code: 1, output: expect.stringContaining(name) })

    migration(name, "CREATE FUNCTION whole() RETURNS text LANGUAGE sql AS $$ SELECT 'a;b'; $$;")
    expect(await migrate(`resolve rolled-back ${name}`)).toMatchObject({ code: 0 })
    expect(await migrate('deploy')).toMatchObject({ code: 0, output: expect.stringContaining(`applied ${name}`) })
    expect(await sql('SELECT whole()')).toEqual([{ whole: 'a;b' }])
  })
})

it('deploy gives a lock up that it does not get, says who has it, and goes on as soon as it is free', async () => {
  await migrated()
  migration('29990101000000_more', 'ALTER TABLE resource ADD COLUMN more int')
  const holder = new pg.Client({ connectionString: url })
  await holder.connect()
  holder.on('error', () => {})
  await holder.query('BEGIN; SELECT FROM resource')
  const [{ pid }] = (await holder.query('SELECT pg_backend_pid() AS pid')).rows
  expect(await migrate('deploy', { LAPSE_MIGRATE_PATIENCE_SECONDS: '1' })).toEqual({
    code: 1,
    output: expect.stringMatching(new RegExp(`29990101000000_more: [\\s\\S]*stays locked .* ${pid} `)),
  })
  await holder.end()
  expect(await migrate('deploy')).toMatchObject({
    code: 0,
    output: expect.stringContaining('applied 29990101000000_more'),
  })
})

it('deploy builds an index anew whose building was interrupted', async () => {
  await migrated()
  const name = '29990101000000_index'
  await sql('CREATE TABLE more (id int); INSERT INTO more VALUES (1), (1)')
  migration(name, 'CREATE UNIQUE INDEX CONCURRENTLY "more_id" ON "more" ("id")')
  expect(await migrate('deploy')).toMatchObject({ code: 1, output: expect.stringContaining(name) })
  const valid = () => sql(`SELECT indisvalid FROM pg_index WHERE indexrelid = 'more_id'::regclass`)
  expect(await valid()).toEqual([{ indisvalid: false }])
  await sql('TRUNCATE more')
  await migrate(`resolve rolled-back ${name}`)
  expect(await migrate('deploy')).toMatchObject({ code: 0 })
  expect(await valid()).toEqual([{ indisvalid: true }])
})

it('check refuses a migration that would stop others from their work', async () => {
  // No drift: a constraint is nothing that Prisma's schema tells.
  migration('29990101000000_careless', 'ALTER TABLE resource ADD CONSTRAINT careless CHECK (uses >= 0)')
  expect(await migrate('check')).toMatchObject({
    code: 1,
    output: expect.stringMatching(
      /29990101000000_careless: ALTER TABLE.*\n.*NOT VALID[\s\S]*migrations\.md[\s\S]*add up/,
    ),
  })
})

it('status shows a migration that was edited afterwards, and one the folder does not have', async () => {
  migration('29990101000000_more', 'CREATE TABLE more (id int);')
  await migrate('deploy')
  migration('29990101000000_more', 'CREATE TABLE other (id int);')
  expect(await migrate('status')).toMatchObject({
    code: 1,
    output: expect.stringContaining('EDITED   29990101000000_more'),
  })
  rmSync(join(folder, 'prisma/migrations/29990101000000_more'), { recursive: true })
  expect(await migrate('status')).toMatchObject({
    code: 1,
    output: expect.stringContaining('UNKNOWN  29990101000000_more'),
  })
})

it('resolve applied notes a migration whose work was done by hand', async () => {
  await migrated()
  migration('29990101000000_by_hand', 'SELECT 1 / 0;')
  expect(await migrate('resolve applied 29990101000000_by_hand')).toMatchObject({ code: 0 })
  expect(await migrate('status')).toMatchObject({ code: 0 })
})

it('check finds what the schema has beyond the migrations, new writes it, and the shadow databases are gone', async () => {
  expect(await migrate('check')).toMatchObject({ code: 0 })
  expect(await migrate('new nothing')).toMatchObject({ code: 0, output: expect.stringContaining('Nothing to write') })
  writeFileSync(join(folder, 'prisma/schema/extra.prisma'), 'model Extra {\n  id Int @id\n}\n')
  expect(await migrate('check')).toMatchObject({ code: 1, output: expect.stringContaining('CREATE TABLE "Extra"') })
  expect(await migrate('new Add Extra')).toMatchObject({
    code: 0,
    output: expect.stringMatching(/\d{14}_add\/migration.sql/),
  })
  expect(await migrate('check')).toMatchObject({ code: 0 })
  expect(await migrate('deploy')).toMatchObject({ code: 0 })
  expect(await sql("SELECT datname FROM pg_database WHERE datname LIKE 'lapse_shadow%'")).toEqual([])
})

it('says how to use it', async () => {
  expect(await migrate('help')).toMatchObject({ code: 0, output: expect.stringContaining('rolled-back') })
  for (const wrong of ['nonsense', 'new', 'resolve applied'])
    expect(await migrate(wrong)).toMatchObject({ code: 2, output: expect.stringContaining('npm run migrate') })
})

it("the engine is byte for byte the one inside Prisma's command line", () => {
  const hash = (file: string) =>
    createHash('sha256')
      .update(readFileSync(join(root, 'node_modules', file)))
      .digest('hex')
  expect(hash('@prisma/schema-engine-wasm/schema_engine_bg.wasm')).toBe(hash('prisma/build/schema_engine_bg.wasm'))
})
