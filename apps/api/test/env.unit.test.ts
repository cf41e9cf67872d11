import { EnvironmentError } from 'lapse'
import { describe, expect, it } from 'vitest'
import { readEnv, sha256, variables } from '../src/env.ts'

const services = { DATABASE_URL: 'postgresql://localhost/lapse', REDIS_URL: 'redis://localhost:6379' }
const token = 'a-token-that-is-long-enough-for-this'

const problems = (env: Record<string, string>): string => {
  try {
    readEnv({ ...env })
    return 'none'
  } catch (error) {
    if (error instanceof EnvironmentError) return error.message
    throw error
  }
}

describe('the environment', () => {
  it('tells every problem at once, each with the variable and an example', () => {
    const text = problems({
      PORT: '70000',
      LAPSE_BOARD_WRITABLE: 'yes',
      LAPSE_TRUSTED_PROXIES: '-1',
      LAPSE_ROOT_TOKEN: 'short',
    })
    for (const name of [
      'DATABASE_URL',
      'REDIS_URL',
      'PORT',
      'LAPSE_BOARD_WRITABLE',
      'LAPSE_TRUSTED_PROXIES',
      'LAPSE_ROOT_TOKEN',
    ])
      expect(text).toMatch(new RegExp(`${name}: .+ Example: ${name}=`))
    expect(text).not.toContain('short.')
  })

  it.each([
    ['neither', {}, /LAPSE_ROOT_TOKEN: is missing, and so is LAPSE_ROOT_TOKEN_HASH/],
    ['both', { LAPSE_ROOT_TOKEN: token, LAPSE_ROOT_TOKEN_HASH: sha256(token) }, /both are set/],
    ['a token of 31 characters', { LAPSE_ROOT_TOKEN: 'x'.repeat(31) }, /shorter than 32/],
    ['a token with a space', { LAPSE_ROOT_TOKEN: `${token} ${token}` }, /visible ASCII/],
    ['a hash that is none', { LAPSE_ROOT_TOKEN_HASH: token }, /SHA-256/],
  ])('a root token: %s is refused', (_, env, why) => {
    expect(problems({ ...services, ...env })).toMatch(why)
  })

  it('keeps the hash of the root token and forgets the token', () => {
    const given: Record<string, string> = { ...services, LAPSE_ROOT_TOKEN: token }
    const env = readEnv(given)
    expect(env.rootTokenHash).toBe(sha256(token))
    expect(JSON.stringify([env, given])).not.toContain(token)
  })

  it('hides what is secret, and is closed by default', () => {
    expect(
      Object.entries(variables)
        .filter(([, one]) => 'secret' in one && one.secret)
        .map(([name]) => name),
    ).toEqual(['LAPSE_SECRET', 'LAPSE_ROOT_TOKEN', 'LAPSE_ROOT_TOKEN_HASH', 'LAPSE_BOARD_PASSWORD'])
    expect(readEnv({ ...services, LAPSE_ROOT_TOKEN: token })).toMatchObject({
      HOST: '127.0.0.1',
      PORT: 3000,
      LAPSE_BOARD_USER: 'lapse',
      LAPSE_BOARD_PASSWORD: undefined,
      LAPSE_BOARD_WRITABLE: false,
      LAPSE_TRUSTED_PROXIES: 0,
    })
  })
})
