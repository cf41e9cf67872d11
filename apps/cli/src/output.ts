const colours = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 } as const
export type Colour = keyof typeof colours

const isColoured = process.stdout.isTTY === true && !process.env.NO_COLOR

export const paint = (colour: Colour, text: string): string =>
  isColoured ? `\u001b[${colours[colour]}m${text}\u001b[0m` : text

export const print = (text = ''): void => void process.stdout.write(`${text}\n`)
export const printJson = (value: unknown): void => print(JSON.stringify(value, null, 2))

/** For people beside the result: not on stdout, which may be read by a program. */
export const note = (text: string): void => void process.stderr.write(`${text}\n`)

/** Columns as wide as their widest cell; empty cells at the end are left out. */
export const table = (rows: readonly (readonly string[])[], indent = ''): string => {
  const widths: number[] = []
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  return rows
    .map(
      (row) =>
        indent +
        row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd(),
    )
    .join('\n')
}

/** "3 trial, 1 invite". */
export const counted = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `${count} ${name}`)
    .join(', ')

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const

/** "2 d 4 h": the two largest units. */
export const lasting = (ms: number): string => {
  const words: string[] = []
  let rest = Math.abs(ms)
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) words.push(`${count} ${unit}`)
  }
  return words.slice(0, 2).join(' ') || `${Math.round(Math.abs(ms))} ms`
}

/** An instant, and how far it is from `now`. */
export const moment = (at: Date, now: Date): string => {
  const ms = at.getTime() - now.getTime()
  return `${at.toISOString()}  ${ms >= 0 ? `in ${lasting(ms)}` : `${lasting(ms)} ago`}`
}
