import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { HttpError } from './problem.ts'

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Compares by hash: equal length for everybody, in constant time. */
export const isSame = (given: string, expected: Buffer): boolean => timingSafeEqual(digest(given), expected)

export const bearerOf = ({ authorization = '' }: FastifyRequest['headers']): string | undefined =>
  /^bearer +(\S+) *$/i.exec(authorization)?.[1]

export const noToken = (): HttpError =>
  new HttpError('unauthorized', {
    detail: 'Send the header "Authorization: Bearer <token>".',
    headers: { 'www-authenticate': 'Bearer realm="lapse"' },
  })

export const unknownToken = (): HttpError =>
  new HttpError('unauthorized', {
    detail: 'This token is not known here, or not good any more. Create or rotate one, and send that.',
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
