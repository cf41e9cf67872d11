import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { foldCode } from '../src/products/code.ts'
import { newCode, newToken, readToken } from '../src/secret.ts'
import { normalizeDigits, normalizeTyped } from '../src/typed.ts'

const fullWidth = (text: string) =>
  text.replace(/[!-~]/g, (character) => String.fromCharCode(character.charCodeAt(0) + 0xfee0))
const inside = (text: string, what: string) => [...text].join(what)

/** What keyboards and mail clients make of a secret. */
export const asTyped: [string, (secret: string) => string][] = [
  ['with white space around it', (secret) => `\t ${secret}\r\n`],
  ['in quotes', (secret) => `"${secret}"`],
  ['in typographic quotes', (secret) => `„${secret}“`],
  ['in guillemets', (secret) => `« ${secret} »`],
  ['in angle brackets', (secret) => `<${secret}>.`],
  ['at the end of a sentence', (secret) => `${secret}.`],
  ['with an ellipsis', (secret) => `${secret}…`],
  ['with a comma', (secret) => `(${secret}),`],
  ['with soft hyphens', (secret) => inside(secret, '\u00ad')],
  ['with zero-width spaces', (secret) => inside(secret, '\u200b')],
  ['with joiners and a byte-order mark', (secret) => `\ufeff${inside(secret, '\u200d')}`],
  ['with non-breaking spaces', (secret) => inside(secret, '\u00a0')],
  ['broken over lines', (secret) => inside(secret, '\r\n ')],
  ['with directions', (secret) => `\u2067${secret}\u2069\u200e`],
  ['in full width', fullWidth],
  ...['‐', '‑', '–', '—', '−', '－'].map((dash): [string, (secret: string) => string] => [
    `with ${dash} for a dash`,
    (secret) => secret.replaceAll('-', dash),
  ]),
]

describe('what a person types or pastes', () => {
  it.each(asTyped)('is the token, the code and the promo code that was meant: %s', (_, typed) => {
    const { token, selector, verifier } = newToken('share-link')
    expect(readToken('share-link', normalizeTyped(typed(token)))).toEqual({ selector, verifier, genuine: true })
    const code = newCode()
    expect(normalizeDigits(typed(code))).toBe(code)
    expect(foldCode(typed('K7QM2-XHPRW'))).toBe('K7QM2XHPRW')
  })

  it('of a code of digits may be grouped, in Arabic digits, or have letters that look like digits', () => {
    for (const typed of [
      '1234-0010',
      '1234 00lO',
      '１２３４００１０',
      '١٢٣٤٠٠١٠',
      '۱۲۳۴۰۰۱۰',
      'I2340oi0',
      '1234–0010.',
    ])
      expect(normalizeDigits(typed)).toBe('12340010')
  })

  it('keeps its case and every character that a secret can have, at its ends too', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[\w-]{1,200}$/), (secret) => {
        expect(normalizeTyped(secret)).toBe(secret)
      }),
    )
  })

  it('is never taken for another secret', () => {
    const { token } = newToken('invite')
    for (const other of [
      token.toLowerCase(),
      `${token}a`,
      token.replace(/.$/, '!'),
      `${token}${token}`,
      token.slice(1),
    ])
      expect(readToken('invite', normalizeTyped(other)).genuine).toBe(false)
    expect(normalizeTyped('x'.repeat(100_000))).toHaveLength(8_000)
  })
})
