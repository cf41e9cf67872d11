import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isSame, newCode, newToken, readToken, Secrets } from '../src/secret.ts'
import { base62, checksum, mixed, provingHalf } from './tokens.ts'

/** How far counts are from all being alike, in standard deviations of that distance. */
const unevenness = (counts: readonly number[]): number => {
  const expected = counts.reduce((sum, n) => sum + n, 0) / counts.length
  const chiSquare = counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
  const freedom = counts.length - 1
  return (chiSquare - freedom) / Math.sqrt(2 * freedom)
}

describe('a token', () => {
  it('names Lapse and its kind; 16 characters find it, 43 prove it, 6 tell it from what only looks like one', () => {
    const { token, selector } = newToken('api-token')
    expect(token).toMatch(/^lps_api-token_[0-9A-Za-z]{65}$/)
    expect(token.slice('lps_api-token_'.length)).toMatch(new RegExp(`^${selector}[0-9A-Za-z]{43}[0-9A-Za-z]{6}$`))
    expect(token.slice(-6)).toBe(checksum(token.slice(0, -6)))
  })

  it('is read back, and only a hash of its proving half is kept', () => {
    const { token, selector, verifier } = newToken('invite')
    expect(readToken('invite', token)).toEqual({ selector, verifier, genuine: true })
    expect(verifier).toHaveLength(32)
    expect(verifier.toString('latin1')).not.toContain(provingHalf(token))
  })

  it('is another each time, of all 62 characters alike', () => {
    const tokens = Array.from({ length: 500 }, () => newToken('x').token.slice('lps_x_'.length, -6))
    expect(new Set(tokens).size).toBe(500)
    const counts = [...base62].map((character) => tokens.join('').split(character).length - 1)
    expect(unevenness(counts)).toBeLessThan(6)
  })

  it('of two halves that do not belong together is genuine to look at, and proves nothing', () => {
    const [one, other] = [newToken('invite'), newToken('invite')]
    const read = readToken('invite', mixed(one.token, other.token))
    expect(read).toMatchObject({ genuine: true, selector: one.selector })
    expect(isSame(read.verifier, one.verifier)).toBe(false)
  })

  it('with any one character changed is none', () => {
    const { token } = newToken('invite')
    const changed = fc
      .tuple(fc.nat(token.length - 1), fc.constantFrom(...base62, '_', '-', ' ', 'é', '\0'))
      .filter(([at, character]) => token[at] !== character)
      .map(([at, character]) => token.slice(0, at) + character + token.slice(at + 1))
    fc.assert(fc.property(changed, (text) => !readToken('invite', text).genuine))
  })

  it.each([
    ['nothing', () => ''],
    ['only a prefix', () => 'lps_invite_'],
    ['of another kind', () => newToken('session').token],
    ['of a kind that begins alike', () => newToken('invite-2').token],
    ['too short', () => newToken('invite').token.slice(0, -1)],
    ['too long', () => `${newToken('invite').token}0`],
    ['with a line break', () => `${newToken('invite').token}\n`],
    ['with a space before it', () => ` ${newToken('invite').token}`],
    ['without its prefix', () => newToken('invite').token.slice('lps_invite_'.length)],
    ['in another letter case', () => newToken('invite').token.toUpperCase()],
    ['enormous', () => `lps_invite_${'a'.repeat(1_000_000)}`],
    ['not text of this world', () => 'lps_invite_\ud800\0💥'],
  ])('that is malformed (%s) gives halves that belong to nothing, other ones each time', (_, make) => {
    const text = make()
    const [one, other] = [readToken('invite', text), readToken('invite', text)]
    expect(one).toMatchObject({ genuine: false, selector: expect.stringMatching(/^[0-9A-Za-z]{16}$/) })
    expect(one.verifier).toHaveLength(32)
    expect(other.selector).not.toBe(one.selector)
    expect(isSame(one.verifier, other.verifier)).toBe(false)
  })
})

