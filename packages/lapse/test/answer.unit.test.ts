import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { excerpt, retryAfterMs, secretsIn } from '../src/outbound/answer.ts'

const day = 86_400_000
const wait = (retryAfter: string, date?: string) =>
  retryAfterMs({ 'retry-after': retryAfter, ...(date !== undefined && { date }) })

describe('Retry-After', () => {
  it('whatever it says is a whole number of milliseconds, from none to a day', () => {
    const anything = fc.oneof(
      fc.string(),
      fc.integer().map(String),
      fc.bigInt().map(String),
      fc.double().map(String),
      fc.date().map((date) => (Number.isNaN(Number(date)) ? 'Invalid Date' : date.toUTCString())),
    )
    fc.assert(
      fc.property(anything, fc.option(anything, { nil: undefined }), (text, date) => {
        const ms = wait(text, date)
        expect(Number.isInteger(ms) && ms >= 0 && ms <= day).toBe(true)
      }),
    )
  })

  it('in seconds is those seconds, up to a day', () => {
    fc.assert(
      fc.property(fc.nat({ max: 10 ** 9 }), (seconds) => {
        expect(wait(String(seconds))).toBe(Math.min(day, seconds * 1_000))
      }),
    )
  })

  it('as an instant is the time until then by the clock of whoever says so, whatever ours says', () => {
    const instant = fc.date({ min: new Date('1990-01-01'), max: new Date('2090-01-01'), noInvalidDate: true })
    fc.assert(
      fc.property(instant, fc.integer({ min: -2 * 86_400, max: 2 * 86_400 }), (date, seconds) => {
        const now = Math.floor(Number(date) / 1_000) * 1_000
        const [then, at] = [new Date(now + seconds * 1_000), new Date(now)].map((one) => one.toUTCString())
        expect(wait(then ?? '', at)).toBe(Math.min(day, Math.max(0, seconds * 1_000)))
      }),
    )
  })

  it.each([
    '',
    ' ',
    '-1',
    '1.5',
    '1e3',
    '0x10',
    '+5',
    'soon',
    '2030-01-01T00:00:00Z',
    '1 Jan 2030',
    'Tue, 99 Jan 2030 00:00:00 GMT',
  ])('%j says nothing', (text) => expect(wait(text)).toBe(0))

  it('that is not there says nothing', () => expect(retryAfterMs({})).toBe(0))
})

describe('what is kept of an answer', () => {
  it('never holds a secret as it is, as JSON or as part of a query', () => {
    const secret = fc
      .string({ minLength: 4, maxLength: 40, unit: 'grapheme-ascii' })
      .filter((text) => !'[removed]'.includes(text))
    fc.assert(
      fc.property(secret, fc.string(), fc.string(), (one, before, after) => {
        for (const echo of [one, JSON.stringify(one), encodeURIComponent(one)])
          expect(excerpt(`${before.repeat(2)}|${echo}|${after}`, [one])).not.toContain(one)
      }),
    )
  })

  it('never holds the beginning of a secret that its end has cut in two', () => {
    const secret = fc.string({ minLength: 4, maxLength: 40 }).filter((text) => !'[removed]'.includes(text.slice(0, 4)))
    fc.assert(
      fc.property(secret, fc.nat(), (one, cut) => {
        const part = one.slice(0, Math.max(4, cut % (one.length + 1)))
        expect(excerpt(`before it: ${part}`, [one])).toBe('before it: [removed]')
      }),
    )
    expect(excerpt('x'.repeat(70_000), ['x'.repeat(60_000)])).toBe('[removed]')
  })

  it('loses of headers their values and the words of these, but not what anybody may know', () => {
    const headers = { Authorization: 'Bearer abcdef', 'Content-Type': 'text/plain', Cookie: 'id=123456; theme=dark' }
    expect(excerpt('Bearer abcdef | abcdef | 123456 | text/plain', secretsIn(headers))).toBe(
      '[removed] | [removed] | [removed] | text/plain',
    )
  })

  it('has at most 1,000 characters', () => expect(excerpt('x'.repeat(70_000), [])).toHaveLength(1_000))
})
