import type { Sql } from '../database.ts'
import type { EventType, Kind } from '../kind.ts'
import type { Refusal } from '../lifecycle.ts'
import type { Registry } from '../registry.ts'
import {
  columns,
  empty,
  type Fragment,
  instant,
  isLive,
  isOver,
  milliseconds,
  nextReminder,
  now,
  type ResourceRow,
  sql,
  toldStatus,
} from './live.ts'
import { type Cause, type Recorded, record } from './record.ts'

export type TransitionRow = ResourceRow &
  (({ readonly moved: true } & Recorded) | { readonly moved: false; readonly refusal: Refusal })

/** What one verb does to a row `l` that is locked. `at` is the instant it is judged at. */
export interface Verb {
  readonly set: Fragment
  /** What it can be done to, of what is not over. */
  readonly to: 'live' | 'unsuspended' | 'suspended' | 'both'
  /** More reasons to refuse, as WHEN … THEN. */
  readonly unless?: Fragment
  readonly type: Fragment
  /** What `type` may be. */
  readonly types: readonly EventType[]
  /** The type, and what tells it from others of its type in one version; NULL: the number of its event does. */
  readonly occasion?: Fragment
  /** A CTE `passed (id)`, which moves what it lets through, and what it is called when it does not. */
  readonly gate?: { readonly cte: Fragment; readonly refusal: Refusal }
  readonly before: Fragment
  readonly after: Fragment
}

const refusals = {
  live: sql`WHEN l.suspended_at IS NOT NULL THEN 'suspended' WHEN NOT ${isLive(sql`l`, sql`l.at`)} THEN 'not-started'`,
  unsuspended: sql`WHEN l.suspended_at IS NOT NULL THEN 'suspended'`,
  suspended: sql`WHEN l.suspended_at IS NULL THEN 'not-suspended'`,
  both: empty,
}

/**
 * One act on the rows of these kinds that `which` names. No row: there is none. `moved: false`: it was refused, and the
 * row is as it was.
 *
 * The rows are locked first and the clock read after that, for a guard alone can wait on somebody's lock and then pass by
 * a clock that was read before. Only what is locked is judged: the UPDATE sees a row first as it was when the statement
 * began, and a guard on that would leave out one that was renewed while we waited, across its end before.
 */
export const transition = (
  db: Sql,
  kinds: readonly Kind[],
  which: Fragment,
  verb: Verb,
  cause: Cause,
  registry: Registry,
) =>
  db.$queryRaw<TransitionRow[]>(sql`
  WITH ${judged(sql`${which} FOR UPDATE`, verb)}, ${verb.gate ? sql`${verb.gate.cte},` : empty} moved AS (
    UPDATE resource r SET ${verb.set}, changed_at = l.at
    FROM judged l ${verb.gate ? sql`JOIN passed USING (id)` : empty}
    WHERE r.id = l.id AND l.refusal IS NULL
    RETURNING r.*, l.at, ${toldStatus(sql`l`)} AS was,
      ${verb.type} AS type, ${verb.occasion ?? verb.type} AS occasion,
      NULL::bigint AS lateness_ms, jsonb_build_object('before', ${verb.before}, 'after', ${verb.after}) AS data
  ), ${record(cause, registry, kinds, verb.types)}
  SELECT true AS moved, NULL AS refusal, ${columns(sql`m`, sql`m.at`)}, m.type, m.was AS "from",
    m.lateness_ms::float8 AS "latenessMs", m.at AS "eventAt", o.deliveries AS owed
  FROM moved m LEFT JOIN owed o ON o.resource_id = m.id
  UNION ALL
  SELECT false, l.refusal, ${columns(sql`l`, sql`l.at`)}, NULL, NULL, NULL, NULL, NULL
  FROM judged l WHERE l.refusal IS NOT NULL
  ${verb.gate ? heldUp(verb.gate.refusal) : empty}`)

