import { validate as isUuid } from 'uuid'
import { Prisma } from '../generated/prisma/client.ts'
import type { Status, Step } from '../lifecycle.ts'

export const { sql, join, raw, empty } = Prisma
export type Fragment = Prisma.Sql

/**
 * The one expression that says a row is over, and the one that says it is live: can be used. `row` is an alias of
 * `resource`, `at` an instant of PostgreSQL's clock that was read after the row was locked, if it is to be changed.
 * Nothing else decides.
 */
export const isOver = (row: Fragment, at: Fragment): Fragment =>
  sql`(${row}.status NOT IN ('active', 'grace') OR ${at} >= ${row}.ends_at)`
export const isLive = (row: Fragment, at: Fragment): Fragment =>
  sql`(NOT ${isOver(row, at)} AND ${row}.suspended_at IS NULL AND ${hasStarted(row, at)})`
export const hasStarted = (row: Fragment, at: Fragment): Fragment =>
  sql`(${row}.starts_at IS NULL OR ${at} >= ${row}.starts_at)`

/** The status everybody sees: a row that is over has expired, swept or not. */
export const seenStatus = (row: Fragment, at: Fragment): Fragment =>
  sql`(CASE WHEN ${isOver(row, at)} THEN CASE WHEN ${row}.status IN ('active', 'grace') THEN 'expired' ELSE ${row}.status END
    WHEN ${row}.suspended_at IS NOT NULL THEN 'suspended'
    WHEN ${row}.starts_at > ${at} THEN 'scheduled'
    WHEN ${at} >= ${row}.expires_at THEN 'grace'
    ELSE 'active' END)::lapse_status`

/** The stored status as events tell it. */
export const toldStatus = (row: Fragment): Fragment =>
  sql`(CASE WHEN ${row}.status IN ('active', 'grace') AND ${row}.suspended_at IS NOT NULL THEN 'suspended' ELSE ${row}.status END)::lapse_status`

/** The next reminder still ahead of `at`; NULL when none is. */
export const nextReminder = (expiresAt: Fragment, reminders: Fragment, at: Fragment): Fragment =>
  sql`(SELECT min(${expiresAt} - make_interval(secs => s)) FROM unnest(${reminders}) AS s
    WHERE ${expiresAt} - make_interval(secs => s) > ${at})`

/** PostgreSQL's clock, cut to the millisecond that every instant is kept in: `floor(now) < end` is `now < end`. */
export const now = sql`date_trunc('milliseconds', clock_timestamp())`

/** An epoch in milliseconds as an instant. Never binds a date: see docs/decisions/instants.md. */
export const instant = (epochMs: number | null): Fragment => sql`to_timestamp(${epochMs}::float8 / 1000)`

export const milliseconds = (ms: number): Fragment => sql`(${ms}::float8 * interval '1 millisecond')`

/** One of these ids. What is no id, as a forged job may bring it, belongs to nothing. */
export const among = (ids: readonly string[]): Fragment => sql`id = ANY (${ids.filter((id) => isUuid(id))}::uuid[])`

/** What everybody sees of a row of `resource`. */
export interface SeenRow {
  readonly id: string
  readonly kind: string
  readonly reference: string | null
  readonly scope: string | null
  readonly organizationId: string | null
  readonly subject: string | null
  readonly payload: Record<string, unknown>
  readonly status: Status
  readonly seen: Status
  readonly version: number
  readonly uses: number
  readonly maxUses: number | null
  readonly maxUsesEach: number | null
  readonly lastUsedAt: Date | null
  readonly issuedAt: Date
  readonly startsAt: Date | null
  readonly expiresAt: Date
  readonly endsAt: Date
  readonly endedAt: Date | null
  readonly at: Date
}

/** With what its transitions and its timers go by. */
export interface ResourceRow extends SeenRow {
  readonly suspendedAt: Date | null
  readonly reminders: number[]
  readonly dueAt: Date | null
  readonly nextStep: Step | null
}

/** The columns of a `SeenRow`. Each costs a check a hundredth of its time. */
export const seenColumns = (row: Fragment, at: Fragment): Fragment =>
  sql`${row}.id, ${row}.kind, ${row}.reference, ${row}.scope, ${row}.organization_id AS "organizationId", ${row}.subject, ${row}.payload,
    ${row}.status, ${seenStatus(row, at)} AS seen, ${row}.version, ${row}.uses, ${row}.max_uses AS "maxUses",
    ${row}.max_uses_each AS "maxUsesEach", ${row}.last_used_at AS "lastUsedAt",
    ${row}.issued_at AS "issuedAt", ${row}.starts_at AS "startsAt", ${row}.expires_at AS "expiresAt", ${row}.ends_at AS "endsAt",
    ${row}.ended_at AS "endedAt", ${at} AS at`

/** The columns of a `ResourceRow`. */
export const columns = (row: Fragment, at: Fragment): Fragment =>
  sql`${seenColumns(row, at)}, ${row}.suspended_at AS "suspendedAt", ${row}.reminders, ${row}.due_at AS "dueAt",
    ${row}.next_step AS "nextStep"`
