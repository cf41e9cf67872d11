import type { Sql } from '../database.ts'
import type { Kind, Payload } from '../kind.ts'
import type { Registry } from '../registry.ts'
import { columns, nextReminder, now, type ResourceRow, sql } from './live.ts'
import { type Cause, type Recorded, record } from './record.ts'

/** One resource to be issued, its kind's terms worked in. */
export interface Draft {
  readonly id: string
  readonly kind: string
  readonly reference: string | null
  readonly scope: string | null
  readonly subject: string | null
  readonly payload: Payload
  readonly contact: string | null
  readonly maxUses: number | null
  /** Epoch milliseconds; or else `lifeMs`. */
  readonly expiresAtMs: number | null
  readonly lifeMs: number | null
  readonly graceMs: number
  readonly minLifeMs: number
  readonly maxLifeMs: number
  readonly reminders: readonly number[]
}

export type IssuedRow = ResourceRow &
  Recorded & {
    /** NULL in every column of the row when it was refused, or when its reference is taken. */
    readonly refusal: 'too-short' | 'too-long' | null
  }

/**
 * Inserts all drafts, or none when one is refused. A draft whose reference (or id) is taken is left out: the caller sees
 * `id` NULL with no refusal. Rows come in the order of the drafts.
 */
export const insertResources = (db: Sql, drafts: readonly Draft[], cause: Cause, registry: Registry) =>
  db.$queryRaw<(IssuedRow | (Partial<ResourceRow> & { id: null; refusal: IssuedRow['refusal'] }))[]>(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at),
  draft AS MATERIALIZED (
    SELECT d.*, clock.at, coalesce(
      to_timestamp(d."expiresAtMs" / 1000), clock.at + d."lifeMs" * interval '1 millisecond')::timestamptz(3) AS expires_at
    FROM clock, ROWS FROM (jsonb_to_recordset(${JSON.stringify(drafts)}::jsonb) AS (
      id uuid, kind text, reference text, scope text, subject text, payload jsonb, contact text, "maxUses" int,
      "expiresAtMs" float8, "lifeMs" float8, "graceMs" float8, "minLifeMs" float8, "maxLifeMs" float8, reminders int[]
    )) WITH ORDINALITY AS d
  ), judged AS MATERIALIZED (
    SELECT d.*, ${nextReminder(sql`d.expires_at`, sql`d.reminders`, sql`d.at`)} AS reminder,
      CASE WHEN d.expires_at < d.at + d."minLifeMs" * interval '1 millisecond' THEN 'too-short'
        WHEN d.expires_at > d.at + d."maxLifeMs" * interval '1 millisecond' THEN 'too-long' END AS refusal
    FROM draft d
  ), inserted AS (
    INSERT INTO resource (id, kind, reference, scope, subject, payload, contact, max_uses, issued_at, changed_at,
      expires_at, ends_at, reminders, due_at, next_step)
    SELECT id, kind, reference, scope, subject, payload, contact, "maxUses", at, at,
      expires_at, expires_at + "graceMs" * interval '1 millisecond', reminders, coalesce(reminder, expires_at),
      (CASE WHEN reminder IS NULL THEN 'expire' ELSE 'remind' END)::lapse_step
    FROM judged
    WHERE NOT EXISTS (SELECT 1 FROM judged WHERE refusal IS NOT NULL)
    -- Two bulks that want the same references wait for each other in one order, or they would deadlock.
    ORDER BY kind, reference, ordinality
    ON CONFLICT DO NOTHING
    RETURNING *
  ), moved AS (
    SELECT i.*, i.issued_at AS at, 'issued' AS type, 'issued' AS occasion, NULL::lapse_status AS was,
      NULL::bigint AS lateness_ms, jsonb_build_object('after', jsonb_build_object('expires_at', i.expires_at,
        'reference', i.reference, 'scope', i.scope, 'subject', i.subject)) AS data
    FROM inserted i
  ), ${record(cause, registry, kindsOf(drafts, registry), ['issued'])}
  SELECT j.refusal, ${columns(sql`m`, sql`m.at`)}, m.type, m.was AS "from", m.lateness_ms::float8 AS "latenessMs",
    m.at AS "eventAt", o.deliveries AS owed
  FROM judged j LEFT JOIN moved m ON m.id = j.id LEFT JOIN owed o ON o.resource_id = m.id
  ORDER BY j.ordinality`)

const kindsOf = (drafts: readonly Draft[], registry: Registry): Kind[] =>
  [...new Set(drafts.map((draft) => draft.kind))].map((name) => registry.get(name))
