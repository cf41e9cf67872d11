import type { Sql } from './database.ts'
import { LapseError } from './errors.ts'
import { type Bucket, type ForecastSpan, forecastResources } from './store/forecast.ts'

/** How many end, in all and by kind. */
export interface Ending {
  readonly total: number
  readonly kinds: Readonly<Record<string, number>>
}

export interface Forecast {
  /** What the database's clock said. */
  readonly at: Date
  readonly bucket: Bucket
  /** Over, and not swept yet: denied already, and a measure of how far the workers are behind. */
  readonly overdue: Ending
  /** Whole hours or days, UTC. The first begins before now and counts what ends from now on. */
  readonly buckets: readonly (Ending & { readonly start: Date; readonly end: Date })[]
}

const widths = { hour: 3_600_000, day: 86_400_000 }
const mostBuckets = 1_000

/** @throws LapseError `invalid` */
export const forecast = async (db: Sql, span: ForecastSpan): Promise<Forecast> => {
  const { bucket, count, from } = span
  if (widths[bucket] === undefined) throw new LapseError('invalid', { field: 'bucket', detail: 'hour or day.' })
  if (!(Number.isInteger(count) && count >= 1 && count <= mostBuckets))
    throw new LapseError('invalid', { field: 'count', detail: `From 1 to ${mostBuckets}.` })
  if (from && !(Math.abs(from.getTime()) <= 8e15))
    throw new LapseError('invalid', { field: 'from', detail: 'That is not an instant.' })
  const rows = await forecastResources(db, span)
  const [{ at, start }] = rows as [(typeof rows)[number]]
  const endingIn = (wanted: number | null): Ending => {
    const found = rows.filter((row) => row.bucket === wanted && row.kind !== null)
    return {
      total: found.reduce((sum, row) => sum + row.count, 0),
      kinds: Object.fromEntries(found.map((row) => [row.kind, row.count])),
    }
  }
  const buckets = Array.from({ length: count }, (_, i) => {
    const begins = start.getTime() + i * widths[bucket]
    return { start: new Date(begins), end: new Date(begins + widths[bucket]), ...endingIn(i) }
  })
  return { at, bucket, overdue: endingIn(null), buckets }
}