/** What that act would do: judged in the same words, and neither done nor locked. */
export const judge = (db: Sql, which: Fragment, verb: Verb) =>
  db.$queryRaw<{ readonly id: string; readonly moved: boolean; readonly refusal: Refusal | null }[]>(sql`
  WITH ${judged(which, verb)} SELECT id, refusal IS NULL AS moved, refusal FROM judged`)

const judged = (which: Fragment, verb: Verb): Fragment => sql`
  locked AS MATERIALIZED (
    SELECT * FROM resource WHERE ${which}
  ), looked AS MATERIALIZED (
    SELECT *, ${now} AS at FROM locked
  ), judged AS MATERIALIZED (
    SELECT l.*, CASE WHEN ${isOver(sql`l`, sql`l.at`)} THEN 'ended' ${refusals[verb.to]} ${verb.unless ?? empty} END AS refusal
    FROM looked l
  )`

const heldUp = (refusal: Refusal): Fragment => sql`
  UNION ALL
  SELECT false, ${refusal}, ${columns(sql`l`, sql`l.at`)}, NULL, NULL, NULL, NULL, NULL
  FROM judged l WHERE l.refusal IS NULL AND NOT EXISTS (SELECT FROM passed p WHERE p.id = l.id)`

const one = (kind: Kind, id: string): Fragment => sql`id = ${id}::uuid AND kind = ${kind.name}`

/** The columns of a row that has just ended. */
const ended = (status: Fragment, retention: Fragment) => sql`
  status = ${status}, ended_at = l.at, next_step = 'purge', due_at = l.at + ${retention}`

const retentionOf = (kind: Kind): Fragment => milliseconds(kind.terms.retention)

/** Until when: an instant as an epoch, or so long from now. With `laterByMs` only if that is later by more. */
export interface RenewedEnd {
  readonly expiresAtMs: number | null
  readonly lifeMs: number | null
  readonly laterByMs: number | null
}

export const renewing = (kind: Kind, end: RenewedEnd): Verb => {
  const { minLife, maxLife, reminders } = kind.terms
  const expiresAt = sql`coalesce(${instant(end.expiresAtMs)}, l.at + ${end.lifeMs}::float8 * interval '1 millisecond')::timestamptz(3)`
  const list = sql`${reminders}::int[]`
  const reminder = nextReminder(expiresAt, list, sql`l.at`)
  return {
    to: 'unsuspended',
    unless: sql`WHEN ${expiresAt} < greatest(l.at, l.starts_at) + ${milliseconds(minLife)} THEN 'too-short'
      WHEN ${expiresAt} > coalesce(l.latest_at, l.issued_at + ${milliseconds(maxLife)}) THEN 'too-long'
      WHEN ${expiresAt} <= l.expires_at + ${end.laterByMs}::float8 * interval '1 millisecond' THEN 'not-later'`,
    set: sql`status = 'active', version = r.version + 1, failures = 0, reminders = ${list},
      expires_at = ${expiresAt}, ends_at = ${expiresAt} + (l.ends_at - l.expires_at),
      due_at = coalesce(${reminder}, ${expiresAt}),
      next_step = (CASE WHEN ${reminder} IS NULL THEN 'expire' ELSE 'remind' END)::lapse_step`,
    type: sql`'renewed'`,
    types: ['renewed'],
    before: sql`jsonb_build_object('expires_at', l.expires_at, 'version', l.version)`,
    after: sql`jsonb_build_object('expires_at', r.expires_at, 'version', r.version)`,
  }
}

export const renewResource = (db: Sql, kind: Kind, id: string, end: RenewedEnd, cause: Cause, registry: Registry) =>
  transition(db, [kind], one(kind, id), renewing(kind, end), cause, registry)

const statusBefore = sql`jsonb_build_object('status', ${toldStatus(sql`l`)})`
const statusAfter = sql`jsonb_build_object('status', r.status)`

export const revoking = (retention: Fragment): Verb => ({
  to: 'both',
  // The call that it carries is never made.
  set: sql`${ended(sql`'revoked'`, retention)}, enclosed = NULL`,
  type: sql`'revoked'`,
  types: ['revoked'],
  before: statusBefore,
  after: statusAfter,
})

