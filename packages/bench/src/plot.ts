export interface Bar {
  readonly label: string
  readonly value: number
  /** The value in words, and how it compares. */
  readonly text: string
  /** Stands out. */
  readonly own: boolean
}

export interface Plot {
  readonly title: string
  /** What is better, and by what the text compares. */
  readonly note: string
  readonly groups: readonly { readonly label?: string; readonly bars: readonly Bar[] }[]
}

const width = 760
const left = 190
const right = 160
const row = 26
const head = 60
const groupHead = 36

/** Bars, longest to the right, as an SVG that can be read on light and dark ground. */
export const draw = ({ title, note, groups }: Plot): string => {
  const longest = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)), Number.MIN_VALUE)
  let y = head
  const text = (x: number, y: number, kind: string, words: string, anchor = 'start') =>
    `<text x="${x}" y="${y}" class="${kind}" text-anchor="${anchor}">${escaped(words)}</text>`
  const body = groups.flatMap(({ label, bars }) => {
    if (label !== undefined) y += groupHead
    const lines = label === undefined ? [] : [text(left, y - 5, 'group', label)]
    for (const { label, value, text: words, own } of bars) {
      // A bar that is there must be seen.
      const length = Math.max(2, (value / longest) * (width - left - right))
      lines.push(
        text(left - 10, y + 17, own ? 'own label' : 'label', label, 'end'),
        `<rect x="${left}" y="${y + 4}" width="${length.toFixed(1)}" height="${row - 8}" rx="3" class="${own ? 'bar ours' : 'bar'}"/>`,
        text(left + length + 8, y + 17, own ? 'own value' : 'value', words),
      )
      y += row
    }
    return lines
  })
  const height = y + 14
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">`,
    `<style>${style}</style>`,
    `<rect width="${width}" height="${height}" rx="8" class="ground"/>`,
    text(20, 28, 'title', title),
    text(20, 48, 'note', note),
    ...body,
    '</svg>',
    '',
  ].join('\n')
}

const style = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .note, .value { fill: #59636e }
  .group, .own { font-weight: 600 }
  .own { fill: #1f2328 }
  .bar { fill: #afb8c1 }
  .ours { fill: #0969da }
  .ground { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .note, .value { fill: #9198a1 }
    .own { fill: #e6edf3 }
    .bar { fill: #59636e }
    .ours { fill: #4493f8 }
    .ground { fill: #0d1117 }
  }
`

const escaped = (words: string): string => words.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)
