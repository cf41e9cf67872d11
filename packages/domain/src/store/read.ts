import type { Sql } from '../database.ts'
import type { Step } from '../lifecycle.ts'
import { gathered } from './gathered.ts'
import {
  among,
  columns,
  empty,
  type Fragment,
  isLive,
  now,
  type ResourceRow,
  type SeenRow,
  seenColumns,
  sql,
} from './live.ts'
import { holdsReference, inOrganization } from './references.ts'

/** A reference, and whose it is. */
export interface ReferenceSelector {
  readonly reference: string
  /** The organization that the resource was issued in, by its id or your own. Default: none, the host application's own. */
  readonly organization?: string | undefined
}

/**
 * One resource by its id, or by a reference: the one that holds it, else the newest. Ids tell only roughly which is
 * newer, for they come from the clocks of several processes.
 */
export type Selector = string | ReferenceSelector

export const resourcesById = (db: Sql) =>
  gathered(
    (ids) =>
      db.$queryRaw<SeenRow[]>(sql`
      SELECT ${seenColumns(sql`r`, sql`c.at`)} FROM resource r, (SELECT ${now} AS at) c WHERE r.id = ANY (${[...ids]}::uuid[])`),
    ({ id }) => id,
  )

export const readByReference = async (db: Sql, kind: string, { reference, organization }: ReferenceSelector) => {
  const [row] = await db.$queryRaw<SeenRow[]>(sql`
    SELECT ${seenColumns(sql`r`, sql`c.at`)} FROM resource r, (SELECT ${now} AS at) c
    WHERE r.kind = ${kind} AND r.reference = ${reference} AND ${inOrganization(organization)}
    ORDER BY ${holdsReference} DESC, r.id DESC LIMIT 1`)
  return row
}

/** With its timers and what happens to it next. */
export const readWholeResource = async (db: Sql, id: string) => {
  const [row] = await db.$queryRaw<ResourceRow[]>(sql`
    SELECT ${columns(sql`r`, sql`c.at`)} FROM resource r, (SELECT ${now} AS at) c WHERE r.id = ${id}::uuid`)
  return row
}

/** A live row's next step, as a wake-up or the look-ahead needs it. */
export interface PendingRow {
  readonly id: string
  readonly kind: string
  readonly version: number
  readonly nextStep: Step
  readonly dueAt: Date
  readonly expiresAt: Date
  readonly endsAt: Date
  /** How often the step that is due was refused, by a hook or by PostgreSQL. */
  readonly failures: number
  /** What the clock said. */
  readonly at: Date
}

const pending = sql`id, kind, version, next_step AS "nextStep", due_at AS "dueAt", expires_at AS "expiresAt", ends_at AS "endsAt", failures, c.at`

/** Where these rows stand now. Ended rows come too, with `purge` for their next step; unknown ids do not. */
export const readPending = (db: Sql, ids: readonly string[]) =>
  db.$queryRaw<PendingRow[]>(sql`
  SELECT ${pending} FROM resource, (SELECT ${now} AS at) c WHERE ${among(ids)}`)

/** Which rows of these kinds are due. */
export const readDue = async (
  db: Sql,
  kinds: readonly { readonly name: string }[],
  batch: { limit: number; ids: readonly string[] | undefined; latestFirst: boolean },
): Promise<string[]> => {
  const rows = await db.$queryRaw<{ id: string }[]>(sql`
    SELECT id FROM resource
    WHERE next_step <> 'purge' AND due_at <= (SELECT ${now}) AND kind = ANY (${kinds.map((kind) => kind.name)}::text[])
      ${batch.ids ? sql`AND ${among(batch.ids)}` : empty}
    ORDER BY due_at ${batch.latestFirst ? sql`DESC` : empty} LIMIT ${batch.limit}::int`)
  return rows.map((row) => row.id)
}

export interface Span {
  /** Only what changed at or after this instant, or is due after `dueAfter`. */
  readonly changedSince?: Date | undefined
  readonly dueAfter?: Date | undefined
  /** How far ahead of the database's clock, in milliseconds; unlimited without. */
  readonly aheadMs?: number | undefined
}

/** What will be due, earliest first, in pages: `after` is the last row of the page before. */
export const upcoming = (db: Sql, span: Span, page: { after?: PendingRow | undefined; limit: number }) => {
  const { changedSince, dueAfter, aheadMs } = span
  return db.$queryRaw<PendingRow[]>(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at)
  SELECT ${pending} FROM resource, clock c
  WHERE next_step <> 'purge' AND due_at > (SELECT at FROM clock)
    ${aheadMs === undefined ? empty : sql`AND due_at <= (SELECT at FROM clock) + ${aheadMs}::float8 * interval '1 millisecond'`}
    ${changedSince && dueAfter ? sql`AND (changed_at >= ${epoch(changedSince)} OR due_at > ${epoch(dueAfter)})` : empty}
    ${page.after ? sql`AND (due_at, id) > (${epoch(page.after.dueAt)}, ${page.after.id}::uuid)` : empty}
  ORDER BY due_at, id LIMIT ${page.limit}::int`)
}

const epoch = (date: Date): Fragment => sql`to_timestamp(${date.getTime()}::float8 / 1000)`

/** The database's clock. */
export const readClock = async (db: Sql): Promise<Date> => {
  const [row] = await db.$queryRaw<{ at: Date }[]>(sql`SELECT ${now} AS at`)
  if (!row) throw new Error('PostgreSQL did not tell the time.')
  return row.at
}

/**
 * What should have happened and has not, by kind: how many rows, and how late the first is; of the 10,000 that are latest. `now()` says nothing more, but
 * the planner knows it, and sees that it need not read the whole table.
 */
export const overdue = (db: Sql): Promise<{ kind: string; count: number; oldestMs: number }[]> =>
  db.$queryRaw(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at)
  SELECT kind, count(*)::float8 AS count, (extract(epoch FROM (SELECT at FROM clock) - min(due_at)) * 1000)::float8 AS "oldestMs"
  FROM (SELECT kind, due_at FROM resource WHERE next_step <> 'purge' AND due_at <= (SELECT at FROM clock) AND due_at <= now()
    ORDER BY due_at LIMIT 10000) late
  GROUP BY kind`)

/** A resource and what proves that somebody holds its token. */
export type ProvableRow = SeenRow & {
  readonly live: boolean
  readonly verifier: Uint8Array | null
  readonly password: string | null
  readonly attempts: number
}

/** By the half of its token that may be seen, or by its id. */
export const readProvable = async (db: Sql, kind: string, by: { selector: string } | { id: string }) => {
  const [row] = await db.$queryRaw<ProvableRow[]>(sql`
    SELECT ${seenColumns(sql`r`, sql`c.at`)}, ${isLive(sql`r`, sql`c.at`)} AS live, r.verifier, r.password, r.attempts
    FROM resource r, (SELECT ${now} AS at) c
    WHERE ${'id' in by ? sql`r.id = ${by.id}::uuid` : sql`r.selector = ${by.selector}`} AND r.kind = ${kind}`)
  return row
}
