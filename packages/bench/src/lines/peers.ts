import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Line } from '../measure.ts'
import { measureSide, type Result, type Sizes } from '../peers/compare.ts'
import { measureIdentity } from '../peers/identity.ts'
import { plotsOf } from '../peers/plots.ts'
import { sidesOf } from '../peers/side.ts'
import { ahead, compared, grown } from '../peers/sum-up.ts'

const root = new URL('../../../../', import.meta.url)

const whole: Sizes = {
  ends: 50_000,
  spread: { count: 500, ms: 10_000 },
  pending: [10_000, 100_000, 1_000_000],
  some: 5_000,
  fillSeconds: 240,
}

const small: Sizes = {
  ends: 5_000,
  spread: { count: 100, ms: 2_000 },
  pending: [8_000],
  some: 1_000,
  fillSeconds: 10,
}

/** What one would build with instead of Lapse, at the same work: the same rows, the same events, on the same machine. */
export const peers: Line = async ({ quick, sides, ends, pending }) => {
  const sizes = quick ? small : whole
  const wanted = { ...sizes, ends: ends ?? sizes.ends, pending: pending ?? sizes.pending }
  const problems: string[] = []
  const results: Result[] = []
  const figures = await (sides ? [] : measureIdentity(quick, problems))
  for (const side of sidesOf(sides)) {
    process.stderr.write(`${side.title} … `)
    results.push(await measureSide(side, wanted, problems))
  }
  // Only what everybody was measured for, at the full sizes, is for the documentation.
  const folder =
    quick || sides || ends || pending ? new URL('bench-results/plots/', root) : new URL('docs/plots/', root)
  mkdirSync(folder, { recursive: true })
  for (const [name, plot] of plotsOf(results, wanted.ends, wanted.pending))
    writeFileSync(join(fileURLToPath(folder), name), plot)
  const tables = [compared(results, wanted.ends), grown(results, wanted.pending), ahead(results, wanted.ends)]
  return { figures, problems, tables: tables.filter(({ rows }) => rows.length > 0), details: results }
}
