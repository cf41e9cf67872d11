import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { HttpError } from './problem.ts'

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Compares by hash: equal length for everybody, in constant time. */
export const isSame = (given: string, expected: Buffer): boolean => timingSafeEqual(digest(given), expected)

/** Lets a request through that bears the token of this hash. */
export const requireToken = (hash: string) => {
  const expected = Buffer.from(hash, 'hex')
  return async ({ headers }: FastifyRequest): Promise<void> => {
    const [, token] = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '') ?? []
    if (token === undefined)
      throw new HttpError('unauthorized', {
        detail: 'Send the header "Authorization: Bearer <token>".',
        headers: { 'www-authenticate': 'Bearer realm="lapse"' },
      })
    if (!isSame(token, expected))
      throw new HttpError('unauthorized', {
        detail: 'This token is not known here.',
        headers: { 'www-authenticate': 'Bearer realm="lapse", error="invalid_token"' },
      })
  }
}

/** Whether a login is this one. Both halves are always compared. */
export const login = (user: string, password: string) => {
  const [expectedUser, expectedPassword] = [digest(user), digest(password)]
  return (givenUser: string, givenPassword: string): boolean => {
    const sameUser = isSame(givenUser, expectedUser)
    return isSame(givenPassword, expectedPassword) && sameUser
  }
}
