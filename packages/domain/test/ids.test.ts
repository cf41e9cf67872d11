import { expect, it } from 'vitest'
import { plain } from './kinds.ts'
import { testDomain } from './support.ts'

const { sql } = await testDomain([plain])

it('ids that PostgreSQL makes are UUIDv7 of the present, and keep their order within a millisecond too', async () => {
  const rows = await sql<{ id: string; before: number; after: number }>(
    `SELECT lapse_uuidv7() AS id, (b * 1000)::float8 AS before,
      (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS after
    FROM (SELECT extract(epoch FROM clock_timestamp()) AS b, (SELECT count(*) FROM generate_series(1, 20 + i % 2))
      FROM generate_series(1, 1000) AS i) AS s`,
  )
  const ids = rows.map(({ id }) => id)
  expect(ids.toSorted()).toEqual(ids)
  expect(new Set(ids).size).toBe(1_000)
  // Some lie within the same millisecond, or this would say nothing.
  expect(new Set(ids.map((id) => id.slice(0, 13))).size).toBeLessThan(1_000)
  for (const { id, before, after } of rows) {
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const at = Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)
    expect(at).toBeGreaterThanOrEqual(Math.floor(before))
    expect(at).toBeLessThanOrEqual(after + 1)
  }
})
