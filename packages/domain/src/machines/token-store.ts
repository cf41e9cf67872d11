import type { Sql } from '../database.ts'
import { gathered } from '../store/gathered.ts'
import { columns, type Fragment, isLive, now, type ResourceRow, type SeenRow, seenStatus, sql } from '../store/live.ts'

export type TokenRow = SeenRow & { readonly verifier: Uint8Array | null }

/** What no token has of its own. */
const alike = {
  ...({ kind: 'api-token', reference: null, scope: null, subject: null, startsAt: null } as const),
  ...({ uses: 0, maxUses: null, maxUsesEach: null } as const),
}

/** Only what differs is read: columns are what verifying takes its time for. */
const readRows = async (db: Sql, which: Fragment) => {
  const rows = await db.$queryRaw<(Omit<TokenRow, keyof typeof alike | 'endsAt'> & { selector: string | null })[]>(sql`
    SELECT r.id, r.organization_id AS "organizationId", r.payload, r.status, ${seenStatus(sql`r`, sql`c.at`)} AS seen, r.version,
      r.last_used_at AS "lastUsedAt", r.issued_at AS "issuedAt", r.expires_at AS "expiresAt", r.ended_at AS "endedAt",
      r.selector, r.verifier, c.at
    FROM resource r, (SELECT ${now} AS at) c
    WHERE ${which} AND r.kind = 'api-token'`)
  // They have no grace. Added to the row itself: to spread it into another costs more than proving the token does.
  return rows.map((row) => Object.assign(row, alike, { endsAt: row.expiresAt }))
}

export const readTokenRow = async (db: Sql, id: string): Promise<TokenRow | undefined> =>
  (await readRows(db, sql`r.id = ${id}::uuid`))[0]

/** By the half that may be seen. */
export const tokensBySelector = (db: Sql) =>
  gathered(
    (selectors) => readRows(db, sql`r.selector = ANY (${[...selectors]}::text[])`),
    ({ selector }) => selector,
  )

export type RotatingRow = ResourceRow & { readonly live: boolean; readonly successorId: string | null }

/** The clock is read when the row is ours. */
export const lockToken = async (tx: Sql, id: string): Promise<RotatingRow | undefined> => {
  const [row] = await tx.$queryRaw<RotatingRow[]>(sql`
    WITH locked AS MATERIALIZED (
      SELECT * FROM resource WHERE id = ${id}::uuid AND kind = 'api-token' FOR UPDATE
    ), looked AS MATERIALIZED (SELECT *, ${now} AS at FROM locked)
    SELECT ${columns(sql`l`, sql`l.at`)}, ${isLive(sql`l`, sql`l.at`)} AS live, l.successor_id AS "successorId" FROM looked l`)
  return row
}

/** Somebody has taken its place: nobody needs to be told of its end any more. */
export const setSuccessor = (tx: Sql, id: string, successorId: string) =>
  tx.$executeRaw(sql`
    UPDATE resource SET successor_id = ${successorId}::uuid, contact = NULL WHERE id = ${id}::uuid AND successor_id IS NULL`)

/** No renewal goes past the end that it has now. */
export const keepEnd = (tx: Sql, id: string) =>
  tx.$executeRaw(sql`UPDATE resource SET latest_at = expires_at WHERE id = ${id}::uuid`)

/**
 * At most once a minute. Whoever finds the row locked leaves it at that. The lock may have been got after somebody else's
 * change, so the guard is asked again.
 */
export const touchToken = (db: Sql, id: string) => {
  const guard = sql`r.id = ${id}::uuid AND ${isLive(sql`r`, now)}
    AND (r.last_used_at IS NULL OR r.last_used_at <= ${now} - interval '1 minute')`
  return db.$executeRaw(sql`
    UPDATE resource r SET last_used_at = ${now}
    WHERE r.id = (SELECT r.id FROM resource r WHERE ${guard} FOR UPDATE SKIP LOCKED) AND ${guard}`)
}
