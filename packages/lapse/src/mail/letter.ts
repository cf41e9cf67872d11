import type { Happening, Letter, LetterContext, Resource, Template } from '@lapse/domain'
import { asLine } from '@lapse/domain'
import { inFull, inWords } from './words.ts'

export interface Rendered {
  readonly subject: string
  readonly text: string
  readonly html: string
}

/** Fills a template in with what really remains now, and sets it as text and as HTML. */
export const render = (
  template: Template,
  happening: Happening,
  carried: Pick<LetterContext, 'url' | 'secret' | 'secrets' | 'unsubscribe'>,
): Rendered => {
  const { resource } = happening
  const remaining = inWords(remainingMs(resource))
  const letter = template({ ...happening, ...carried, remaining, until: inFull(until(resource)) })
  return asLetter(letter, carried.unsubscribe)
}

/** As text and as HTML. @throws TypeError for what is no letter */
export const asLetter = (letter: Letter, unsubscribe?: string): Rendered => {
  const subject = typeof letter?.subject === 'string' ? asLine(letter.subject, longestSubject) : ''
  if (subject === '') throw new TypeError('it gave no subject')
  if (!Array.isArray(letter.lines) && !(letter.text && letter.html))
    throw new TypeError('it gave neither lines nor both of text and html')
  const { action } = letter
  const clean = {
    subject,
    lines: (letter.lines ?? []).map((line) => asLine(String(line), longestLine)),
    ...(action && { action: { label: asLine(action.label, longestSubject), url: asLine(action.url, longestLine) } }),
  }
  return { subject, text: letter.text ?? asText(clean, unsubscribe), html: letter.html ?? asHtml(clean, unsubscribe) }
}

/** While it is active that is its end; in grace, the end of grace. */
const until = (resource: Resource): Date => (resource.status === 'active' ? resource.expiresAt : resource.endsAt)

const remainingMs = (resource: Resource): number => until(resource).getTime() - resource.seenAt.getTime()

/** Nothing in it may end the header, or be taken for a part of another; and no mail server takes a line without end. */
const longestSubject = 250
/** A paragraph. Whatever others wrote stands in it as one line, as on every page. */
const longestLine = 5_000

const asText = ({ lines = [], action }: Letter, unsubscribe?: string): string =>
  [
    ...lines,
    ...(action ? [`${action.label}: ${action.url}`] : []),
    ...(unsubscribe ? [`${stop}: ${unsubscribe}`] : []),
  ].join('\n\n')

const stop = 'No more reminders by mail'

const asHtml = ({ subject, lines = [], action }: Letter, unsubscribe?: string): string => `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>${escaped(subject)}</title></head>
<body style="margin:0;padding:32px 16px;font:16px/1.5 system-ui,sans-serif">
<div style="max-width:34em;margin:0 auto">
${lines.map((line) => `<p style="margin:0 0 16px">${escaped(line)}</p>`).join('\n')}
${action ? `<p style="margin:24px 0"><a href="${escaped(action.url)}">${escaped(action.label)}</a></p>` : ''}
${unsubscribe ? `<p style="margin:32px 0 0;font-size:14px"><a href="${escaped(unsubscribe)}">${stop}</a></p>` : ''}
</div>
</body>
</html>
`

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character] ?? '')
