import { join, relative, resolve } from 'node:path'
import { command, failure } from './lifetime.mjs'
import { root } from './root.mjs'
import { openMigrations } from './services/migrations.mjs'
import { runningPostgres, startPostgres } from './services/postgres.mjs'
import { temporaryFolder } from './services/private.mjs'

const HELP = `npm run migrate <command>

  deploy                        apply the pending migrations; then grant LAPSE_APP_ROLE, when set, what it may do
  status                        what is applied, pending, failed or edited; exit code 1 unless all is applied
  check                         whether the migrations add up to prisma/schema, and can be applied while everything
                                runs; exit code 1 when they do not, or cannot
  new <name>                    write a migration for what prisma/schema has beyond the migrations
  resolve applied <name>        note a migration as applied, after doing its work by hand
  resolve rolled-back <name>    note a failed migration as undone, so that deploy tries it again

The database is MIGRATE_DATABASE_URL, else DATABASE_URL, else the one of the running \`npm start\`: its owner must log in
there. \`deploy\` keeps nobody waiting for longer than a moment: it tries for its locks again and again, for ten minutes
or LAPSE_MIGRATE_PATIENCE_SECONDS. \`check\` and \`new\` touch none of these: they use MIGRATE_DATABASE_URL to make and drop a
database of their own, else a PostgreSQL that lives as long as the command.`

const folder = resolve('prisma')

const databaseUrl = async () => {
  const data = join(root, '.data/postgres')
  const url = process.env.MIGRATE_DATABASE_URL || process.env.DATABASE_URL || (await runningPostgres(data))
  if (url) return url
  throw failure('No database: set MIGRATE_DATABASE_URL or DATABASE_URL, or run `npm start` beside this.')
}

const scratchUrl = async () =>
  process.env.MIGRATE_DATABASE_URL || (await startPostgres(temporaryFolder(), { durable: false })).ownerUrl

const commands = {
  deploy: async () => {
    const applied = await (await openMigrations(folder, await databaseUrl())).deploy(process.env.LAPSE_APP_ROLE)
    console.log(applied.length ? applied.map((name) => `applied ${name}`).join('\n') : 'Nothing to apply: up to date.')
  },
  status: async () => {
    const { known, pending, unknown, failed, edited } = await (
      await openMigrations(folder, await databaseUrl())
    ).status()
    const of = (name) =>
      failed.includes(name)
        ? 'FAILED '
        : pending.includes(name)
          ? 'pending'
          : edited.includes(name)
            ? 'EDITED '
            : 'applied'
    for (const name of known) console.log(`${of(name)}  ${name}`)
    for (const name of unknown)
      console.log(`UNKNOWN  ${name} (applied to the database, but not in ${relative('.', folder)})`)
    if (failed.length) console.log(`Undo what is left of it, then: npm run migrate resolve rolled-back ${failed[0]}`)
    return [pending, unknown, failed, edited].some((names) => names.length) ? 1 : 0
  },
  check: async () => {
    const migrations = await openMigrations(folder, await scratchUrl())
    const broken = migrations.brokenRules()
    for (const { name, statement, rule } of broken) console.log(`${name}: ${statement}\n  ${rule}`)
    if (broken.length) console.log('The rules for migrations, and why: docs/decisions/migrations.md\n')
    const sql = await migrations.difference()
    if (!sql) console.log('The migrations add up to the schema.')
    if (!sql) return broken.length ? 1 : 0
    console.log(`The schema has what no migration brings. \`npm run migrate new <name>\` would write:\n\n${sql}`)
    return 1
  },
  new: async (title) => {
    if (!title) return usage()
    const name = await (await openMigrations(folder, await scratchUrl())).create(title)
    console.log(
      name
        ? `wrote ${relative('.', folder)}/migrations/${name}/migration.sql`
        : 'Nothing to write: the migrations add up to the schema.',
    )
  },
  resolve: async (how, name) => {
    if (!name || !['applied', 'rolled-back'].includes(how)) return usage()
    const migrations = await openMigrations(folder, await databaseUrl())
    await (how === 'applied' ? migrations.markApplied(name) : migrations.markRolledBack(name))
    console.log(`noted ${name} as ${how}`)
  },
  help: () => console.log(HELP),
}

/** The engine follows its reason with a trace of itself, in which only the migration's name is of use. */
const explain = ({ message, code }) => {
  const migration = /migration_name="([^"]+)"/.exec(message)?.[1]
  const reason = message.split(/\n\s+0: /)[0].trim()
  return [migration && `in ${migration}:`, reason, code && `(${code})`].filter(Boolean).join(' ')
}

const usage = () => {
  console.error(HELP)
  return 2
}

const [name = '', ...args] = process.argv.slice(2)
await command(async () => {
  const run = commands[name.replace(/^--?h(elp)?$/, 'help')]
  if (!run) return usage()
  try {
    return await run(...args)
  } catch (error) {
    throw error.expected ? error : failure(`migrate ${name} failed: ${explain(error)}`)
  }
})
