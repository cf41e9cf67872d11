import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { mutants } from '../mutants/all.mjs'
import { countOf } from '../mutants/lane.mjs'
import { root } from '../root.mjs'

const textOf = (file: string) => readFileSync(join(root, file), 'utf8')

it('every mutant still takes something away: its text stands there exactly once', () => {
  const changes = mutants.flatMap(({ name, changes }) => changes.map((change) => ({ name, ...change })))
  const found = changes.map(({ name, file, find, put }) => [name, countOf(textOf(file), find), find !== put])
  expect(found.filter(([, count, differs]) => count !== 1 || !differs)).toEqual([])
})

it('every mutant names a test that there is, and has a name of its own', () => {
  const named = mutants.map(({ name, test }) => [name, textOf(test.file).includes(test.name ?? '')])
  expect(named.filter(([, isThere]) => !isThere)).toEqual([])
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length)
})

it('there are forty of them at least, and what is redundant says with what', () => {
  const names = mutants.map(({ name }) => name)
  expect(names.length).toBeGreaterThanOrEqual(40)
  for (const { redundant } of mutants) if (redundant !== undefined) expect(names).toContain(redundant)
})
