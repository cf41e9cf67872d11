import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { bareClocks } from '../lint/bare-clock.mjs'
import { root } from '../root.mjs'

const ignored = new Set(['node_modules', 'dist', 'generated', 'coverage', 'bench-results'])
const filesIn = (folder: string): string[] =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return ignored.has(entry.name) || entry.name.startsWith('.') ? [] : filesIn(path)
    return /\.(ts|tsx|mjs|js|sql)$/.test(entry.name) ? [path] : []
  })
const thisRule = /^scripts\/(lint|test)\/bare-clock/

it('no SQL writes a clock that is not cut to the millisecond, nor binds the application’s', () => {
  const files = filesIn('.').filter((file) => !thisRule.test(file))
  expect(files.length).toBeGreaterThan(400)
  const found = files.flatMap((file) =>
    bareClocks(readFileSync(join(root, file), 'utf8')).map((place) => `${file}:${place}`),
  )
  expect(found, 'write makeDue(), nowSql (both of @lapse/testkit), or date_trunc as `now` does').toEqual([])
})

it.each([
  "sql('UPDATE delivery SET next_attempt_at = clock_timestamp()')",
  "sql('UPDATE delivery SET next_attempt_at = least(next_attempt_at, clock_timestamp())')",
  "sql('INSERT INTO pulse VALUES ($1, now())')",
  'sql(`SELECT now() AS at`)',
  'settled_at timestamptz(3) DEFAULT CURRENT_TIMESTAMP',
  "owner.query('UPDATE delivery SET leased_until = $1', [new Date()])",
  'owner.query(\n  `UPDATE delivery SET leased_until = $2 WHERE id = $1`,\n  [id, new Date()],\n)',
])('refuses %j', (text) => expect(bareClocks(text)).toHaveLength(1))

it.each([
  "date_trunc('milliseconds', clock_timestamp())",
  "settled_at = now() - interval '1 hour'",
  'WHERE ends_at <= clock_timestamp()',
  'extract(epoch FROM clock_timestamp() - ends_at)',
  'performance.now() + Date.now()',
  'const now = () => 1\nconst at = { at: now() }',
  '// what is written as clock_timestamp()',
  'replay(id, { since: new Date() })',
])('lets %j be', (text) => expect(bareClocks(text)).toEqual([]))
