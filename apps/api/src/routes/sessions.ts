import { LapseError } from 'lapse'
import { z } from 'zod'
import { openTo, permit } from '../http/access.ts'
import { denied } from '../http/denied.ts'
import { example, optional } from '../http/described.ts'
import { idempotent } from '../http/idempotency.ts'
import { forHost, reason, required, text } from '../http/input.ts'
import { problems } from '../http/problem.ts'
import { selectorOf } from '../http/redemption.ts'
import { byOf, isHost, ownerOf, signedIn } from '../http/who.ts'
import { IssuedSession, Session, sessionOut, UserSession } from '../wire/session.ts'
import { userOut } from '../wire/user.ts'
import { type App, answer, byId, operation, type PeopleContext } from './route.ts'
import { Reason, unlessUnknown } from './verbs.ts'

const user = text(200).optional().describe('From the host application: whose, by id or your own for them.')

const Open = z
  .strictObject({
    token: text(500).optional().describe('From the link to sign in.'),
    user: text(200)
      .optional()
      .describe('From the host application, in place of `token`: whom you have signed in yourself.'),
    agent: text(500).optional().describe('From the host application: what their browser calls itself.'),
  })
  .meta(example({ token: 'lps_verification_…' }))

const Check = z.strictObject({ token: text(500) }).meta(example({ token: 'lps_session_…' }))

const Checked = z
  .object({ valid: z.boolean() })
  .extend(UserSession.partial().shape)
  .meta({ id: 'CheckedSession', description: 'Whose it is, when it is good; using it has moved its end.' })

const RevokeAll = z
  .strictObject({
    except_current: z.boolean().optional().describe('All but the one that asks.'),
    user,
    reason,
  })
  .optional()
  .meta({ ...example({ except_current: true }), ...optional })

