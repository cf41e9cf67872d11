import type { Happening, Letter, LetterContext, Resource, Template } from '@lapse/domain'
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
  carried: Pick<LetterContext, 'url' | 'secret' | 'secrets'>,
): Rendered => {
  const { resource } = happening
  const remaining = inWords(remainingMs(resource))
  const letter = template({ ...happening, ...carried, remaining, until: inFull(until(resource)) })
  return { subject: oneLine(letter.subject), text: asText(letter), html: asHtml(letter) }
}

/** While it is active that is its end; in grace, the end of grace. */
const until = (resource: Resource): Date => (resource.status === 'active' ? resource.expiresAt : resource.endsAt)

const remainingMs = (resource: Resource): number => until(resource).getTime() - resource.seenAt.getTime()

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim()

const asText = ({ lines, action }: Letter): string =>
  [...lines, ...(action ? [`${action.label}: ${action.url}`] : [])].join('\n\n')

const asHtml = ({ subject, lines, action }: Letter): string => `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>${escaped(subject)}</title></head>
<body style="margin:0;padding:32px 16px;font:16px/1.5 system-ui,sans-serif">
<div style="max-width:34em;margin:0 auto">
${lines.map((line) => `<p style="margin:0 0 16px">${escaped(line)}</p>`).join('\n')}
${action ? `<p style="margin:24px 0"><a href="${escaped(action.url)}">${escaped(action.label)}</a></p>` : ''}
</div>
</body>
</html>
`

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character] ?? '')
