import type { Sql } from '../database.ts'
import { raw, sql } from './live.ts'
import { leastId } from './uuid-time.ts'

/**
 * Deliveries from before the column was there say whose they are only by their resource, or their endpoint. Cleanup writes it
 * down, the oldest first, in batches; how far it has come stands in `pulse`, as the time in the last id.
 */
const pulse = 'delivery-owners'

/** A few milliseconds of locks. */
const batchSize = 1_000

/** A day after the migration the last process of the version before is gone, which did not write it down. */
const settled = sql`(SELECT finished_at + interval '1 day' FROM _prisma_migrations WHERE migration_name = '20261130220000_delivery_lanes')`
const added = sql`(SELECT finished_at FROM _prisma_migrations WHERE migration_name = '20261130220000_delivery_lanes')`

interface Progress {
  /** All before it have their owner. */
  readonly until: Date
  readonly done: boolean
  /** Whether all are done that were there when the column was added; what came since is written down at once. */
  readonly served: boolean
}

export const readOwnersProgress = async (db: Sql): Promise<Progress> => {
  const [row] = await db.$queryRaw<(Progress & { addedAt: Date; first: Date | null })[]>(sql`
    SELECT p.at AS until, coalesce(p.at >= ${settled}, false) AS done, coalesce(p.at >= ${added}, false) AS served, ${added} AS "addedAt"
    FROM (SELECT coalesce((SELECT at FROM pulse WHERE name = ${pulse}), to_timestamp(0)) AS at) p`)
  if (!row || row.served) return { until: row?.until ?? new Date(0), done: row?.done ?? true, served: true }
  const [older] = await db.$queryRaw<object[]>(
    sql`SELECT id FROM delivery WHERE id < ${leastId(row.addedAt)}::uuid AND id >= ${leastId(row.until)}::uuid LIMIT 1`,
  )
  return { until: row.until, done: row.done, served: older === undefined }
}

/** Goes on for so long, and says whether that was all for now. */
export const fillOwners = async (db: Sql, until: number): Promise<boolean> => {
  const { until: from, done } = await readOwnersProgress(db)
  // Of one millisecond there may be more than a batch.
  for (let after = leastId(from); !done; ) {
    const [batch] = await db.$queryRaw<{ looked: number; last: string | null }[]>(sql`
    WITH looked AS MATERIALIZED (
      SELECT id FROM delivery WHERE id > ${after}::uuid ORDER BY id LIMIT ${raw(String(batchSize))}
    ), held AS MATERIALIZED (
      SELECT d.id, CASE WHEN d.channel = 'webhook' THEN w.organization_id ELSE r.organization_id END AS organization_id
      FROM looked l JOIN delivery d ON d.id = l.id LEFT JOIN resource r ON r.id = d.resource_id
      LEFT JOIN webhook_endpoint w ON w.id = CASE WHEN d.channel = 'webhook' THEN d.target::uuid END
      WHERE d.organization_id IS NULL ORDER BY d.id FOR UPDATE OF d
    ), filled AS (
      UPDATE delivery d SET organization_id = h.organization_id FROM held h WHERE d.id = h.id AND h.organization_id IS NOT NULL
    ), reached AS (
      SELECT count(*)::int AS looked, (array_agg(id ORDER BY id DESC))[1] AS last FROM looked
    ), kept AS (
      -- As far as the time in the last id, and never so far that somebody may still commit what is older.
      INSERT INTO pulse AS p (name, at) SELECT ${pulse}, least(clock_timestamp() - interval '1 minute', CASE WHEN looked = ${raw(String(batchSize))}
        THEN to_timestamp(('x' || lpad(left(replace(last::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0) END) FROM reached
      ON CONFLICT (name) DO UPDATE SET at = greatest(p.at, excluded.at)
    )
    SELECT looked, last FROM reached`)
    if (!batch?.last || batch.looked < batchSize) return true
    after = batch.last
    if (performance.now() >= until) return false
  }
  return true
}
