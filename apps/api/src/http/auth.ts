import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { Limits } from './limits.ts'
import { HttpError } from './problem.ts'

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Compares by hash: equal length for everybody, in constant time. */
export const isSame = (given: string, expected: Buffer): boolean => timingSafeEqual(digest(given), expected)

/**
 * Lets a request through that bears the token of this hash. The right token passes whatever was tried from its address: it
 * cannot be guessed, and a neighbour with an outdated one must not lock others out.
 */
export const requireToken = (hash: string, { token: limit }: Limits) => {
  const expected = Buffer.from(hash, 'hex')
  return async ({ headers, ip }: FastifyRequest): Promise<void> => {
    const token = bearerOf(headers)
    if (token === undefined) throw noToken()
    if (isSame(token, expected)) return
    await limit.failed(ip)
    throw unknownToken()
  }
}

export const bearerOf = ({ authorization = '' }: FastifyRequest['headers']): string | undefined =>
  /^bearer +(\S+) *$/i.exec(authorization)?.[1]

export const noToken = (): HttpError =>
  new HttpError('unauthorized', {
    detail: 'Send the header "Authorization: Bearer <token>".',
    headers: { 'www-authenticate': 'Bearer realm="lapse"' },
  })

export const unknownToken = (): HttpError =>
  new HttpError('unauthorized', {
    detail: 'This token is not known here.',
    headers: { 'www-authenticate': 'Bearer realm="lapse", error="invalid_token"' },
  })

/** Whether a login is this one. Both halves are always compared. */
export const login = (user: string, password: string) => {
  const [expectedUser, expectedPassword] = [digest(user), digest(password)]
  return (givenUser: string, givenPassword: string): boolean => {
    const sameUser = isSame(givenUser, expectedUser)
    return isSame(givenPassword, expectedPassword) && sameUser
  }
}
