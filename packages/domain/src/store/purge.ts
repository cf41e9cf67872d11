import type { Sql } from '../database.ts'
import { now, raw, sql } from './live.ts'
import type { Cause } from './record.ts'

/** Deletes up to `limit` rows that are past their retention and owe nobody anything; their events stay. */
export const purgeResources = (db: Sql, limit: number, cause: Cause) =>
  db.$queryRaw<{ id: string; kind: string }[]>(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at),
  due AS MATERIALIZED (
    SELECT id FROM resource r
    WHERE next_step = 'purge' AND due_at <= (SELECT at FROM clock)
      AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.resource_id = r.id AND d.status IN ('pending', 'failed'))
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
