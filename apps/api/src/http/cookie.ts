import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Viewing } from 'lapse'

/** A browser takes it only over HTTPS (or from this very machine), for this host alone, and shows it to no script. */
export const sessionCookie = '__Host-lapse_session'

const attributes = { path: '/', httpOnly: true, secure: true, sameSite: 'lax' } as const

/** For as long as the longest session: whether it has ended before is the database's to say. */
export const keepSession = (reply: FastifyReply, token: string, longestMs: number) =>
  reply.setCookie(sessionCookie, token, { ...attributes, maxAge: Math.ceil(longestMs / 1_000) })

export const forgetSession = (reply: FastifyReply) => reply.setCookie(sessionCookie, '', { ...attributes, maxAge: 0 })

/** One for each link, so that several can be open. Whether it is still good is the database's to say here too. */
const passCookie = (linkId: string): string => `__Secure-lapse_view_${linkId}`

export const keepPass = (reply: FastifyReply, { link, pass, expiresAt }: Viewing) => {
  const seconds = Math.ceil((expiresAt.getTime() - link.seenAt.getTime()) / 1_000)
  return reply.setCookie(passCookie(link.id), pass, { ...attributes, path: '/share-links', maxAge: seconds })
}

export const passOf = ({ cookies }: FastifyRequest, linkId: string): string | undefined => cookies[passCookie(linkId)]
