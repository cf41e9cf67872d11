import { z } from 'zod'
import { LapseError } from './errors.ts'
import { storableText } from './text.ts'

/** Bidirectional marks, embeddings, overrides and isolates: they show a text as another than it is, and turn what follows. */
const turning = '\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069'
const misleading = new RegExp(`[\\p{Cc}\\p{Zl}\\p{Zp}${turning}]`, 'u')
const allTurning = new RegExp(`[${turning}]`, 'gu')
const notALine = 'One line that can be read, without control characters.'

const isLine = (text: string): boolean =>
  !misleading.test(text) && /[\p{L}\p{N}\p{S}\p{P}]/u.test(text.replace(/[\u115f\u1160\u3164\uffa0]/g, ''))

/** A text that people read in one line: 1 to `longest` characters. @throws LapseError `invalid`, naming the field */
export const lineOf = (field: string, text: string, longest: number): string => {
  const line = storableText(field, text.trim()) ?? ''
  if (line === '' || line.length > longest)
    throw new LapseError('invalid', { field, detail: `1 to ${longest} characters.` })
  // They would be shown as something else than they are, in mails and on pages.
  if (!isLine(line)) throw new LapseError('invalid', { field, detail: notALine })
  return line
}

/** The schema of a text of others that stands in a mail: one line that can be read, of 1 to `longest` characters. */
export const singleLine = (longest: number) =>
  z
    .string()
    .min(1)
    .max(longest)
    .refine((text) => isLine(text.trim()), notALine)
    .overwrite((text) => text.trim())

/** The same for what people write as several lines: line breaks become spaces. */
export const flowingText = (longest: number) =>
  z
    .string()
    .min(1)
    .max(longest)
    .overwrite((text) => text.replace(/\s+/g, ' ').trim())
    .refine(isLine, notALine)

/** What remains of a text as one line of at most `longest` characters, for where it is shown. */
export const asLine = (text: string, longest: number): string => {
  const line = text
    .slice(0, 4 * longest)
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .replace(allTurning, '')
    .trim()
  const characters = [...line]
  return characters.length > longest ? `${characters.slice(0, longest - 1).join('')}…` : line
}
