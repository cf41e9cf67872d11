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
  milliseconds,
  nextReminder,
  now,
  type ResourceRow,
  sql,
} from './live.ts'
import { type Cause, type Recorded, record } from './record.ts'

export type TransitionRow = ResourceRow &
  (({ readonly moved: true } & Recorded) | { readonly moved: false; readonly refusal: Refusal })

/** What one verb does to a live row `l` that is locked. `at` is the instant it is judged at. */
interface Verb {
  readonly set: Fragment
  /** More reasons to refuse, as WHEN … THEN. */
  readonly unless?: Fragment
  readonly type: Fragment
  /** What `type` may be. */
  readonly types: readonly EventType[]
  readonly occasion?: Fragment
  readonly before: Fragment
  readonly after: Fragment
}

/**
 * A person's own act on one resource. No row: there is none of that id and kind. `moved: false`: it was refused, and the
 * row is as it was.
 *
 * The row is locked first and the clock read after that, for a guard alone can wait on somebody's lock and then pass by
 * a clock that was read before.
 */
const transition = (db: Sql, kind: Kind, id: string, verb: Verb, cause: Cause, registry: Registry) =>
  db.$queryRaw<TransitionRow[]>(sql`
  WITH locked AS MATERIALIZED (
    SELECT * FROM resource WHERE id = ${id}::uuid AND kind = ${kind.name} FOR UPDATE
  ), looked AS MATERIALIZED (
    SELECT *, ${now} AS at FROM locked
  ), judged AS MATERIALIZED (
    SELECT l.*, CASE WHEN NOT ${isLive(sql`l`, sql`l.at`)} THEN 'ended' ${verb.unless ?? empty} END AS refusal
    FROM looked l
  ), moved AS (
    UPDATE resource r SET ${verb.set}, changed_at = l.at
    FROM judged l
    WHERE r.id = l.id AND l.refusal IS NULL AND ${isLive(sql`r`, sql`l.at`)}
    RETURNING r.*, l.at, l.status AS was, ${verb.type} AS type, coalesce(${verb.occasion ?? sql`NULL`}, ${verb.type}) AS occasion,
      NULL::bigint AS lateness_ms, jsonb_build_object('before', ${verb.before}, 'after', ${verb.after}) AS data
  ), ${record(cause, registry, [kind], verb.types)}
  SELECT true AS moved, NULL AS refusal, ${columns(sql`m`, sql`m.at`)}, m.type, m.was AS "from",
    m.lateness_ms::float8 AS "latenessMs", m.at AS "eventAt", o.deliveries AS owed
  FROM moved m LEFT JOIN owed o ON o.resource_id = m.id
  UNION ALL
  SELECT false, l.refusal, ${columns(sql`l`, sql`l.at`)}, NULL, NULL, NULL, NULL, NULL
  FROM judged l WHERE NOT EXISTS (SELECT 1 FROM moved)`)

/** The columns of a row that has just ended. */
const ended = (status: Fragment, kind: Kind) => sql`
  status = ${status}, ended_at = l.at, next_step = 'purge', due_at = l.at + ${milliseconds(kind.terms.retention)}`

export const renewResource = (
  db: Sql,
  kind: Kind,
  id: string,
  end: { expiresAtMs: number | null; lifeMs: number | null; onlyLater: boolean },
  cause: Cause,
  registry: Registry,
) => {
  const { minLife, maxLife, reminders } = kind.terms
  const expiresAt = sql`coalesce(${instant(end.expiresAtMs)}, l.at + ${end.lifeMs}::float8 * interval '1 millisecond')::timestamptz(3)`
  const list = sql`${reminders}::int[]`
  const reminder = nextReminder(expiresAt, list, sql`l.at`)
  return transition(
    db,
    kind,
    id,
    {
      unless: sql`WHEN ${expiresAt} < l.at + ${milliseconds(minLife)} THEN 'too-short'
        WHEN ${expiresAt} > l.issued_at + ${milliseconds(maxLife)} THEN 'too-long'
        WHEN ${end.onlyLater} AND ${expiresAt} <= l.expires_at THEN 'not-later'`,
      set: sql`status = 'active', version = r.version + 1, failures = 0, reminders = ${list},
        expires_at = ${expiresAt}, ends_at = ${expiresAt} + (l.ends_at - l.expires_at),
        due_at = coalesce(${reminder}, ${expiresAt}),
        next_step = (CASE WHEN ${reminder} IS NULL THEN 'expire' ELSE 'remind' END)::lapse_step`,
      type: sql`'renewed'`,
      types: ['renewed'],
      before: sql`jsonb_build_object('expires_at', l.expires_at, 'version', l.version)`,
      after: sql`jsonb_build_object('expires_at', r.expires_at, 'version', r.version)`,
    },
    cause,
    registry,
  )
}

export const revokeResource = (db: Sql, kind: Kind, id: string, cause: Cause, registry: Registry) =>
  transition(
    db,
    kind,
    id,
    {
      set: ended(sql`'revoked'`, kind),
      type: sql`'revoked'`,
      types: ['revoked'],
      before: sql`jsonb_build_object('status', l.status)`,
      after: sql`jsonb_build_object('status', r.status)`,
    },
    cause,
    registry,
  )

export const expireResource = (db: Sql, kind: Kind, id: string, cause: Cause, registry: Registry) =>
  transition(
    db,
    kind,
    id,
    {
      set: sql`${ended(sql`'expired'`, kind)}, expires_at = least(r.expires_at, l.at), ends_at = l.at`,
      type: sql`'expired'`,
      types: ['expired'],
      before: sql`jsonb_build_object('status', l.status, 'expires_at', l.expires_at)`,
      after: sql`jsonb_build_object('status', r.status, 'expires_at', r.expires_at)`,
    },
    cause,
    registry,
  )

export const consumeResource = (db: Sql, kind: Kind, id: string, cause: Cause, registry: Registry) => {
  const last = sql`(l.max_uses IS NOT NULL AND l.uses + 1 >= l.max_uses)`
  return transition(
    db,
    kind,
    id,
    {
      set: sql`uses = r.uses + 1,
        status = (CASE WHEN ${last} THEN 'consumed' ELSE r.status END)::lapse_status,
        ended_at = CASE WHEN ${last} THEN l.at END,
        next_step = CASE WHEN ${last} THEN 'purge' ELSE r.next_step END,
        due_at = CASE WHEN ${last} THEN l.at + ${milliseconds(kind.terms.retention)} ELSE r.due_at END`,
      type: sql`(CASE WHEN ${last} THEN 'consumed' ELSE 'used' END)`,
      types: ['used', 'consumed'],
      occasion: sql`(CASE WHEN NOT ${last} THEN 'used:' || (l.uses + 1) END)`,
      before: sql`jsonb_build_object('status', l.status, 'uses', l.uses)`,
      after: sql`jsonb_build_object('status', r.status, 'uses', r.uses)`,
    },
    cause,
    registry,
  )
}
