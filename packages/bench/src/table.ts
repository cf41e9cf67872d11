import type { MachineFacts } from './machine.ts'
import type { Figure } from './measure.ts'

const heads = ['line', 'what', 'Lapse', 'yardstick', '', 'ratio', 'target', '']

const cellsOf = ({ line, what, unit, value, yardstick, ratio, target }: Figure): string[] => [
  line,
  what,
  amount(value, unit),
  yardstick?.what ?? '',
  yardstick ? amount(yardstick.value, unit) : '',
  ratio === undefined ? '' : ratio.toFixed(2),
  target?.what ?? '',
  target ? (target.met ? 'met' : 'missed') : '',
]

const amount = (value: number, unit: Figure['unit']): string => {
  const digits = unit === 's' ? 2 : unit === 'ms' ? 1 : 0
  const text = value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  return unit === '/s' ? `${text}/s` : `${text} ${unit}`
}

const factsOf = ({ date, cpu, cores, memoryGiB, node, postgres, redis }: MachineFacts): string =>
  `${date.slice(0, 10)}, ${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node}, PostgreSQL ${postgres}, Redis ${redis}`

export const asText = (facts: MachineFacts, figures: readonly Figure[]): string => {
  const rows = [heads, ...figures.map(cellsOf)]
  const widths = heads.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (isNumber(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  return `${factsOf(facts)}\n\n${lines.join('\n')}`
}

export const asMarkdown = (facts: MachineFacts, figures: readonly Figure[]): string => {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const ruler = heads.map((_, column) => (isNumber(column) ? '---:' : '---'))
  return `${factsOf(facts)}\n\n${[heads, ruler, ...figures.map(cellsOf)].map(row).join('\n')}`
}

const isNumber = (column: number): boolean => column === 2 || column === 4 || column === 5