/** Who is signed in. */
export const sessionRoutes = (app: App, { lapse, once, redeem }: PeopleContext): void => {
  const userIdOf = async (idOrReference: string): Promise<string> => {
    const user = await lapse.users.get(idOrReference).catch(unlessUnknown)
    if (user) return user.id
    throw new LapseError('unknown_user', { field: 'user', detail: 'Create the user first.' })
  }

  app.post(
    '/v1/sessions',
    {
      ...openTo('anybody', permit('sessions', 'write')),
      schema: {
        ...operation(
          'sessions',
          'openSession',
          'Sign in',
          'By the token of a link, which is used up; or, from the host application, for a user whom it has signed in itself. No cookie is set.',
        ),
        headers: idempotent,
        body: Open,
        response: {
          201: answer('Signed in.', IssuedSession),
          ...problems(400, 403, 409, 413, 415, 422, 429),
          ...denied,
        },
      },
    },
    async (request, reply) => {
      const { headers, body } = request
      const fromHost = isHost(request)
      if (!fromHost) for (const field of ['user', 'agent'] as const) if (body[field] !== undefined) throw forHost(field)
      const agent = fromHost ? body.agent : headers['user-agent']
      let secret: string | undefined
      if (body.user !== undefined) {
        if (body.token !== undefined) throw new LapseError('invalid', { field: 'user', detail: 'Give it or `token`.' })
        const userId = await userIdOf(body.user)
        const issued = await once(request, reply, async (verbs) => {
          const { token, session, user } = await verbs.sessions.issue({ userId, agent }, byOf(request))
          secret = token
          return { session: sessionOut(session), user: userOut(user) }
        })
        return reply.code(201).send({ ...issued, ...(secret !== undefined && { token: secret }) })
      }
      if (fromHost && body.token === undefined)
        throw new LapseError('invalid', { field: 'token', detail: 'It is missing; or give `user`, whom you sign in.' })
      const token = required('token', body.token)
      const { status, ...opened } = await redeem(request, { kind: 'verification', selector: selectorOf(token) }, () =>
        once(
          request,
          reply,
          async (verbs) => {
            const result = await verbs.signIn.open(token, { agent }, fromHost ? byOf(request) : {})
            if (result.status === 'denied') return result
            secret = result.token
            return { status: result.status, session: sessionOut(result.session), user: userOut(result.user) }
          },
          ownerOf(request, token),
        ),
      )
      return reply.code(201).send({ ...opened, ...(secret !== undefined && { token: secret }) })
    },
  )

  app.get(
    '/v1/sessions',
    {
      ...openTo('users', permit('sessions', 'read')),
      schema: {
        ...operation('sessions', 'listSessions', 'List sessions', 'Live ones of mine, the newest first.'),
        querystring: z.strictObject({ user }),
        response: { 200: answer('Up to 200.', z.object({ items: z.array(Session) })), ...problems(422, 429) },
      },
    },
    async ({ who, query }) => {
      if (who.is !== 'user') {
        const sessions = await lapse.sessions.list(await userIdOf(required('user', query.user)), { limit: 200 })
        return { items: sessions.map((session) => sessionOut(session)) }
      }
      if (query.user !== undefined) throw forHost('user')
      const sessions = await lapse.sessions.list(who.user.id, { limit: 200 })
      return { items: sessions.map((session) => sessionOut(session, who.session.id)) }
    },
  )

  app.get(
    '/v1/sessions/current',
    {
      ...openTo('users'),
      schema: {
        ...operation('sessions', 'getCurrentSession', 'Who am I?', 'The session that asks, and whose it is.'),
        response: { 200: answer('Signed in.', UserSession), ...problems(403, 429) },
      },
    },
    async (request) => {
      const { session, user } = signedIn(request)
      return { session: sessionOut(session, session.id), user: userOut(user) }
    },
  )

  app.post(
    '/v1/sessions/check',
    {
      ...permit('sessions', 'read'),
      schema: {
        ...operation(
          'sessions',
          'checkSession',
          'Whose is this?',
          'For your own backend, with what your users send it. Using a session moves its end.',
        ),
        body: Check,
        response: { 200: answer('The verdict, either way.', Checked), ...problems(400, 403, 413, 415, 422) },
      },
    },
    async ({ body }) => {
      const found = await lapse.sessions.authenticate(body.token)
      if (found.status === 'denied') return { valid: false }
      return { valid: true, session: sessionOut(found.session), user: userOut(found.user) }
    },
  )

  app.post(
    '/v1/sessions/:id/revoke',
    {
      ...openTo('users', permit('sessions', 'write')),
      schema: {
        ...operation('sessions', 'revokeSession', 'Sign out there', 'At once; quiet when it has ended already.'),
        params: byId,
        headers: idempotent,
        body: Reason,
        response: {
          200: answer('Ended; `status` says how.', Session),
          ...problems(400, 403, 404, 409, 413, 415, 422, 429),
        },
      },
    },
    async (request, reply) => {
      const { params, body, who } = request
      const current = who.is === 'user' ? who.session.id : undefined
      return once(request, reply, async (verbs) => {
        const userId = who.is === 'user' ? who.user.id : ((await verbs.get(params.id)).subject ?? '')
        return sessionOut(await verbs.sessions.revoke(userId, params.id, byOf(request, body?.reason)), current)
      })
    },
  )

  app.post(
    '/v1/sessions/revoke',
    {
      ...openTo('users', permit('sessions', 'write')),
      schema: {
        ...operation(
          'sessions',
          'revokeSessions',
          'Sign out everywhere',
          'Or, with `except_current`, everywhere else.',
        ),
        headers: idempotent,
        body: RevokeAll,
        response: {
          200: answer('Ended.', z.object({ revoked: z.int().describe('How many were live.') })),
          ...problems(400, 403, 409, 413, 415, 422, 429),
        },
      },
    },
    async (request, reply) => {
      const { who, body = {} } = request
      const isUser = who.is === 'user'
      if (isUser && body.user !== undefined) throw forHost('user')
      const userId = isUser ? who.user.id : await userIdOf(required('user', body.user))
      const except = isUser && body.except_current ? who.session.id : undefined
      return once(request, reply, async (verbs) => ({
        revoked: await verbs.sessions.revokeAll(userId, { except }, byOf(request, body.reason)),
      }))
    },
  )
}
