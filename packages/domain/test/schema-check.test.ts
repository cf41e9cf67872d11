import { expect, it } from 'vitest'
import { expectedIndexes } from '../src/schema-check.ts'
import { plain } from './kinds.ts'
import { testDomain } from './support.ts'

const { domain, sql } = await testDomain([plain])

it('the indexes that are looked for are those that the migrations make', async () => {
  const made = await sql<{ indexname: string }>(
    `SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename <> '_prisma_migrations'`,
  )
  expect([...expectedIndexes].sort()).toEqual(made.map(({ indexname }) => indexname).sort())
})

it('what is missing, invalid or unfinished is told by its name', async () => {
  const well = await domain.checkSchema()
  expect(well).toMatchObject({ unfinished: [], missingIndexes: [], invalidIndexes: [] })
  expect(well.applied.at(-1)).toMatch(/^\d{14}_\w+$/)
  await sql('DROP INDEX resource_scope')
  await sql(`INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('x', '', '20990101000000_half')`)
  expect(await domain.checkSchema()).toMatchObject({
    missingIndexes: ['resource_scope'],
    unfinished: ['20990101000000_half'],
  })
})