describe('the comparison', () => {
  const given = newToken('x').verifier

  it('knows the same from another', () => {
    expect(isSame(given, Buffer.from(given))).toBe(true)
    expect(isSame(given, newToken('x').verifier)).toBe(false)
  })

  it('with nothing, or with what is too short or too long, says no and does not throw', () => {
    for (const stored of [null, undefined, Buffer.alloc(0), given.subarray(1), Buffer.concat([given, given])])
      expect(isSame(given, stored)).toBe(false)
    // Not even of what it compares with for want of anything else.
    for (const stored of [null, undefined]) expect(isSame(Buffer.alloc(32), stored)).toBe(false)
  })
})

describe('a seal', () => {
  const secrets = new Secrets(['the one key'])
  const carried = { token: newToken('invite').token, invite: 'another' }

  it('is opened for the resource it was made for, and for no other', () => {
    const sealed = secrets.seal('one', carried)
    expect(secrets.open('one', sealed)).toEqual(carried)
    expect(secrets.open('one', new Uint8Array(sealed))).toEqual(carried)
    expect(() => secrets.open('two', sealed)).toThrow(expect.objectContaining({ code: 'not_configured' }))
  })

  it('shows nothing of what is in it, and is another each time', () => {
    const sealed = secrets.seal('one', carried)
    expect(sealed.toString('latin1')).not.toContain(carried.token.slice(20, 40))
    expect(secrets.seal('one', carried)).not.toEqual(sealed)
  })

  it('with any byte changed, cut or added, stays closed', () => {
    const sealed = secrets.seal('one', { token: 't' })
    for (let at = 1; at < sealed.length; at++) {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(() => secrets.open('one', changed)).toThrow()
    }
    for (const other of [sealed.subarray(0, -1), Buffer.concat([sealed, Buffer.alloc(1)]), Buffer.alloc(0)])
      expect(() => secrets.open('one', other)).toThrow(expect.objectContaining({ code: 'not_configured' }))
  })

  it('outlives a change of keys for as long as the old key is told too', () => {
    const changed = new Secrets(['a newer key', 'the one key'])
    expect(changed.open('one', secrets.seal('one', carried))).toEqual(carried)
    expect(() => secrets.open('one', changed.seal('one', carried))).toThrow()
    expect(() => new Secrets(['a newer key']).open('one', secrets.seal('one', carried))).toThrow()
  })

  it('without any key is not made', () => {
    for (const act of [() => new Secrets([]).seal('one', {}), () => new Secrets([]).codeVerifier('one', '12345678')])
      expect(act).toThrow(expect.objectContaining({ code: 'not_configured', status: 503 }))
  })
})

describe('a code', () => {
  const secrets = new Secrets(['the one key'])

  it('has eight digits, all alike, leading zeros too', () => {
    const codes = Array.from({ length: 5_000 }, newCode)
    for (const code of codes) expect(code).toMatch(/^\d{8}$/)
    for (let place = 0; place < 8; place++) {
      const counts = Array.from({ length: 10 }, (_, digit) => codes.filter((c) => c[place] === `${digit}`).length)
      expect(unevenness(counts)).toBeLessThan(6)
    }
  })

  it('is good for its own resource alone', () => {
    const stored = secrets.codeVerifier('one', '12345678')
    expect(secrets.isCode('one', '12345678', stored)).toBe(true)
    expect(secrets.isCode('one', '12345678', new Uint8Array(stored))).toBe(true)
    expect(secrets.isCode('two', '12345678', stored)).toBe(false)
    for (const code of ['12345679', '', '1234567', '123456789']) expect(secrets.isCode('one', code, stored)).toBe(false)
    for (const nothing of [null, undefined]) expect(secrets.isCode('one', '12345678', nothing)).toBe(false)
  })

  it('is hashed with the key: whoever has the table alone cannot try all of them', () => {
    const stored = secrets.codeVerifier('one', '12345678')
    expect(new Secrets(['another key']).isCode('one', '12345678', stored)).toBe(false)
    expect(new Secrets(['a newer key', 'the one key']).isCode('one', '12345678', stored)).toBe(true)
    expect(new Secrets([]).isCode('one', '12345678', stored)).toBe(false)
  })
})