export const revokeResource = (db: Sql, kind: Kind, id: string, cause: Cause, registry: Registry) =>
  transition(db, [kind], one(kind, id), revoking(retentionOf(kind)), cause, registry)

export const expireResource = (db: Sql, kind: Kind, id: string, cause: Cause, registry: Registry) => {
  const verb: Verb = {
    to: 'both',
    set: sql`${ended(sql`'expired'`, retentionOf(kind))}, expires_at = least(r.expires_at, l.at), ends_at = l.at`,
    type: sql`'expired'`,
    types: ['expired'],
    before: sql`jsonb_build_object('status', ${toldStatus(sql`l`)}, 'expires_at', l.expires_at)`,
    after: sql`jsonb_build_object('status', r.status, 'expires_at', r.expires_at)`,
  }
  return transition(db, [kind], one(kind, id), verb, cause, registry)
}

/** `holder`: whose use it is, where each may use it only so often. */
export const consumeResource = (
  db: Sql,
  kind: Kind,
  id: string,
  cause: Cause,
  registry: Registry,
  holder: string | null = null,
) => {
  const last = kind.terms.staysUsedUp ? sql`false` : sql`(l.max_uses IS NOT NULL AND l.uses + 1 >= l.max_uses)`
  const verb: Verb = {
    to: 'live',
    unless: sql`WHEN l.uses >= l.max_uses THEN 'used-up'
      ${holder === null ? sql`WHEN l.max_uses_each IS NOT NULL THEN 'no-holder'` : empty}`,
    ...(holder !== null && { gate: { cte: counting(holder), refusal: 'used-up' } }),
    set: sql`uses = r.uses + 1, last_used_at = l.at,
      status = (CASE WHEN ${last} THEN 'consumed' ELSE r.status END)::lapse_status,
      ended_at = CASE WHEN ${last} THEN l.at END,
      next_step = CASE WHEN ${last} THEN 'purge' ELSE r.next_step END,
      due_at = CASE WHEN ${last} THEN l.at + ${retentionOf(kind)} ELSE r.due_at END`,
    type: sql`(CASE WHEN ${last} THEN 'consumed' ELSE 'used' END)`,
    types: ['used', 'consumed'],
    occasion: sql`(CASE WHEN ${last} THEN 'consumed' ELSE 'used:' || (l.uses + 1) END)`,
    before: sql`jsonb_build_object('status', l.status, 'uses', l.uses)`,
    after: sql`jsonb_strip_nulls(jsonb_build_object('status', r.status, 'uses', r.uses, 'holder', ${holder}::text))`,
  }
  return transition(db, [kind], one(kind, id), verb, cause, registry)
}

/** The count is taken of the newest row, whatever was committed while we waited for the lock. */
const counting = (holder: string): Fragment => sql`
  passed AS (
    INSERT INTO redemption AS d (resource_id, holder, uses, first_at, last_at)
    SELECT l.id, ${holder}, 1, l.at, l.at FROM judged l WHERE l.refusal IS NULL
    ON CONFLICT (resource_id, holder) DO UPDATE SET uses = d.uses + 1, last_at = excluded.last_at
      WHERE d.uses < coalesce((SELECT max_uses_each FROM judged), ${2 ** 31 - 1}::int)
    RETURNING resource_id AS id
  )`

/** It may happen several times in one version. */
const numbered = sql`NULL::text`

export const suspending: Verb = {
  to: 'unsuspended',
  set: sql`suspended_at = l.at`,
  type: sql`'suspended'`,
  types: ['suspended'],
  occasion: numbered,
  before: sql`jsonb_build_object('status', l.status)`,
  after: sql`jsonb_build_object('status', 'suspended')`,
}

export const restoring: Verb = {
  to: 'suspended',
  set: sql`suspended_at = NULL`,
  type: sql`'restored'`,
  types: ['restored'],
  occasion: numbered,
  before: sql`jsonb_build_object('status', 'suspended')`,
  after: statusAfter,
}
