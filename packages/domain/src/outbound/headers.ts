import { LapseError } from '../errors.ts'

/** What the connection and the message's length are made of, or what only a proxy is told. */
const ours = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Without `_`: many servers read it as `-`, so that `content_length` would be one of ours. */
const token = /^[!#$%&'*+.^`|~0-9a-z-]{1,100}$/i
const visible = /^[\t\x20-\x7e]{0,4000}$/

/**
 * Headers that somebody wants to be sent with a call, as they will be sent: nothing that ends a line, and none that says
 * where the message goes or how long it is.
 *
 * @throws LapseError `invalid`, naming the header
 */
export const checkHeaders = (
  headers: Readonly<Record<string, string>>,
  { most, field = 'headers' }: { most: number; field?: string },
): Record<string, string> => {
  const all = Object.entries(headers)
  if (all.length > most) throw new LapseError('invalid', { field, detail: `At most ${most} headers.` })
  const taken = new Set<string>()
  for (const [name, value] of all) {
    const no = (detail: string) => new LapseError('invalid', { field: `${field}.${name.slice(0, 100)}`, detail })
    const lower = name.toLowerCase()
    if (!token.test(name)) throw no('The name of a header has letters, digits and hyphens, and no underscore.')
    if (ours.has(lower) || lower.startsWith('proxy-')) throw no('This header is set by Lapse. Leave it out.')
    if (taken.has(lower)) throw no('This header is there twice.')
    if (!visible.test(value)) throw no('The value of a header has at most 4000 characters of ASCII, and no line break.')
    taken.add(lower)
  }
  return Object.fromEntries(all.map(([name, value]) => [name, value.trim()]))
}
