import type { Sql } from '../database.ts'
import type { Kind } from '../kind.ts'
import type { Status } from '../lifecycle.ts'
import type { Registry } from '../registry.ts'
import { empty, type Fragment, now, raw, seenStatus, sql } from './live.ts'
import type { Cause } from './record.ts'
import {
  judge,
  type RenewedEnd,
  renewing,
  restoring,
  revoking,
  suspending,
  transition,
  type Verb,
} from './transition.ts'

/** Which resources something befalls together. */
export interface Which {
  readonly kind?: string | undefined
  readonly scope?: string | undefined
  readonly organizationId?: string | undefined
  readonly subject?: string | undefined
  readonly reference?: string | undefined
  /** As everybody sees it, by the database's clock. */
  readonly status?: Status | undefined
  /** Access grants with this relation. */
  readonly relation?: string | undefined
  /** Invites that this user has sent. */
  readonly inviterId?: string | undefined
  /** Invites to one of these roles. */
  readonly roles?: readonly string[] | undefined
  /** All kinds but these. */
  readonly exceptKinds?: readonly string[] | undefined
  /** All but this one. */
  readonly except?: string | undefined
}

/** The next so many of them, by id. */
export interface Batch {
  readonly after: string | undefined
  readonly limit: number
}

export type CascadeVerb = 'revoke' | 'suspend' | 'restore'

/** What befalls them. A renewal goes by the terms of one kind. */
export type Act = CascadeVerb | { readonly renew: Kind; readonly end: RenewedEnd }

const chosen = (which: Which): Fragment => sql`
  ${which.scope === undefined ? empty : sql`AND scope = ${which.scope}`}
  ${which.organizationId === undefined ? empty : sql`AND organization_id = ${which.organizationId}::uuid`}
  ${which.subject === undefined ? empty : sql`AND subject = ${which.subject}`}
  ${which.reference === undefined ? empty : sql`AND reference = ${which.reference}`}
  ${which.status === undefined ? empty : sql`AND ${seenStatus(sql`resource`, now)} = ${which.status}::lapse_status`}
  ${which.relation === undefined ? empty : sql`AND payload ->> 'relation' = ${which.relation}`}
  ${which.inviterId === undefined ? empty : sql`AND kind = 'invite' AND payload #>> '{inviter,id}' = ${which.inviterId}`}
  ${which.roles === undefined ? empty : sql`AND payload ->> 'role' = ANY (${which.roles}::text[])`}
  ${which.exceptKinds === undefined ? empty : sql`AND kind <> ALL (${[...which.exceptKinds]}::text[])`}
  ${which.except === undefined ? empty : sql`AND id <> ${which.except}::uuid`}`

/** What has not ended among them. */
const rowsOf = (which: Which, { after, limit }: Batch): Fragment => {
  const { kind, scope, organizationId, subject, reference, inviterId } = which
  const narrower = [scope, organizationId, subject, reference, inviterId].some((value) => value !== undefined)
  const rest = sql`AND status IN ('active', 'grace') ${chosen(which)}`
  const most = raw(String(limit))
  // Of a kind alone: in this form only the index on (kind, id) has the order, however common the plan expects it to be.
  if (kind !== undefined && !narrower)
    return sql`kind <= ${kind} AND ${after === undefined ? sql`kind >= ${kind}` : sql`(kind, id) > (${kind}, ${after}::uuid)`}
      ${rest} ORDER BY kind, id LIMIT ${most}`
  return sql`${kind === undefined ? sql`true` : sql`kind = ${kind}`} ${rest}
    ${after === undefined ? empty : sql`AND id > ${after}::uuid`} ORDER BY id LIMIT ${most}`
}

const verbOf = (act: Act, registry: Registry): Verb => {
  if (typeof act === 'object') return renewing(act.renew, act.end)
  return { revoke: revoking(retentionAmong(registry.all)), suspend: suspending, restore: restoring }[act]
}

const retentionAmong = (kinds: readonly Kind[]): Fragment =>
  sql`(coalesce((SELECT k.retention FROM unnest(${kinds.map((kind) => kind.name)}::text[],
      ${kinds.map((kind) => kind.terms.retention)}::float8[]) AS k(kind, retention) WHERE k.kind = l.kind),
    ${unknownRetention}) * interval '1 millisecond')`

const unknownRetention = 30 * 24 * 60 * 60 * 1000

/**
 * One batch of a cascade: what has not ended, by id, after `after`. Kinds that this process does not know are ended too:
 * what it cannot do is to owe their side effects.
 */
export const cascadeResources = (db: Sql, registry: Registry, act: Act, which: Which, batch: Batch, cause: Cause) =>
  transition(db, registry.all, rowsOf(which, batch), verbOf(act, registry), cause, registry)

/** What that batch would do, and do to which: nothing is done. */
export const judgeResources = (db: Sql, registry: Registry, act: Act, which: Which, batch: Batch) =>
  judge(db, rowsOf(which, batch), verbOf(act, registry))
