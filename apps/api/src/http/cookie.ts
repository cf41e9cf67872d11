import type { FastifyReply } from 'fastify'

/** A browser takes it only over HTTPS (or from this very machine), for this host alone, and shows it to no script. */
export const sessionCookie = '__Host-lapse_session'

const attributes = { path: '/', httpOnly: true, secure: true, sameSite: 'lax' } as const

/** As long as the longest session: whether it has ended before is the database's to say. */
const maxAge = 30 * 24 * 60 * 60

export const keepSession = (reply: FastifyReply, token: string) =>
  reply.setCookie(sessionCookie, token, { ...attributes, maxAge })

export const forgetSession = (reply: FastifyReply) => reply.setCookie(sessionCookie, '', { ...attributes, maxAge: 0 })
