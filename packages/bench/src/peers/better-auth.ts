import type pg from 'pg'
import { allowTables, type Ground } from '../ground.ts'
import { inFlight } from '../measure.ts'
import { load } from './load.ts'
import { connect } from './rows.ts'

/** What is used of it. */
interface Auth {
  readonly options: object
  readonly $context: Promise<{
    internalAdapter: {
      createUser(user: object): Promise<{ id: string }>
      createSession(userId: string): Promise<{ token: string }>
    }
  }>
  readonly api: {
    createApiKey(call: { body: object }): Promise<{ key: string }>
    verifyApiKey(call: { body: { key: string } }): Promise<{ valid: boolean }>
    createOrganization(call: { body: object }): Promise<{ id: string }>
    createInvitation(call: { body: object; headers: Headers }): Promise<{ id: string }>
    acceptInvitation(call: { body: { invitationId: string }; headers: Headers }): Promise<{ member: object } | null>
  }
}

type Plugin = (options?: object) => object

const schema = 'better_auth'

/**
 * Its server side, called without HTTP, as https://www.better-auth.com/docs/concepts/api has it. The limits of its own are
 * off, or they would end the measurement; what it writes about a key's use is deferred, which it recommends for speed.
 */
const open = async (pool: pg.Pool): Promise<Auth> => {
  const { betterAuth } = await load<{ betterAuth: (options: object) => Auth }>('better-auth')
  const { organization, bearer } = await load<Record<'organization' | 'bearer', Plugin>>('better-auth/plugins')
  const { apiKey } = await load<{ apiKey: Plugin }>('@better-auth/api-key')
  const { getMigrations } = await load<{
    getMigrations: (options: object) => Promise<{ runMigrations(): Promise<void> }>
  }>('better-auth/db/migration')
  const auth = betterAuth({
    database: pool,
    baseURL: 'http://localhost:3000',
    secret: 'a secret for the benchmark, of no use elsewhere',
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { disabled: true },
    advanced: { backgroundTasks: { handler: (task: Promise<unknown>) => void task.catch(console.error) } },
    plugins: [
      bearer(),
      organization({ invitationLimit: 1_000_000, membershipLimit: 1_000_000, sendInvitationEmail: async () => {} }),
      apiKey({ rateLimit: { enabled: false }, deferUpdates: true }),
    ],
  })
  const { runMigrations } = await getMigrations(auth.options)
  await runMigrations()
  return auth
}

export interface Identity {
  /** Is the key good? Of as many as there are. */
  verify(i: number): Promise<boolean>
  /** Whoever is signed in accepts the invitation that was made for them: each once. */
  accept(i: number): Promise<boolean>
}

/** As many API keys, and as many invitations with somebody signed in for each. */
export const withBetterAuth = async <T>(
  ground: Ground,
  counts: { readonly keys: number; readonly invitations: number },
  during: (identity: Identity) => Promise<T>,
): Promise<T> => {
  await allowTables(ground)
  await ground.pool.query(`CREATE SCHEMA ${schema}`)
  const pool = connect(ground, 10, `-c search_path=${schema}`)
  try {
    const auth = await open(pool)
    const { internalAdapter } = await auth.$context
    const signIn = async (email: string) => {
      const { id } = await internalAdapter.createUser({ email, name: 'Someone', emailVerified: true })
      const { token } = await internalAdapter.createSession(id)
      return { id, headers: new Headers({ authorization: `Bearer ${token}` }) }
    }
    const owner = await signIn('owner@example.com')
    const { id: organizationId } = await auth.api.createOrganization({
      body: { name: 'Acme', slug: 'acme', userId: owner.id },
    })
    const keys: string[] = []
    await inFlight(counts.keys, 10, async () => {
      keys.push((await auth.api.createApiKey({ body: { name: 'bench', userId: owner.id } })).key)
    })
    const invited: { id: string; headers: Headers }[] = []
    await inFlight(counts.invitations, 10, async (i) => {
      const email = `someone-${i}@example.com`
      const { headers } = await signIn(email)
      const body = { email, role: 'member', organizationId }
      const { id } = await auth.api.createInvitation({ body, headers: owner.headers })
      invited.push({ id, headers })
    })
    return await during({
      verify: async (i) => (await auth.api.verifyApiKey({ body: { key: keys[i % keys.length] ?? '' } })).valid,
      accept: async (i) => {
        const { id = '', headers = new Headers() } = invited[i] ?? {}
        return (await auth.api.acceptInvitation({ body: { invitationId: id }, headers })) !== null
      },
    })
  } finally {
    await pool.end()
  }
}

/** The same of Lapse: whoever accepts is known by their session. */
export const lapseIdentity = async (
  { lapse }: Ground,
  counts: { readonly keys: number; readonly invitations: number },
): Promise<Identity> => {
  const { apiTokens, invites, organizations, sessions, users } = lapse
  const { id: organization } = await organizations.create({ name: 'Acme' })
  const tokens: string[] = []
  await inFlight(counts.keys, 10, async () => {
    tokens.push((await apiTokens.create({ name: 'bench', scopes: ['trials:read'] })).token)
  })
  const invited: { token: string; session: string }[] = []
  await inFlight(counts.invitations, 10, async (i) => {
    const email = `someone-${i}@example.com`
    const user = await users.create({ email, verified: true })
    const { token: session } = await sessions.issue({ userId: user.id })
    const { token = '' } = await invites.create({ organization, email, role: 'member', deliver: 'return' })
    invited.push({ token, session })
  })
  return {
    verify: async (i) => {
      const { status } = await apiTokens.verify(tokens[i % tokens.length] ?? '', { scopes: ['trials:read'] })
      return status === 'valid'
    },
    accept: async (i) => {
      const { token = '', session = '' } = invited[i] ?? {}
      const who = await sessions.authenticate(session)
      return who.status === 'valid' && (await invites.accept({ token }, who.user)).status === 'joined'
    },
  }
}
