import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { type ApiToken, type By, type Lapse, LapseError, type Session, type User } from 'lapse'
import type { App } from '../routes/route.ts'
import { bearerOf, isSame, noToken, unknownToken } from './auth.ts'
import { sessionCookie } from './cookie.ts'
import type { Limits } from './limits.ts'
import { HttpError } from './problem.ts'

/** Who asks: the host application, by its root token or another, somebody who is signed in, or nobody that is known. */
export type Who =
  | { readonly is: 'root' }
  | { readonly is: 'token'; readonly apiToken: ApiToken }
  | { readonly is: 'user'; readonly user: User; readonly session: Session }
  | { readonly is: 'nobody' }

declare module 'fastify' {
  interface FastifyRequest {
    who: Who
  }
}

const nobody: Who = { is: 'nobody' }

/**
 * Finds out who asks, for the routes of this scope: by the root token, an API token, or a session's, which comes as a bearer
 * token or in the cookie. A session that has ended is nobody's, for one can sign in again.
 *
 * A right token passes whatever was tried from its address: it cannot be guessed, and a neighbour with an outdated one must
 * not lock others out.
 */
export const knowWho = (scope: App, { lapse, limits, hash }: { lapse: Lapse; limits: Limits; hash: string }): void => {
  const root = Buffer.from(hash, 'hex')

  const bySession = async (token: string, ip: string): Promise<Who> => {
    const found = await lapse.sessions.authenticate(token)
    if (found.status === 'valid') return { is: 'user', user: found.user, session: found.session }
    // One that has ended is no guess: open tabs go on sending it.
    if (!found.known) await limits.token.failed(ip)
    return nobody
  }

  /** One answer, whatever is wrong with it. */
  const byApiToken = async (token: string, ip: string): Promise<Who> => {
    const found = isApiToken.test(token) ? await lapse.apiTokens.verify(token) : undefined
    if (found?.status !== 'valid') {
      await limits.token.failed(ip)
      throw unknownToken()
    }
    await limits.use(found.apiToken)
    return { is: 'token', apiToken: found.apiToken }
  }

  const who = async (request: FastifyRequest): Promise<Who> => {
    const { headers, cookies, ip } = request
    if (!headers.authorization) {
      const token = cookies[sessionCookie]
      if (!token) return nobody
      if (!isSafe(request) && !isOwnPage(request))
        throw new HttpError('forbidden', { detail: 'The cookie acts only for pages of our own.' })
      return bySession(token, ip)
    }
    const token = bearerOf(headers)
    if (token === undefined) throw noToken()
    if (isSame(token, root)) return { is: 'root' }
    return token.startsWith('lps_session_') ? bySession(token, ip) : byApiToken(token, ip)
  }

  scope.decorateRequest('who')
  scope.addHook('onRequest', async (request) => {
    request.who = await who(request)
  })
}

/** Ours, or a JWT. */
const isApiToken = /^lps_api-token_|^[\w-]+\.[\w-]+\.[\w-]+$/

export const isSafe = ({ method }: FastifyRequest): boolean => method === 'GET' || method === 'HEAD'

/** A browser sends the cookie along with whatever another site makes it send. */
export const isOwnPage = ({ headers, host }: FastifyRequest): boolean => {
  const { origin, 'sec-fetch-site': site } = headers
  if (site !== undefined) return site === 'same-origin'
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)
}

/** The host application asks: it vouches for its users. */
export const isHost = ({ who }: FastifyRequest): boolean => who.is === 'root' || who.is === 'token'

/** Only the root token, and tokens for all organizations, say who it is that tries: a tenant is a client like others. */
export const vouches = ({ who }: FastifyRequest): boolean =>
  who.is === 'root' || (who.is === 'token' && who.apiToken.organizationId === null)

/** Who is signed in. @throws LapseError `signed_out` */
export const signedIn = ({ who }: FastifyRequest) => {
  if (who.is === 'user') return who
  throw signedOut()
}

export const signedOut = () =>
  new LapseError('signed_out', { detail: 'Send the token of a session: "Authorization: Bearer lps_session_…".' })

/** As the audit names whoever asks. Of nobody the verbs may know more. */
export const byOf = ({ who }: FastifyRequest, reason?: string): By => ({
  ...(who.is === 'root' && { actor: 'root' }),
  ...(who.is === 'token' && { actor: `token:${who.apiToken.id}` }),
  ...(who.is === 'user' && { actor: `user:${who.user.id}` }),
  ...(reason !== undefined && { reason }),
})

/** Whose keys for repeating a request these are; nobody is told apart by the secret that they bring. */
export const ownerOf = (request: FastifyRequest, secret = ''): string | undefined => {
  if (request.who.is === 'root') return undefined
  return byOf(request).actor ?? `secret:${createHash('sha256').update(secret).digest('hex')}`
}
