import type { Sql } from '../database.ts'
import { LapseError } from '../errors.ts'
import type { Trigger } from '../events.ts'
import type { AccessGrantPayload } from '../kinds/access-grant.ts'
import type { Status } from '../lifecycle.ts'
import { now, raw, seenStatus, sql } from '../store/live.ts'
import { type Grant, readKey } from './grant.ts'
import type { GrantFilter } from './grant-store.ts'

export type GrantChangeType = 'granted' | 'changed' | 'revoked' | 'expired' | 'suspended' | 'restored'

/** Something that happened to a grant. */
export interface GrantChange {
  readonly type: GrantChangeType
  readonly at: Date
  /** The layer that did it. */
  readonly trigger: Trigger
  /** As it stands now, which may be after later changes; these are to come. */
  readonly grant: Grant
}

export interface GrantChanges {
  readonly changes: readonly GrantChange[]
  /** Where to go on. */
  readonly cursor: string
  /** Whether there is more to read at once. */
  readonly more: boolean
}

export interface WatchOptions extends Omit<GrantFilter, 'live'> {
  /** From an earlier answer; `now` for what happens from now on; the beginning without. */
  readonly cursor?: string | undefined
  /** 1 to 200; 50 unless said otherwise. */
  readonly limit?: number | undefined
}

const types: Readonly<Record<string, GrantChangeType>> = {
  issued: 'granted',
  renewed: 'changed',
  revoked: 'revoked',
  expired: 'expired',
  suspended: 'suspended',
  restored: 'restored',
}
const watched = raw(
  Object.keys(types)
    .map((type) => `'${type}'`)
    .join(', '),
)

/** How many events one answer looks through, whatever it is looking for. */
const widest = 1_000

/**
 * What has happened to grants, in an order that is complete: an event's id is given out before its transaction commits, so
 * only those are told whose transactions are older than every one that still runs.
 *
 * @throws LapseError `invalid`
 */
export const watchGrants = async (db: Sql, { cursor, limit = 50, ...filter }: WatchOptions): Promise<GrantChanges> => {
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= 200))
    throw new LapseError('invalid', { field: 'limit', detail: 'From 1 to 200.' })
  if (cursor === 'now') return { changes: [], cursor: cursorOf({ tx: await oldestRunning(db), id: '0' }), more: false }
  const from = cursor === undefined ? { tx: '0', id: '0' } : readCursor(cursor)
  const rows = await readChanges(db, from, filter, limit)
  const { newest, lastTx, lastId, looked } = rows[0] as ChangeRow
  // Transactions are numbered anew in a database that was dumped and restored.
  if (BigInt(from.tx) > BigInt(newest)) throw invalidCursor('It is of another database. Begin anew with now.')
  const found = rows.filter((row) => row.id !== null)
  const full = found.length === limit
  const last = full ? found.at(-1) : { tx: lastTx, id: lastId }
  return {
    changes: found.map(changeOf),
    cursor: cursorOf(last?.tx && last.id ? { tx: last.tx, id: last.id } : from),
    more: full || looked === widest,
  }
}

interface Place {
  readonly tx: string
  readonly id: string
}

const cursorOf = ({ tx, id }: Place): string => Buffer.from(`${tx}.${id}`).toString('base64url')

const readCursor = (cursor: string): Place => {
  const [, tx, id] = /^(\d{1,18})\.(\d{1,18})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (tx === undefined || id === undefined) throw invalidCursor('Take the cursor of an earlier answer, or now.')
  return { tx, id }
}

const invalidCursor = (detail: string) => new LapseError('invalid', { field: 'cursor', detail })

const oldestRunning = async (db: Sql): Promise<string> => {
  const [row] = await db.$queryRaw<{ tx: string }[]>(sql`SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS tx`)
  return row?.tx ?? '0'
}

interface ChangeRow {
  readonly newest: string
  readonly lastTx: string | null
  readonly lastId: string | null
  readonly looked: number
  readonly id: string | null
  readonly tx: string
  readonly type: string
  readonly at: Date
  readonly trigger: Trigger
  readonly resourceId: string
  readonly reference: string | null
  readonly scope: string | null
  readonly subject: string | null
  readonly organizationId: string | null
  readonly payload: AccessGrantPayload | null
  readonly status: Status
  readonly version: number
  readonly issuedAt: Date
  readonly expiresAt: Date
  readonly endedAt: Date | null
}

