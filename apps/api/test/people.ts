import { testInbox } from '@lapse/testkit'
import { createMailer } from 'lapse'
import type { Answer, Body, testApi } from './api.ts'

type Api = Awaited<ReturnType<typeof testApi>>

let last = 0
/** A client's address that nobody had before, so that no limit of another is met. */
export const freshIp = (): string => `198.51.${Math.floor(++last / 250)}.${(last % 250) + 1}`

/** For an API behind a proxy, so that tests can choose whom it sees. */
export const behindProxy = { LAPSE_TRUSTED_PROXIES: '1' }

/** Those who do something with an API: an organization, users, who of them is signed in. */
export const people = ({ call, sql, lapse }: Api) => {
  const made = async (path: string, body: object): Promise<Body> => {
    const answer = await call('POST', path, body)
    if (answer.status !== 201) throw new Error(`${path}: ${answer.text}`)
    return answer.body
  }

  /** Asks as nobody, or with these headers, from an address of one's own. */
  const ask = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
    call(method, path, body, { authorization: '', 'x-forwarded-for': freshIp(), ...headers })

  return {
    ask,
    organization: (more: object = {}) => made('/v1/organizations', { name: 'Acme', ...more }),
    user: (email: string, more: object = {}) => made('/v1/users', { email, verified: true, ...more }),
    member: (organization: string, user: string, role = 'member') =>
      made('/v1/memberships', { organization, user, role }),
    invite: (organization: string, email: string, more: object = {}) =>
      made('/v1/invites', { organization, email, role: 'member', deliver: 'return', ...more }),
    /** A user who is signed in, and asks with the token of the session. */
    signedIn: async (email: string, more: object = {}) => {
      const user = await made('/v1/users', { email, verified: true, ...more })
      const { token, session } = await made('/v1/sessions', { user: user.id, agent: 'a browser of the tests' })
      const headers = { authorization: `Bearer ${token}` }
      return {
        ...{ user, session, token, headers },
        ask: (method: string, path: string, body?: unknown, more: Record<string, string> = {}) =>
          ask(method, path, body, { ...headers, ...more }),
      }
    },
    /** Why tokens of this kind were refused, from the first on. */
    reasons: async (kind: string): Promise<string[]> =>
      (await sql(`SELECT reason FROM event WHERE type = 'refused' AND kind = $1 ORDER BY id`, [kind])).map(
        (event) => event.reason,
      ),
    /** Sends what waits to be sent, and says what has arrived. */
    mail: async () => {
      const inbox = await testInbox()
      const mailer = createMailer({ transport: inbox.url, from: 'Lapse <lapse@example.com>' })
      const deliver = lapse.deliverer({ mailer, backoff: { baseMs: 1_000, capMs: 1_000, attempts: 1 } })
      for (const { id } of await lapse.deliveries.list({ status: 'pending', channel: 'email' }, { limit: 200 }))
        await deliver('email', id)
      mailer.close()
      return inbox.mails
    },
  }
}
