import { validate as isUuid } from 'uuid'
import type { Sql } from '../database.ts'
import { LapseError } from '../errors.ts'
import type { Channel } from '../kind.ts'
import type { Delivery, DeliveryFilter, DeliveryStatus } from '../ledger.ts'
import { readOwnersProgress } from './delivery-owners.ts'
import { greatestUuid, type Listed, leastUuid, listAlong, type Way } from './listing.ts'
import { type Fragment, sql } from './live.ts'
import { leastId } from './uuid-time.ts'

const r = sql`r`

export const deliveryFields = (row: Fragment): Fragment =>
  sql`${row}.id, ${row}.resource_id AS "resourceId", ${row}.kind, ${row}.version, ${row}.event, ${row}.channel, ${row}.target, ${row}.status,
    ${row}.attempts, ${row}.next_attempt_at AS "nextAttemptAt", ${row}.last_error AS "lastError", ${row}.created_at AS "createdAt",
    ${row}.settled_at AS "settledAt"`

const listed: Listed = { table: sql`delivery r`, keys: [sql`r.id`], fields: deliveryFields(r) }

/** What a filter says of a row, but for `since` and `until`: these say between which ids. @throws LapseError `invalid` */
export const deliveryConditions = (row: Fragment, filter: DeliveryFilter, isOf = isOwnedBy): Fragment[] => {
  const { status, channel, kind, event, target, resourceId, organizationId } = filter
  if (resourceId !== undefined && !isUuid(resourceId))
    throw new LapseError('invalid', { field: 'resource_id', detail: "Give a resource's id." })
  return [
    // As a literal, for the index that has only those.
    status !== undefined &&
      (status === 'dead' ? sql`${row}.status = 'dead'` : sql`${row}.status = ${status}::lapse_delivery_status`),
    channel !== undefined && sql`${row}.channel = ${channel}::lapse_channel`,
    kind !== undefined && sql`${row}.kind = ${kind}`,
    event !== undefined && sql`split_part(${row}.event, ':', 1) = ${event}`,
    target !== undefined && sql`${row}.target = ${target}`,
    resourceId !== undefined && sql`${row}.resource_id = ${resourceId}::uuid`,
    organizationId !== undefined && isOf(row, organizationId),
  ].filter((condition) => condition !== false)
}

/** A webhook is its endpoint's: what the host application's own have answered is nobody else's business. */
const isOwnedBy = (row: Fragment, organizationId: string): Fragment =>
  sql`${row}.organization_id = ${organizationId}::uuid`

/** The same of what has no owner written down yet. A plan would make a table of all resources of the organization for an EXISTS. */
export const belongsTo = (row: Fragment, organizationId: string): Fragment => sql`CASE WHEN ${row}.channel = 'webhook'
  THEN ${row}.target = ANY (ARRAY(SELECT w.id::text FROM webhook_endpoint w WHERE w.organization_id = ${organizationId}::uuid))
  ELSE coalesce((SELECT o.organization_id FROM resource o WHERE o.id = ${row}.resource_id) = ${organizationId}::uuid, false) END`

/** In one list of a resource's deliveries, which no index has by their ids. */
const mostOfResource = 5_000

/** From the narrowest to the widest; the last has every row. */
const waysTo = (filter: DeliveryFilter, served: boolean): Way[] => {
  const { status, channel, target, resourceId, organizationId } = filter
  const isOf = served ? isOwnedBy : belongsTo
  const match = deliveryConditions(r, filter, isOf)
  const without = (...names: (keyof DeliveryFilter)[]) =>
    deliveryConditions(
      r,
      Object.fromEntries(Object.entries(filter).filter(([name]) => !names.includes(name as keyof DeliveryFilter))),
      isOf,
    )
  const ways: Way[] = []
  if (resourceId !== undefined)
    ways.push({
      ...{ columns: [], values: [], lanes: sql`(SELECT WHERE false)`, match, looks: mostOfResource },
      besides: [sql`r.resource_id = ${resourceId}::uuid ORDER BY r.resource_id, r.version`],
    })
  if (target !== undefined)
    ways.push({ columns: [sql`r.target`], values: [sql`${target}::text`], match: without('target') })
  if (organizationId !== undefined && served)
    ways.push({
      columns: [sql`r.organization_id`, sql`r.status`],
      where: sql`r.organization_id IS NOT NULL`,
      ...(status === undefined
        ? { lanes: sql`(SELECT unnest(enum_range(NULL::lapse_delivery_status)) AS status)` }
        : {}),
      values: [sql`${organizationId}::uuid`, status === undefined ? sql`l.status` : statusOf(status)],
      match: without('organizationId', 'status'),
    })
  if (status !== undefined && status !== 'sent')
    ways.push({
      columns: [sql`r.channel`, sql`r.status`],
      where: sql`r.status <> 'sent'`,
      ...(channel === undefined ? { lanes: sql`(SELECT unnest(enum_range(NULL::lapse_channel)) AS channel)` } : {}),
      values: [channel === undefined ? sql`l.channel` : sql`${channel}::lapse_channel`, statusOf(status)],
      match: without('channel', 'status'),
    })
  return [...ways, { columns: [], values: [], match }]
}

const statusOf = (status: DeliveryStatus): Fragment => sql`${status}::lapse_delivery_status`

const unserved =
  'Whose the deliveries are that are older than the last upgrade is being written down: ask again in a few minutes.'

const advice =
  'Add resource_id, target, organization_id, or a status other than sent, bring since and until closer together, or leave out what is not needed.'

/**
 * Newest first. `before` is the last id of the page before. `since` and `until` go by the time that is in the id, which is
 * made when its row is or a moment later.
 *
 * @throws LapseError `invalid`, `too_broad`
 */
export const listDeliveries = async (
  db: Sql,
  filter: DeliveryFilter,
  { before, limit }: { before?: string | undefined; limit: number },
): Promise<Delivery[]> => {
  const { since, until, ...rest } = filter
  const ends = [before?.toLowerCase(), until && leastId(until)].filter((end) => end !== undefined).sort()
  const below = [ends[0] === undefined ? greatestUuid : sql`${ends[0]}::uuid`]
  const from = [since === undefined ? leastUuid : sql`${leastId(since)}::uuid`]
  const served = filter.organizationId === undefined || (await readOwnersProgress(db)).served
  return listAlong(
    db,
    listed,
    waysTo(rest, served),
    { below, from, limit },
    filter,
    served ? advice : `${unserved} ${advice}`,
  )
}

/**
 * How many are outstanding or have given up, for the metrics; what is done is not counted, for the ledger is long. Of each
 * channel and status it counts to 10,000: index entries in their order, of what is outstanding alone.
 */
export const countDeliveries = (db: Sql): Promise<{ channel: Channel; status: DeliveryStatus; count: number }[]> =>
  db.$queryRaw(sql`
    SELECT l.channel, l.status, c.count FROM (
      SELECT channel, status FROM unnest(enum_range(NULL::lapse_channel)) AS channel, unnest('{pending,failed,dead}'::lapse_delivery_status[]) AS status
    ) l CROSS JOIN LATERAL (
      SELECT count(*)::float8 AS count FROM (
        SELECT FROM delivery d WHERE (d.channel, d.status) >= (l.channel, l.status) AND (d.channel, d.status) <= (l.channel, l.status)
          AND d.status <> 'sent' ORDER BY d.channel, d.status LIMIT 10000) counted
    ) c WHERE c.count > 0`)
