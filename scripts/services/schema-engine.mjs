// Prisma's schema engine without its download: the same engine, compiled to wasm, on a `pg` connection.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils'
import * as engine from '@prisma/schema-engine-wasm/schema_engine_bg'
import pg from 'pg'
import { executeInTurn } from './execute-in-turn.mjs'

/** `?schema=` is Prisma's, not PostgreSQL's: the tables live there, and so does the list of migrations. */
export const sessionAt = (url) => {
  const address = new URL(url)
  const schema = address.searchParams.get('schema') ?? 'public'
  address.searchParams.delete('schema')
  // They win over what the role or the database is set to.
  const settings = { timezone: 'UTC', datestyle: 'ISO', default_transaction_read_only: 'off', search_path: schema }
  const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`)
  return {
    ...{ schema, connectionString: address.href },
    options: [...options, '-c default_transaction_isolation=read\\ committed'].join(' '),
  }
}

/** Opens an engine for `datamodels`, a list of [path, content], on the database at `url`. */
export const openSchemaEngine = (datamodels, url) => {
  const wasm = createRequire(import.meta.url)
    .resolve('@prisma/schema-engine-wasm/schema_engine_bg')
    .replace(/js$/, 'wasm')
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(wasm)), {
    './schema_engine_bg.js': engine,
  })
  engine.__wbg_set_wasm(exports)
  exports.__wbindgen_start()
  // The engine reports its panics here, and fails without a message when nobody listens.
  globalThis.PRISMA_WASM_PANIC_REGISTRY = { set_message: (message) => console.error(`schema engine: ${message}`) }
  const adapter = bindMigrationAwareSqlAdapterFactory(factory(url))
  return engine.SchemaEngine.new({ datamodels }, () => {}, adapter)
}

const factory = (url) => ({
  provider: 'postgres',
  adapterName: '@prisma/adapter-pg',
  connect: () => connect(url),
  // Prisma's own would connect to the main database again: its address wins over the shadow's name.
  connectToShadowDb: async () => {
    const name = `lapse_shadow_${randomUUID().replaceAll('-', '')}`
    const admin = new pg.Client({ connectionString: url })
    await admin.connect()
    await admin.query(`CREATE DATABASE ${name}`)
    const shadow = new URL(url)
    shadow.pathname = name
    return connect(shadow.href, async () => {
      await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
      await admin.end()
    })
  },
})

/** Prisma's adapter was made for queries; for the engine two of its methods have to do more. */
const connect = async (url, afterwards = async () => {}) => {
  const { schema, ...session } = sessionAt(url)
  const pool = new pg.Pool({ ...session, max: 1 })
  if (schema !== 'public') await pool.query(`CREATE SCHEMA IF NOT EXISTS ${pg.escapeIdentifier(schema)}`)
  const adapter = await new PrismaPg(pool, { disposeExternalPool: true, schema }).connect()
  const { queryRaw } = Object.getPrototypeOf(Object.getPrototypeOf(adapter))
  const dispose = adapter.dispose.bind(adapter)
  return Object.assign(adapter, {
    // Its own splits at every ';', which breaks function bodies and lets half a migration stand.
    executeScript: (script) => executeInTurn(pool, script).catch((error) => adapter.onError(error)),
    // Its own refuses the catalog's type "char" (18): read as text (25), told to the engine as a character.
    queryRaw: async (query) => {
      const result = await adapter.performIO(query)
      const characters = result.fields.flatMap((field, index) => (field.dataTypeID === 18 ? [index] : []))
      for (const index of characters) result.fields[index].dataTypeID = 25
      const rows = await queryRaw.call(Object.create(adapter, { performIO: { value: async () => result } }), query)
      for (const index of characters) rows.columnTypes[index] = ColumnTypeEnum.Character
      return rows
    },
    dispose: async () => {
      await dispose()
      await afterwards()
    },
  })
}
