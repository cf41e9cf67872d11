import type { Sql } from '../database.ts'
import { now, raw, sql } from './live.ts'
import type { Cause } from './record.ts'

/** A row is deleted together with as many deliveries and redemptions; of one that has more those go first, in batches. */
const fewDependents = 20

/** Dependents that one statement deletes: a code that was redeemed a million times must not run into its timeout. */
export const dependentsBatch = 1_000

const isOverdue = sql`r.next_step = 'purge' AND r.due_at <= (SELECT at FROM clock)
  AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.resource_id = r.id AND d.status IN ('pending', 'failed'))`

const isHeavy = sql`(
  (SELECT count(*) FROM (SELECT 1 FROM delivery d WHERE d.resource_id = r.id LIMIT ${raw(String(fewDependents + 1))}) n) > ${raw(String(fewDependents))}
  OR (SELECT count(*) FROM (SELECT 1 FROM redemption d WHERE d.resource_id = r.id LIMIT ${raw(String(fewDependents + 1))}) n) > ${raw(String(fewDependents))})`

/** Deletes up to `limit` rows that are past their retention and owe nobody anything; their events stay. */
export const purgeResources = (db: Sql, limit: number, cause: Cause) =>
  db.$queryRaw<{ id: string; kind: string }[]>(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at),
  due AS MATERIALIZED (
    SELECT id FROM resource r
    WHERE ${isOverdue} AND NOT ${isHeavy}
    ORDER BY due_at LIMIT ${raw(String(Math.trunc(limit)))}
    FOR UPDATE SKIP LOCKED
  ), gone AS (
    DELETE FROM resource r USING due WHERE r.id = due.id AND r.next_step = 'purge'
    RETURNING r.*
  ), logged AS (
    INSERT INTO event (resource_id, kind, type, version, at, from_status, trigger, lateness_ms)
    SELECT id, kind, 'purged', version, (SELECT at FROM clock), status, ${cause.trigger}::lapse_trigger,
      (extract(epoch FROM (SELECT at FROM clock) - due_at) * 1000)::bigint
    FROM gone
  )
  SELECT id, kind FROM gone`)

/**
 * Deletes the next batch of deliveries and redemptions of the first row that is past its retention and has too many of them
 * to go with it, and says how many: none when there is no such row.
 */
export const purgeDependents = async (db: Sql): Promise<number> => {
  const [row] = await db.$queryRaw<{ n: number }[]>(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at),
  heavy AS MATERIALIZED (
    SELECT id FROM resource r WHERE ${isOverdue} AND ${isHeavy} ORDER BY due_at LIMIT 1
  ), deliveries AS (
    DELETE FROM delivery WHERE id IN (
      SELECT d.id FROM heavy h JOIN delivery d ON d.resource_id = h.id
      LIMIT ${raw(String(dependentsBatch))} FOR UPDATE OF d SKIP LOCKED)
    RETURNING 1
  ), redemptions AS (
    DELETE FROM redemption WHERE (resource_id, holder) IN (
      SELECT d.resource_id, d.holder FROM heavy h JOIN redemption d ON d.resource_id = h.id
      LIMIT ${raw(String(dependentsBatch))} FOR UPDATE OF d SKIP LOCKED)
    RETURNING 1
  )
  SELECT ((SELECT count(*) FROM deliveries) + (SELECT count(*) FROM redemptions))::int AS n`)
  return row?.n ?? 0
}
