import type { Sql } from '../database.ts'
import { empty, instant, isOver, now, raw, sql } from './live.ts'

export type Bucket = 'hour' | 'day'

export interface ForecastSpan {
  readonly kind?: string | undefined
  /** An organization's id. */
  readonly organizationId?: string | undefined
  readonly bucket: Bucket
  readonly count: number
  /** From now on unless said otherwise; never earlier. */
  readonly from?: Date | undefined
}

/** `bucket` counts from 0; NULL is what is over and has not been swept yet. When there is nothing, only the instants come. */
export interface ForecastRow {
  readonly at: Date
  readonly start: Date
  readonly kind: string | null
  readonly bucket: number | null
  readonly count: number
}

/**
 * How many end when. Nothing is due later than it ends, so the index on what is due has them all, and nothing that has
 * ended before.
 */
export const forecastResources = (db: Sql, { kind, organizationId, bucket, count, from }: ForecastSpan) => {
  const unit = raw(`'${bucket}'`)
  const width = raw(`interval '1 ${bucket}'`)
  return db.$queryRaw<ForecastRow[]>(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at),
  span AS MATERIALIZED (
    SELECT at, begins, date_trunc(${unit}, begins) AS start, date_trunc(${unit}, begins) + ${count}::int * ${width} AS until
    FROM (SELECT at, greatest(at, ${instant(from?.getTime() ?? null)}) AS begins FROM clock) b
  ), counted AS (
    SELECT r.kind, CASE WHEN NOT ${isOver(sql`r`, sql`s.at`)} THEN
        floor(extract(epoch FROM r.ends_at - s.start) / extract(epoch FROM ${width}))::int END AS bucket, count(*)::float8 AS count
    FROM resource r, span s
    WHERE r.next_step <> 'purge' AND r.due_at < (SELECT until FROM span)
      AND (${isOver(sql`r`, sql`s.at`)} OR (r.ends_at >= s.begins AND r.ends_at < s.until))
      ${kind === undefined ? empty : sql`AND r.kind = ${kind}`}
      ${organizationId === undefined ? empty : sql`AND r.organization_id = ${organizationId}::uuid`}
    GROUP BY 1, 2
  )
  SELECT s.at, s.start, c.kind, c.bucket, coalesce(c.count, 0)::float8 AS count FROM span s LEFT JOIN counted c ON true`)
}
