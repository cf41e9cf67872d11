import { randomInt } from 'node:crypto'
import { LapseError } from '../errors.ts'
import { normalizeTyped } from '../typed.ts'

/** Digits and letters that are taken for no other, and no vowels: they would make words. */
const alphabet = '2346789BCDFGHJKMPQRTWXY'

/** Ten characters, 45 bits, as in `K7QM2-XHPRW`. */
export const newPromoCode = (): string => {
  const letters = Array.from({ length: 10 }, () => alphabet[randomInt(alphabet.length)]).join('')
  return `${letters.slice(0, 5)}-${letters.slice(5)}`
}

const alike: Record<string, string> = { O: '0', I: '1', L: '1', U: 'V' }

/**
 * What two codes have in common that a person takes for the same: without case, spaces and dashes, with one character for
 * those that look alike. Nothing for what is no code at all.
 */
export const foldCode = (typed: string): string | undefined => {
  if (typed.length > 100) return undefined
  const bare = normalizeTyped(typed).toUpperCase().replaceAll('-', '')
  return /^[0-9A-Z]{4,32}$/.test(bare) ? bare.replace(/[OILU]/g, (letter) => alike[letter] ?? '') : undefined
}

/** A code of the issuer's own choice, as it is to be shown. @throws LapseError `invalid` */
export const chosenCode = (code: string): string => {
  if (!/^[0-9A-Za-z-]{4,32}$/.test(code) || foldCode(code) === undefined)
    throw new LapseError('invalid', {
      field: 'code',
      detail: '4 to 32 letters, digits and dashes, four of them letters or digits; such as SUMMER-26.',
    })
  return code.toUpperCase()
}
