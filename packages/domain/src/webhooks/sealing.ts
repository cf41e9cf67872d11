import { randomBytes } from 'node:crypto'
import type { Sql } from '../database.ts'
import type { Secrets } from '../secret.ts'
import { readSealed } from './endpoint-store.ts'

/** What of an endpoint nobody may read: what signs, and its own headers. */
export interface Sealed {
  readonly secret: string
  /** The one before. */
  readonly previous?: string | undefined
  readonly headers: Readonly<Record<string, string>>
}

/** As Standard Webhooks has them. */
export const newSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`

/** @throws LapseError `not_configured` */
export const seal = (secrets: Secrets, id: string, { secret, previous, headers }: Sealed): Buffer =>
  secrets.seal(id, { secret, ...(previous !== undefined && { previous }), headers: JSON.stringify(headers) })

/** @throws LapseError `not_configured` when no key opens it */
export const open = (secrets: Secrets, id: string, sealed: Uint8Array): Sealed => {
  const { secret = '', previous, headers = '{}' } = secrets.open(id, sealed)
  return { secret, previous, headers: JSON.parse(headers) }
}

/** What a sender needs, read at each attempt. */
export interface Sending {
  /** Whose it is; `null`: the host's. */
  readonly organizationId: string | null
  readonly url: string
  /** All that sign: the current one, and the one before while it is good. */
  readonly secrets: readonly string[]
  readonly headers: Readonly<Record<string, string>>
}

/** Of one that is disabled too, for a test. @throws LapseError `not_configured` when no key opens what is sealed */
export const sendingTo = async (db: Sql, secrets: Secrets, id: string): Promise<Sending | undefined> => {
  const endpoint = await readSealed(db, id)
  if (!endpoint) return undefined
  const { secret, previous, headers } = open(secrets, id, endpoint.sealed)
  const before = endpoint.overlaps && previous !== undefined ? [previous] : []
  return { organizationId: endpoint.organizationId, url: endpoint.url, secrets: [secret, ...before], headers }
}
