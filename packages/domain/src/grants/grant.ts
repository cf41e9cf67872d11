import { LapseError } from '../errors.ts'
import type { Resource } from '../kind.ts'
import type { AccessGrantPayload } from '../kinds/access-grant.ts'
import type { Status } from '../lifecycle.ts'

/** Who is what to which: `user:7` is `viewer` of `document:42`. */
export interface Triple {
  readonly resource: string
  readonly relation: string
  readonly subject: string
}

/** A triple that holds until it ends. */
export interface Grant extends Triple {
  readonly id: string
  /** Where it comes from, such as a ticket. */
  readonly source: string | null
  /** Whom it belongs to; in it the triple means something. */
  readonly organizationId: string | null
  readonly status: Status
  readonly reason: string | null
  readonly email: string | null
  /** Goes up with every change of its end. */
  readonly version: number
  readonly issuedAt: Date
  readonly expiresAt: Date
  readonly endedAt: Date | null
}

export const grantOf = (row: Resource): Grant => {
  const { relation, source = null, reason = null, email = null } = row.payload as AccessGrantPayload
  return {
    id: row.id,
    resource: row.scope ?? '',
    relation,
    subject: row.subject ?? '',
    source,
    organizationId: row.organizationId,
    status: row.status,
    reason,
    email,
    version: row.version,
    issuedAt: row.issuedAt,
    expiresAt: row.expiresAt,
    endedAt: row.endedAt,
  }
}

// None of them may hold what joins them in a key; all of them together fit into an index.
const thing = /^[a-z][a-z0-9_-]{0,31}:[A-Za-z0-9._~|=+/@:-]{1,100}$/
const relationPattern = /^[a-z][a-z0-9_-]{0,63}$/
const sourcePattern = /^[A-Za-z0-9._~|=+/@:-]{1,100}$/

/** @throws LapseError `invalid`; `path` begins the names of its fields */
export const checkTriple = (
  triple: { readonly [F in keyof Triple | 'source']?: string | undefined },
  path = '',
): void => {
  const { resource, relation, subject, source } = triple
  const check = (field: string, value: string | undefined, pattern: RegExp, detail: string) => {
    if (value !== undefined && !pattern.test(value))
      throw new LapseError('invalid', { field: `${path}${field}`, detail })
  }
  const ofThing = (example: string) =>
    `A type and an id, such as ${example}: of the id at most 100 letters, digits and . _ ~ | = + / @ : - without spaces.`
  check('resource', resource, thing, ofThing('document:42'))
  check('relation', relation, relationPattern, 'Lower case letters, digits, _ and -, such as viewer; at most 64.')
  check('subject', subject, thing, ofThing('user:7'))
  check('source', source, sourcePattern, 'At most 100 letters, digits and . _ ~ | = + / @ : - without spaces.')
}

/** `document:42#viewer@user:7`, the same for all grants of the triple. */
export const tripleKey = ({ resource, relation, subject }: Triple): string => `${resource}#${relation}@${subject}`

/** The reference of a grant: of those with one key at most one is live. */
export const keyOf = (triple: Triple, source: string | undefined, organizationId: string | null): string =>
  `${organizationId === null ? '' : `${organizationId}/`}${tripleKey(triple)}${source === undefined ? '' : `#${source}`}`

/** What a key tells of a grant whose row is gone. */
export const readKey = (key: string): { relation: string; source: string | null } => {
  const [, relation = '', source = null] = /^[^#]*#([^@]*)@[^#]*(?:#(.*))?$/.exec(key) ?? []
  return { relation, source }
}
