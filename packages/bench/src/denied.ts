import { randomBytes, randomUUID } from 'node:crypto'
import type { Ground } from './ground.ts'
import { inFlight, times } from './measure.ts'

/** Those who are told no, or nothing, for the same reason; the event has the reason. */
export interface Denied {
  readonly name: string
  readonly reason: string
  /** Tokens, or addresses. */
  readonly given: readonly string[]
}

interface Issued {
  readonly id: string
  readonly token: string
  readonly email: string
}

type Class = readonly [
  name: string,
  reason: string,
  spoil: (issued: readonly Issued[]) => Promise<unknown>,
  given?: (token: string) => string,
]

/** How each kind ends one of its own. */
type Ends = Record<'use' | 'supersede', (issued: Issued) => Promise<unknown>>

const someone = () => `${randomUUID()}@example.com`

export const notSwept = 'expired, not swept'

/** `count` tokens of invites for each class. */
export const deniedInvites = async (ground: Ground, count: number): Promise<Denied[]> => {
  const { invites, organizations } = ground.lapse
  let organization = ''
  const classes: Class[] = [
    ...common(ground, 'invite', {
      use: ({ token, email }) => invites.acceptFor(token, { email }),
      supersede: ({ id }) => invites.resend(id),
    }),
    ['organization suspended', 'suspended', () => organizations.suspend(organization)],
    ['organization deleted', 'revoked', () => organizations.delete(organization)],
  ]
  return made(classes, count, {
    before: async () => {
      organization = (await organizations.create({ name: 'Acme' })).id
    },
    issue: async (email) => {
      const { invite, token = '' } = await invites.create({ organization, email, role: 'member', deliver: 'return' })
      return { id: invite.id, token, email }
    },
  })
}

/** `count` tokens of links to sign in for each class. They belong to no organization. */
export const deniedLinks = (ground: Ground, count: number): Promise<Denied[]> => {
  const { verifications } = ground.lapse
  const issue = async (email: string) => {
    const { verification, token = '' } = await verifications.request({ purpose: 'sign-in', email, deliver: 'return' })
    return { id: verification.id, token, email }
  }
  const classes = common(ground, 'verification', {
    use: ({ token }) => verifications.consume(token, { purposes: ['sign-in'] }),
    supersede: ({ email }) => issue(email),
  })
  return made(classes, count, { issue })
}

/** `count` addresses that may sign in, and twice as many that may not. */
export const addresses = async ({ lapse }: Ground, count: number): Promise<Denied[]> => {
  const known = times(count, someone)
  await inFlight(count, width, (i) => lapse.users.create({ email: known[i] ?? '', verified: true }))
  const unknown = () => ({ name: 'unknown', reason: 'unknown-address', given: times(count, someone) })
  return [unknown(), unknown(), { name: 'known', reason: 'issued', given: known }]
}

const width = 10

/** The first is there twice, to be compared with itself. */
const common = ({ owner, lapse }: Ground, kind: 'invite' | 'verification', { use, supersede }: Ends): Class[] => {
  const each = (end: (issued: Issued) => Promise<unknown>) => (issued: readonly Issued[]) =>
    inFlight(issued.length, width, (i) => end(issued[i] as Issued))
  const change = (statement: string) => (issued: readonly Issued[]) =>
    owner.query(statement, [issued.map(({ id }) => id)])
  const forget = change('DELETE FROM resource WHERE id = ANY ($1)')
  const age = change(
    `UPDATE resource SET issued_at = issued_at - s, expires_at = expires_at - s, ends_at = ends_at - s, due_at = due_at - s
     FROM (SELECT interval '8 days' AS s) AS shift WHERE id = ANY ($1)`,
  )
  // As the sweep leaves it.
  const lapseNow = each(({ id }) => lapse.check(kind, id))
  return [
    ['unknown', 'unknown', forget],
    ['unknown', 'unknown', forget],
    ['malformed', 'malformed', forget, misspelt],
    ['any text', 'malformed', forget, () => randomBytes(48).toString('base64url')],
    ['wrong secret', 'wrong-secret', change('UPDATE resource SET verifier = sha256(verifier) WHERE id = ANY ($1)')],
    ['expired, swept', 'expired', (issued) => age(issued).then(() => lapseNow(issued))],
    [notSwept, 'expired', age],
    ['revoked', 'revoked', each(({ id }) => lapse.revoke(kind, id))],
    ['used', 'consumed', each(use)],
    ['superseded', 'superseded', each(supersede)],
  ]
}

/** One class after the other, for `before` makes what the next one is issued in. */
const made = async (
  classes: readonly Class[],
  count: number,
  { before, issue }: { before?: () => Promise<void>; issue: (email: string) => Promise<Issued> },
): Promise<Denied[]> => {
  const all: Denied[] = []
  for (const [name, reason, spoil, given = (token: string) => token] of classes) {
    await before?.()
    const issued: Issued[] = []
    await inFlight(count, width, async () => void issued.push(await issue(someone())))
    await spoil(issued)
    all.push({ name, reason, given: issued.map(({ token }) => given(token)) })
  }
  return all
}

/** Its checksum does not fit. */
const misspelt = (token: string): string => token.replace(/.$/, (end) => (end === 'a' ? 'b' : 'a'))
