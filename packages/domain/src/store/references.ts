import { validate as isUuid } from 'uuid'
import type { Sql } from '../database.ts'
import { unstorable } from '../text.ts'
import { among, empty, type Fragment, isOver, now, sql } from './live.ts'

/** Orders the resource that holds its reference before those that have ended, or have freed it. */
export const holdsReference = sql`(r.status IN ('active', 'grace') AND r.reference_freed_at IS NULL)`

/**
 * The resources `r` of an organization, by its id or the host application's own; without one, those that belong to none.
 * Every lookup by a reference is confined by it: another organization's reference leads nowhere.
 */
export const inOrganization = (organization: string | null | undefined): Fragment => {
  if (organization === null || organization === undefined) return sql`r.organization_id IS NULL`
  if (isUuid(organization)) return sql`r.organization_id = ${organization}::uuid`
  if (unstorable.test(organization)) return sql`false`
  return sql`r.organization_id = (SELECT id FROM directory_organization WHERE reference = ${organization})`
}

interface Held {
  readonly kind: string
  readonly reference: string | null
  readonly organization: string | null
}

/** The resources that are over by the clock and still hold one of these references. */
export const readDeadHolders = async (db: Sql, drafts: readonly Held[]) => {
  const named = drafts.filter((draft) => draft.organization !== null)
  const unnamed = drafts.filter((draft) => draft.organization === null)
  const organizations = [...new Set(named.map((draft) => draft.organization))] as string[]
  const columns = (held: readonly Held[]) =>
    sql`${held.map((draft) => draft.kind)}::text[], ${held.map((draft) => draft.reference)}::text[]`
  return db.$queryRaw<{ id: string; kind: string }[]>(sql`
  WITH organization AS MATERIALIZED (
    SELECT id, reference FROM directory_organization
    WHERE ${among(organizations)} OR reference = ANY (${organizations}::text[])
  ), held AS (
    SELECT r.id, r.kind, r.status, r.ends_at
    FROM unnest(${columns(unnamed)}) AS d(kind, reference) JOIN resource r USING (kind, reference)
    WHERE ${inOrganization(null)} AND ${holdsReference}
    UNION ALL
    SELECT r.id, r.kind, r.status, r.ends_at
    FROM unnest(${columns(named)}, ${named.map((draft) => draft.organization)}::text[]) AS d(kind, reference, organization)
    JOIN organization o ON lower(d.organization) = o.id::text OR d.organization = o.reference
    JOIN resource r ON r.kind = d.kind AND r.reference = d.reference AND r.organization_id = o.id
    WHERE ${holdsReference}
  )
  SELECT r.id, r.kind FROM held r, (SELECT ${now} AS at) c WHERE ${isOver(sql`r`, sql`c.at`)} ORDER BY r.id`)
}

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
