/** HTML that may stand in a page as it is. Only {@link html} makes it. */
export class Html {
  readonly #source: string
  constructor(source: string) {
    this.#source = source
  }
  toString(): string {
    return this.#source
  }
}

type Content = string | number | Html | readonly Html[] | false | null | undefined

/** Everything put into it is text and is escaped, for elements and for quoted attributes, unless it is {@link Html} itself. */
export const html = (strings: TemplateStringsArray, ...contents: Content[]): Html =>
  new Html(strings.reduce((source, string, index) => `${source}${written(contents[index - 1])}${string}`))

const written = (content: Content): string => {
  if (content === undefined || content === null || content === false) return ''
  if (content instanceof Html) return content.toString()
  return typeof content === 'object' ? content.join('') : escaped(String(content))
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character] ?? '')

/** Somebody else's words amid ours: whichever way they are written, they turn nothing around that follows. */
export const theirs = (text: string): Html => html`<bdi>${tame(text)}</bdi>`

/** Without the characters that turn text around, and without marks piled so high that they cover their neighbours. */
export const tame = (text: string): string =>
  text.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '').replace(/(\p{M}{4})\p{M}+/gu, '$1')
