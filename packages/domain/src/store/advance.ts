import type { Sql } from '../database.ts'
import type { EventType, Kind } from '../kind.ts'
import type { Status, Step } from '../lifecycle.ts'
import type { Registry } from '../registry.ts'
import {
  among,
  columns,
  empty,
  type Fragment,
  isOver,
  nextReminder,
  now,
  type ResourceRow,
  raw,
  sql,
  toldStatus,
} from './live.ts'
import { type Cause, type Owed, record } from './record.ts'

/** What happened to one row; enough to arm its next timer and to deliver what it owes. */
export interface AdvancedRow {
  readonly id: string
  readonly kind: string
  readonly version: number
  readonly type: Extract<EventType, 'reminded' | 'grace' | 'expired'>
  readonly from: Status
  readonly status: Status
  readonly latenessMs: number
  /** How often a hook, or PostgreSQL, had refused this step before: that it is late is not its timer's fault. */
  readonly failures: number
  readonly eventAt: Date
  readonly nextStep: Step
  readonly dueAt: Date
  readonly expiresAt: Date
  readonly owed: Owed[] | null
}

/**
 * Takes up to `limit` rows of these kinds that are due, each in one step to where the clock says it is. Rows that someone
 * else has locked are left to them.
 *
 * Nothing waits between the reading of the clock and the lock, and time only goes on: what was due then is due now. A
 * row that changed in between fails the guard, which is checked again on its newest version.
 */
export const advanceResources = <Whole extends boolean>(
  db: Sql,
  kinds: readonly Kind[],
  options: { limit: number; ids?: readonly string[] | undefined; latestFirst?: boolean; whole: Whole },
  cause: Cause,
  registry: Registry,
) =>
  db.$queryRaw<(AdvancedRow & (Whole extends true ? ResourceRow : unknown))[]>(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at),
  due AS MATERIALIZED (
    SELECT *, ctid AS place FROM resource
    WHERE due_at <= (SELECT at FROM clock) AND next_step <> 'purge'
      AND kind = ANY (${kinds.map((kind) => kind.name)}::text[]) ${options.ids ? sql`AND ${among(options.ids)}` : empty}
    ORDER BY due_at ${options.latestFirst ? sql`DESC` : empty} LIMIT ${literal(options.limit)}
    FOR UPDATE SKIP LOCKED
  ), judged AS MATERIALIZED (
    SELECT d.*, clock.at, k.retention * interval '1 millisecond' AS retention,
      CASE WHEN ${isOver(sql`d`, sql`clock.at`)} THEN 'expired' WHEN clock.at >= d.expires_at THEN 'grace' ELSE 'reminded' END AS type,
      (SELECT min(s) FROM unnest(d.reminders) AS s WHERE d.expires_at - make_interval(secs => s) <= clock.at) AS offset_s,
      ${nextReminder(sql`d.expires_at`, sql`d.reminders`, sql`clock.at`)} AS reminder
    FROM due d CROSS JOIN clock
    JOIN unnest(${kinds.map((kind) => kind.name)}::text[], ${kinds.map((kind) => kind.terms.retention)}::float8[])
      AS k(kind, retention) USING (kind)
  ), moved AS (
    UPDATE resource r SET
      status = (CASE j.type WHEN 'reminded' THEN j.status::text ELSE j.type END)::lapse_status,
      ended_at = CASE j.type WHEN 'expired' THEN j.ends_at END,
      next_step = (CASE j.type WHEN 'expired' THEN 'purge' WHEN 'grace' THEN 'end-grace'
        ELSE CASE WHEN j.reminder IS NULL THEN 'expire' ELSE 'remind' END END)::lapse_step,
      due_at = CASE j.type WHEN 'expired' THEN j.at + j.retention WHEN 'grace' THEN j.ends_at
        ELSE coalesce(j.reminder, j.expires_at) END,
      failures = 0, changed_at = j.at
    FROM judged j
    WHERE r.ctid = j.place AND r.due_at <= j.at
    RETURNING r.*, j.at, ${toldStatus(sql`j`)} AS was, j.type,
      CASE j.type WHEN 'reminded' THEN 'reminded:' || j.offset_s ELSE j.type END AS occasion,
      (extract(epoch FROM j.at - CASE j.type WHEN 'expired' THEN j.ends_at WHEN 'grace' THEN j.expires_at
          ELSE j.expires_at - make_interval(secs => j.offset_s) END)
        * 1000)::bigint AS lateness_ms,
      j.failures AS refusals, CASE WHEN j.failures > 0 THEN jsonb_build_object('failures', j.failures) END AS data
  ), ${record(cause, registry, kinds, ['reminded', 'grace', 'expired'])}
  SELECT ${options.whole ? sql`${columns(sql`m`, sql`m.at`)},` : essentials}
    m.type, m.was AS "from", m.lateness_ms::float8 AS "latenessMs", m.refusals AS failures, m.at AS "eventAt", o.deliveries AS owed
  FROM moved m LEFT JOIN owed o ON o.resource_id = m.id`)

/** In the statement's text: of a parameter the planner expects a tenth of the table, and then reads all of it. */
const literal = (limit: number): Fragment => raw(String(Math.trunc(limit)))

const essentials = sql`m.id, m.kind, m.version, m.status, m.next_step AS "nextStep", m.due_at AS "dueAt", m.expires_at AS "expiresAt",`

/** One that is tried again later; enough to arm its timer. */
export type PostponedRow = Pick<AdvancedRow, 'id' | 'kind' | 'version' | 'nextStep' | 'dueAt' | 'expiresAt'>

/**
 * A hook has refused this row's step: it is tried again later, and later each time, up to an hour, but never later than
 * the step after it. What is over stays denied meanwhile.
 */
export const postpone = (db: Sql, id: string, type: 'hook-failed' | 'step-failed', reason: string, cause: Cause) =>
  db.$queryRaw<PostponedRow[]>(sql`
  WITH moved AS (
    UPDATE resource SET failures = failures + 1, due_at = least(
      ${now} + make_interval(secs => least(3600, power(2, least(failures, 12)))),
      CASE WHEN ${now} < expires_at THEN expires_at WHEN ${now} < ends_at THEN ends_at END)
    WHERE id = ${id}::uuid AND next_step <> 'purge' AND due_at <= ${now}
    RETURNING *
  ), logged AS (
    INSERT INTO event (resource_id, kind, type, version, at, from_status, to_status, trigger, reason, data)
    SELECT id, kind, ${type}, version, ${now}, status, status, ${cause.trigger}::lapse_trigger, ${reason},
      jsonb_build_object('failures', failures, 'next_try', due_at)
    FROM moved
  )
  SELECT id, kind, version, next_step AS "nextStep", due_at AS "dueAt", expires_at AS "expiresAt" FROM moved`)
