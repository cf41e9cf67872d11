import type { Sql } from '../database.ts'
import type { Event, EventFilter } from '../events.ts'
import { type Listed, listAlong, type Way } from './listing.ts'
import { type Fragment, instant, sql } from './live.ts'

/** In the order of time; of one resource, whose events have been written one after the other, in that of their ids. */
const listedBy = (...keys: Fragment[]): Listed => ({
  table: sql`event r`,
  keys,
  fields: sql`r.id::text AS id, r.resource_id AS "resourceId", r.kind, r.type, r.version, r.at, r.from_status AS "from",
    r.to_status AS "to", r.trigger, r.lateness_ms::float8 AS "latenessMs", r.actor, r.reason, r.data`,
})
const inTime = listedBy(sql`r.at`, sql`r.id`)
const ofResource = listedBy(sql`r.id`)

const greatestNumber = sql`9223372036854775807::bigint`

/** Every kind with every type of event that there is: one look at the index for each. */
const pairs = sql`WITH RECURSIVE pairs AS (
    (SELECT e.kind, e.type FROM event e ORDER BY e.kind, e.type LIMIT 1)
    UNION ALL
    SELECT n.kind, n.type FROM pairs p CROSS JOIN LATERAL (
      SELECT e.kind, e.type FROM event e WHERE (e.kind, e.type) > (p.kind, p.type) ORDER BY e.kind, e.type LIMIT 1) n
  ) SELECT kind, type FROM pairs`

const advice = 'Add resource_id, kind or type, bring since and until closer together, or leave out trigger.'

/** Newest first. `before` is the last id of the page before. @throws LapseError `too_broad` */
export const listEvents = (
  db: Sql,
  filter: EventFilter,
  { before, limit }: { before?: string | undefined; limit: number },
): Promise<Event[]> => {
  const { resourceId, kind, type, trigger, since, until } = filter
  const at = (date: Date) => instant(date.getTime())
  const conditions = (given: EventFilter): Fragment[] =>
    [
      given.kind !== undefined && sql`r.kind = ${given.kind}`,
      given.type !== undefined && sql`r.type = ${given.type}`,
      given.trigger !== undefined && sql`r.trigger = ${given.trigger}::lapse_trigger`,
      given.since !== undefined && sql`r.at >= ${at(given.since)}`,
      given.until !== undefined && sql`r.at < ${at(given.until)}`,
    ].filter((condition) => condition !== false)
  if (resourceId !== undefined) {
    const below = [before === undefined ? greatestNumber : sql`${before}::bigint`]
    const way = { columns: [sql`r.resource_id`], values: [sql`${resourceId}::uuid`], match: conditions(filter) }
    return listAlong(db, ofResource, [way], { below, from: [sql`0::bigint`], limit }, filter, advice)
  }
  const match = conditions({ trigger })
  const way: Way =
    kind === undefined && type === undefined
      ? { columns: [], values: [], match }
      : {
          columns: [sql`r.kind`, sql`r.type`],
          values: [
            kind === undefined ? sql`l.kind` : sql`${kind}::text`,
            type === undefined ? sql`l.type` : sql`${type}::text`,
          ],
          match,
          ...((kind === undefined || type === undefined) && {
            lanes: sql`(${pairs} WHERE ${kind === undefined ? sql`type = ${type}` : sql`kind = ${kind}`})`,
          }),
        }
  // Both ends that there may be, of which the earlier counts.
  const bounds = sql`bound AS MATERIALIZED (
    SELECT at, id FROM (
      SELECT 'infinity'::timestamptz AS at, ${greatestNumber} AS id
      UNION ALL SELECT ${until === undefined ? sql`'infinity'::timestamptz` : at(until)}, 0
      UNION ALL (SELECT e.at, ${before ?? null}::bigint FROM event e WHERE e.id <= ${before ?? null}::bigint ORDER BY e.id DESC LIMIT 1)
    ) ends ORDER BY at, id LIMIT 1)`
  const below = [sql`(SELECT at FROM bound)`, sql`(SELECT id FROM bound)`]
  const from = [since === undefined ? sql`'-infinity'::timestamptz` : at(since), sql`0::bigint`]
  return listAlong(db, inTime, [way], { below, from, limit, bounds }, filter, advice)
}
