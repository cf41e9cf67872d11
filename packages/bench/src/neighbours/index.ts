import type { Line, Table } from '../measure.ts'
import { mails } from './mails.ts'
import { rowOf, Skipped } from './neighbour.ts'
import { requests } from './requests.ts'
import { sideEffects } from './side-effects.ts'
import { onStage } from './stage.ts'

const all = [...sideEffects, ...mails, ...requests]

export const neighbourNames = all.map(({ name }) => name)

/** Somebody noisy beside somebody quiet: what the quiet one notices. */
export const neighbours: Line = async ({ quick, neighbours: wanted }) => {
  const rows: string[][] = []
  const problems: string[] = []
  const details: Record<string, unknown> = {}
  for (const neighbour of all) {
    const { name } = neighbour
    if (wanted && !wanted.includes(name)) continue
    process.stderr.write(`${name} … `)
    try {
      const measured = await onStage(neighbour, (stage) => neighbour.measure(stage, quick))
      const { row, holds } = rowOf(neighbour, quick, measured)
      if (!holds) problems.push(`neighbours: ${name}: ${neighbour.quiet} ${row.slice(2).join(' | ')}`)
      rows.push(row)
      details[name] = measured
    } catch (error) {
      const why = error instanceof Error ? error.message.split('\n')[0] : String(error)
      if (!(error instanceof Skipped)) problems.push(`neighbours: ${name} could not be measured: ${why}`)
      rows.push([
        `${name}: ${neighbour.noisy(quick)}`,
        neighbour.quiet,
        '',
        '',
        '',
        neighbour.bound.what,
        `skipped: ${why}`,
      ])
    }
  }
  const heads = ['neighbour', 'quiet', 'alone p50 / p99 (ms)', 'beside p50 / p99 (ms)', 'ratio', 'bound', 'holds']
  const table: Table = { heads, numbers: [2, 3, 4], rows }
  return { figures: [], problems, tables: [table], details }
}