/** One row at least. Of a grant that was purged its events still tell. */
const readChanges = (db: Sql, from: Place, filter: Omit<GrantFilter, 'live'>, limit: number) => {
  const { resource = null, relation = null, subject = null, organizationId = null } = filter
  return db.$queryRaw<ChangeRow[]>(sql`
  WITH scanned AS MATERIALIZED (
    SELECT e.id, e.tx, e.resource_id, e.type, e.at, e.trigger, e.version FROM event e
    WHERE e.kind = 'access-grant' AND (e.tx, e.id) > (${from.tx}::xid8, ${from.id}::bigint)
      AND e.tx < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY e.tx, e.id LIMIT ${raw(String(widest))}
  ), last AS (
    -- Of what is not told only where it is so much that the next answer goes on behind it.
    SELECT tx, id, n.looked FROM scanned s, (SELECT count(*) AS looked FROM scanned) n
    WHERE s.type IN (${watched}) OR n.looked = ${raw(String(widest))} ORDER BY tx DESC, id DESC LIMIT 1
  ), told AS (
    SELECT s.id, s.tx, s.type, s.at, s.trigger, s.resource_id, r.payload,
      coalesce(r.reference, g.after ->> 'reference') AS reference,
      coalesce(r.scope, g.after ->> 'scope') AS scope, coalesce(r.subject, g.after ->> 'subject') AS subject,
      coalesce(r.organization_id, (g.after ->> 'organization_id')::uuid) AS organization_id,
      CASE WHEN r.id IS NULL THEN g.ended::lapse_status ELSE ${seenStatus(sql`r`, sql`c.at`)} END AS status,
      coalesce(r.version, g.version) AS version, coalesce(r.issued_at, g.issued_at) AS issued_at,
      coalesce(r.expires_at, g.expires_at) AS expires_at,
      CASE WHEN r.id IS NULL THEN g.ended_at WHEN c.at >= r.ends_at THEN coalesce(r.ended_at, r.ends_at) ELSE r.ended_at END AS ended_at
    FROM (SELECT ${now} AS at) c CROSS JOIN scanned s LEFT JOIN resource r ON r.id = s.resource_id
    LEFT JOIN LATERAL (
      SELECT i.data -> 'after' AS after, i.at AS issued_at, z.type AS ended, z.version, l.expires_at,
        CASE z.type WHEN 'expired' THEN l.expires_at ELSE z.at END AS ended_at
      FROM event i JOIN event z ON z.resource_id = i.resource_id AND z.type IN ('expired', 'revoked', 'consumed'),
        LATERAL (SELECT (data #>> '{after,expires_at}')::timestamptz AS expires_at FROM event
          WHERE resource_id = i.resource_id AND data #> '{after,expires_at}' IS NOT NULL ORDER BY id DESC LIMIT 1) l
      WHERE i.resource_id = s.resource_id AND i.type = 'issued' AND r.id IS NULL
    ) g ON true
    WHERE s.type IN (${watched})
  ), found AS (
    SELECT * FROM told
    WHERE (${resource}::text IS NULL OR scope = ${resource}) AND (${subject}::text IS NULL OR subject = ${subject})
      AND (${relation}::text IS NULL OR split_part(split_part(reference, '#', 2), '@', 1) = ${relation})
      AND (${organizationId}::uuid IS NULL OR organization_id = ${organizationId}::uuid)
    ORDER BY tx, id LIMIT ${limit}::int
  )
  SELECT n.newest, l.tx::text AS "lastTx", l.id::text AS "lastId", coalesce(l.looked, 0)::int AS looked,
    f.id::text AS id, f.tx::text AS tx, f.type, f.at, f.trigger, f.resource_id AS "resourceId", f.reference, f.scope,
    f.subject, f.organization_id AS "organizationId", f.payload, f.status, f.version, f.issued_at AS "issuedAt",
    f.expires_at AS "expiresAt", f.ended_at AS "endedAt"
  FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS newest) n
  LEFT JOIN last l ON true LEFT JOIN found f ON true
  ORDER BY f.tx, f.id`)
}

const changeOf = (row: ChangeRow): GrantChange => ({
  type: types[row.type] as GrantChangeType,
  at: row.at,
  trigger: row.trigger,
  grant: {
    id: row.resourceId,
    resource: row.scope ?? '',
    ...readKey(row.reference ?? ''),
    subject: row.subject ?? '',
    organizationId: row.organizationId,
    status: row.status,
    reason: row.payload?.reason ?? null,
    email: row.payload?.email ?? null,
    version: row.version,
    issuedAt: row.issuedAt,
    expiresAt: row.expiresAt,
    endedAt: row.endedAt,
  },
})
