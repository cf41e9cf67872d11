import { LapseError } from './errors.ts'

/** What PostgreSQL's text and JSON cannot hold: NUL, and half of a surrogate pair. */
export const unstorable = /[\0\p{Surrogate}]/u

/** Longer texts would not fit into an index. */
const longest = 500

/** A short text as it may be stored. @throws LapseError `invalid`, naming the field */
export const storableText = (field: string, text: string | undefined): string | null => {
  if (text === undefined) return null
  if (text.length > longest) throw new LapseError('invalid', { field, detail: `At most ${longest} characters.` })
  if (unstorable.test(text))
    throw new LapseError('invalid', { field, detail: 'Text must not hold NUL or broken characters.' })
  return text
}

/** The beginning of a text that somebody else wrote, as it may be stored. */
export const storableStart = (text: string, most: number): string => text.slice(0, most).replaceAll('\0', '')

/** What was thrown, in words; code of others throws anything. */
export const wordsOf = (thrown: unknown): string => {
  if (thrown instanceof LapseError) return thrown.detail ?? thrown.message
  try {
    return String(thrown instanceof Error ? thrown.message : thrown)
  } catch {
    return 'What was thrown cannot be read.'
  }
}
