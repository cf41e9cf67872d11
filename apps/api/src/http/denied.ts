import type { FastifyReply } from 'fastify'
import { LapseError } from 'lapse'
import { z } from 'zod'

const { code, status, message } = new LapseError('token_not_valid')

/** Nothing in it tells one from another, not even the id of the request. */
export const deniedProblem = { type: `urn:lapse:problem:${code}`, title: message, status, code } as const

const bytes = JSON.stringify(deniedProblem)

/** The one answer to whoever holds a token, or a code, that is not good, whatever the reason; its event has that. */
export const sendDenied = (reply: FastifyReply) =>
  reply.code(status).header('cache-control', 'no-store').type('application/problem+json').send(bytes)

export const TokenNotValid = z
  .object({ type: z.string(), title: z.string(), status: z.literal(status), code: z.literal(code) })
  .meta({
    id: 'TokenNotValid',
    description:
      'The same bytes for a token that is unknown, malformed, expired, revoked, used, superseded, suspended or deleted.',
  })

/** For the documentation of a route. */
export const denied: object = {
  [status]: { description: 'It is not good.', content: { 'application/problem+json': { schema: TokenNotValid } } },
}
