/** Longer than any code or token, with all that may be around and inside it. */
const longest = 8_000

/**
 * A code or token as it was issued, of one that a person typed or pasted. Keyboards and mail clients add white space, line
 * breaks, soft hyphens and zero-width characters, put quotes, brackets and full stops around it, and turn `-` into other
 * dashes and letters into full-width ones. None of that is in a secret, so what remains is as hard to guess as before.
 * Case stays, because the alphabet of tokens has both.
 */
export const normalizeTyped = (text: string): string =>
  text
    .slice(0, longest)
    .normalize('NFKC')
    .replace(/[\s\p{Cf}\p{Variation_Selector}]/gu, '')
    .replace(/[\p{Pd}\u2212]/gu, '-')
    .replace(/^[^\p{L}\p{N}_-]+|[^\p{L}\p{N}_-]+$/gu, '')

/**
 * A code of digits alone, as it was issued: grouped by dashes or not, in the digits of Arabic keyboards, and with the letters
 * that look like a digit. That is unambiguous, because such a code has no letters.
 */
export const normalizeDigits = (text: string): string =>
  normalizeTyped(text)
    .replaceAll('-', '')
    .replace(/[٠-٩۰-۹]/g, (digit) => String(digit.charCodeAt(0) & 0xf))
    .replace(/[Oo]/g, '0')
    .replace(/[IiLl|]/g, '1')
