import type { Sql } from '../database.ts'
import { among, empty, isOver, now, sql } from './live.ts'

/** Orders the resource that holds its reference before those that have ended, or have freed it. */
export const holdsReference = sql`(r.status IN ('active', 'grace') AND r.reference_freed_at IS NULL)`

/** The resources that are over by the clock and still hold one of these references. */
export const readDeadHolders = (db: Sql, drafts: readonly { kind: string; reference: string | null }[]) =>
  db.$queryRaw<{ id: string; kind: string }[]>(sql`
  SELECT r.id, r.kind
  FROM unnest(${drafts.map((draft) => draft.kind)}::text[], ${drafts.map((draft) => draft.reference)}::text[]) AS d(kind, reference)
  JOIN resource r USING (kind, reference), (SELECT ${now} AS at) c
  WHERE ${holdsReference} AND ${isOver(sql`r`, sql`c.at`)}
  ORDER BY r.id`)

/**
 * Frees the references of those that are over, for others to take, without ending them: their event and their hooks come
 * later, as they would have. Waits for a transaction that holds one of them, unless `locked` says to pass it by.
 *
 * A row that was renewed while this waited is judged anew, and keeps its reference. What is over stays over, so nothing can
 * bring back a row whose reference another has.
 */
export const freeReferences = (db: Sql, ids: readonly string[], locked: 'wait' | 'skip' = 'skip') =>
  db.$executeRaw(sql`
  WITH held AS MATERIALIZED (
    SELECT r.id FROM resource r
    WHERE ${among(ids)} AND r.reference IS NOT NULL AND ${holdsReference} AND ${isOver(sql`r`, now)}
    ORDER BY r.id FOR UPDATE ${locked === 'skip' ? sql`SKIP LOCKED` : empty}
  )
  UPDATE resource r SET reference_freed_at = ${now}
  FROM held WHERE r.id = held.id AND ${holdsReference} AND ${isOver(sql`r`, now)}`)
