import type { MachineFacts } from './machine.ts'
import type { Figure, Observed, Table } from './measure.ts'

type Unit = Figure['unit']

const figureTable = (figures: readonly Figure[]): Table => ({
  heads: ['line', 'what', 'Lapse', 'yardstick', '', 'ratio', 'target', ''],
  numbers: [2, 4, 5],
  rows: figures.map(({ line, what, unit, value, yardstick, ratio, target }) => [
    line,
    what,
    amount(value, unit),
    yardstick?.what ?? '',
    yardstick ? amount(yardstick.value, unit) : '',
    ratio === undefined ? '' : ratio.toFixed(2),
    target?.what ?? '',
    target ? (target.met ? 'met' : 'missed') : '',
  ]),
})

const observedTable = (observed: readonly Observed[]): Table => ({
  heads: ['line', 'what', 'median', 'told from', 'slower by', 'AUC', '95 %', 'samples'],
  numbers: [2, 4, 5, 6, 7],
  rows: observed.map(({ line, what, other, medianMs, slowerByMs, auc, low, high, samples }) => [
    line,
    what,
    `${medianMs.toFixed(2)} ms`,
    other,
    `${slowerByMs.toFixed(2)} ms`,
    auc.toFixed(3),
    `${low.toFixed(3)} – ${high.toFixed(3)}`,
    String(samples.length),
  ]),
})

export const tablesOf = (figures: readonly Figure[], observed: readonly Observed[]): Table[] =>
  [figureTable(figures), observedTable(observed)].filter(({ rows }) => rows.length > 0)

const digits: Record<Unit, number> = { s: 2, ms: 1, '/s': 0, bytes: 0, 'off 0.5': 3 }

export const amount = (value: number, unit: Unit): string => {
  const text = value.toLocaleString('en', { minimumFractionDigits: digits[unit], maximumFractionDigits: digits[unit] })
  return unit === '/s' ? `${text}/s` : `${text} ${unit}`
}

const factsOf = ({ date, cpu, cores, memoryGiB, node, postgres, redis }: MachineFacts): string =>
  `${date.slice(0, 10)}, ${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node}, PostgreSQL ${postgres}, Redis ${redis}`

export const asText = (facts: MachineFacts, tables: readonly Table[]): string => {
  const text = ({ heads, numbers, rows }: Table) => {
    const all = [heads, ...rows]
    const widths = heads.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
    const padded = (cell: string, column: number) =>
      numbers.includes(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)
    return all.map((row) => row.map(padded).join('  ').trimEnd()).join('\n')
  }
  return [factsOf(facts), ...tables.map(text)].join('\n\n')
}

export const asMarkdown = (facts: MachineFacts, tables: readonly Table[]): string => {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const markdown = ({ heads, numbers, rows }: Table) =>
    [heads, heads.map((_, column) => (numbers.includes(column) ? '---:' : '---')), ...rows].map(row).join('\n')
  return [factsOf(facts), ...tables.map(markdown)].join('\n\n')
}
