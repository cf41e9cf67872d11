import { crc32 } from 'node:zlib'
import type { Sql } from '../database.ts'
import { named } from '../directory/shared.ts'
import { LapseError } from '../errors.ts'
import type { Count } from '../store/listing.ts'
import { type Fragment, isLive, isOver, now, type SeenRow, seenColumns, sql } from '../store/live.ts'
import { countResources, listResources, walkResources } from '../store/resource-list.ts'
import type { Triple } from './grant.ts'

/** In words that the partial indexes on grants know. */
const standing = sql`r.kind = 'access-grant' AND r.status IN ('active', 'grace')`

/** By its id or the host application's own; what belongs to none without. */
const within = (organization: string | undefined): Fragment =>
  organization === undefined
    ? sql`r.organization_id IS NULL`
    : sql`r.organization_id = (SELECT id FROM directory_organization WHERE ${named(organization)})`

/** What stands for one triple: until when it holds, and what is over and not yet advanced. */
export interface Standing {
  readonly until: Date | null
  readonly over: readonly string[] | null
}

const verdict = sql`max(r.ends_at) FILTER (WHERE ${isLive(sql`r`, sql`c.at`)}) AS until,
  array_agg(r.id) FILTER (WHERE ${isOver(sql`r`, sql`c.at`)}) AS over`

export const readStanding = async (
  db: Sql,
  { resource, relation, subject }: Triple,
  organization: string | undefined,
) => {
  const [row] = await db.$queryRaw<Standing[]>(sql`
    SELECT ${verdict} FROM (SELECT ${now} AS at) c JOIN resource r ON ${standing}
      AND r.scope = ${resource} AND r.subject = ${subject} AND r.payload ->> 'relation' = ${relation}
      AND ${within(organization)}`)
  return row ?? { until: null, over: null }
}

/** In the order of the triples. */
export const readStandings = (db: Sql, triples: readonly Triple[], organization: string | undefined) =>
  db.$queryRaw<Standing[]>(sql`
  SELECT s.until, s.over FROM ${listed(triples)} WITH ORDINALITY AS t(resource, subject, relation, place)
  CROSS JOIN LATERAL (
    SELECT ${verdict} FROM (SELECT ${now} AS at) c JOIN resource r ON ${standing}
      AND r.scope = t.resource AND r.subject = t.subject AND r.payload ->> 'relation' = t.relation
      AND ${within(organization)}
  ) s ORDER BY t.place`)

const listed = (triples: readonly Triple[]): Fragment => sql`unnest(${triples.map((t) => t.resource)}::text[],
  ${triples.map((t) => t.subject)}::text[], ${triples.map((t) => t.relation)}::text[])`

/** An organization's id. Nothing is suspended or restored in it until the commit. @throws LapseError `unknown_organization` */
export const placeOf = async (tx: Sql, idOrReference: string): Promise<string> => {
  const [organization] = await tx.$queryRaw<{ id: string }[]>(
    sql`SELECT id FROM directory_organization WHERE ${named(idOrReference)} FOR SHARE`,
  )
  if (!organization) throw new LapseError('unknown_organization', { field: 'organization', detail: 'Create it first.' })
  return organization.id
}

const lanes = 1_024

/**
 * Whoever writes a grant of these triples does it one after the other, before there is a row to wait for: so a touch never
 * finds that somebody else was quicker. Taken in one order, and in so few lanes that no bulk fills the server's table of
 * locks. Each organization has lanes of its own, so that no writer waits for another organization's.
 */
export const awaitTurn = (tx: Sql, triples: readonly string[], organizationId: string | null) => {
  const taken = [...new Set(triples.map((triple) => crc32(triple) % lanes))].sort((a, b) => a - b)
  const owner = `access-grant\n${organizationId ?? ''}`
  return tx.$queryRaw(sql`
    SELECT count(pg_advisory_xact_lock(hashtext(${owner}), lane)) FROM unnest(${taken}::int[]) AS lane`)
}

/** A grant that has not been ended yet, held until the commit. */
export type HeldRow = SeenRow & { readonly over: boolean }

/** Held by their ids, as a cascade holds what it ends: so nobody waits in a circle. */
export const holdGrants = (tx: Sql, triples: readonly Triple[], organizationId: string | null) =>
  tx.$queryRaw<HeldRow[]>(sql`
  WITH locked AS MATERIALIZED (
    SELECT r.* FROM resource r
    WHERE ${standing} AND (r.scope, r.subject, r.payload ->> 'relation') IN (SELECT * FROM ${listed(triples)})
      AND r.organization_id IS NOT DISTINCT FROM ${organizationId}::uuid
    ORDER BY r.id FOR UPDATE
  ), looked AS MATERIALIZED (
    SELECT *, ${now} AS at FROM locked
  )
  SELECT ${seenColumns(sql`l`, sql`l.at`)}, ${isOver(sql`l`, sql`l.at`)} AS over FROM looked l`)

export interface GrantFilter {
  readonly resource?: string | undefined
  readonly relation?: string | undefined
  readonly subject?: string | undefined
  /** Of one organization, by its id; of all of them and of none without. */
  readonly organizationId?: string | undefined
  /** Only what holds, unless said otherwise; `false`: only what does not. */
  readonly live?: boolean | undefined
}

const filterOf = ({ resource, relation, subject, organizationId, live = true }: GrantFilter) =>
  ({ kind: 'access-grant', scope: resource, relation, subject, organizationId, live }) as const

/** Newest first, before an id. @throws LapseError `too_broad` */
export const listGrants = (
  db: Sql,
  filter: GrantFilter,
  page: { readonly before: string | undefined; readonly limit: number },
) => listResources(db, filterOf(filter), page, filter)

/** From the oldest on, after an id. It says where to go on; what matches may be far apart. */
export const walkGrants = (
  db: Sql,
  filter: GrantFilter,
  page: { readonly after: string | undefined; readonly limit: number },
) => walkResources(db, filterOf(filter), page)

export const countGrants = (db: Sql, filter: GrantFilter): Promise<Count> => countResources(db, filterOf(filter))
