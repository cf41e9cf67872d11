import { validate as isUuid } from 'uuid'
import type { Sql } from '../database.ts'
import { json, logged } from '../directory/shared.ts'
import type { Page } from '../resources.ts'
import { greatestUuid, type Listed, leastUuid, listAlong, type Way } from '../store/listing.ts'
import { empty, type Fragment, milliseconds, now, sql } from '../store/live.ts'
import type { Cause } from '../store/record.ts'
import type { EndpointStatus, WebhookEndpoint } from './endpoint.ts'

const laneColumn = (column: Fragment): Fragment =>
  sql`(SELECT ${column} FROM outbox_lane b WHERE b.channel = 'webhook' AND b.lane = id::text)`

const circuit = sql`coalesce(${laneColumn(sql`b.failures`)}, 0) AS "consecutiveFailures",
  ${laneColumn(sql`b.opened_at`)} AS "circuitOpenedAt", ${laneColumn(sql`b.next_probe_at`)} AS "nextProbeAt"`

const fields = sql`id, organization_id AS "organizationId", url, description, kinds, events, header_names AS "headerNames",
  contact, status, max_per_second AS "maxPerSecond", ${circuit}, failing_since AS "failingSince", disabled_at AS "disabledAt", disabled_reason AS "disabledReason",
  CASE WHEN previous_until > ${now} THEN previous_until END AS "previousUntil",
  created_at AS "createdAt", changed_at AS "changedAt"`

/** Whoever adds an endpoint that belongs to no organization waits here for whoever was first, until the commit. */
export const queueForUnbound = (tx: Sql) =>
  tx.$queryRaw(sql`SELECT pg_advisory_xact_lock(hashtextextended('webhook endpoints', 0))::text`)

export const countEndpoints = async (db: Sql, organizationId: string | null): Promise<number> => {
  const [row] = await db.$queryRaw<{ count: number }[]>(sql`
    SELECT count(*)::int AS count FROM webhook_endpoint
    WHERE ${organizationId === null ? sql`organization_id IS NULL` : sql`organization_id = ${organizationId}::uuid`}`)
  return row?.count ?? 0
}

export interface EndpointFilter {
  /** By its id. */
  readonly organizationId?: string | undefined
  readonly status?: EndpointStatus | undefined
}

const listed: Listed = { table: sql`webhook_endpoint r`, keys: [sql`r.id`], fields }

/** Newest first. Of an organization there are few, and so its index serves any filter. */
export const listEndpoints = (db: Sql, filter: EndpointFilter, { before, limit = 50 }: Page) => {
  const { organizationId, status } = filter
  const owner = sql`${organizationId}::uuid`
  const state = sql`${status}::lapse_webhook_endpoint_status`
  const way: Way =
    organizationId !== undefined
      ? {
          columns: [sql`r.organization_id`],
          values: [owner],
          match: status === undefined ? [] : [sql`r.status = ${state}`],
        }
      : status !== undefined
        ? { columns: [sql`r.status`], values: [state], match: [] }
        : { columns: [], values: [], match: [] }
  const below = [before === undefined ? greatestUuid : sql`${before}::uuid`]
  return listAlong<WebhookEndpoint>(db, listed, [way], { below, from: [leastUuid], limit }, filter, '')
}

const read = async <Row>(db: Sql, id: string, columns: Fragment, lock: Fragment): Promise<Row | undefined> => {
  if (!isUuid(id)) return undefined
  const [row] = await db.$queryRaw<Row[]>(sql`SELECT ${columns} FROM webhook_endpoint WHERE id = ${id}::uuid ${lock}`)
  return row
}

export const readEndpoint = (db: Sql, id: string) => read<WebhookEndpoint>(db, id, fields, empty)

/** What the sender opens. */
export interface SealedEndpoint {
  readonly organizationId: string | null
  readonly url: string
  readonly sealed: Uint8Array
  /** Whether the secret before this one signs too. */
  readonly overlaps: boolean
}

const overlaps = sql`coalesce(previous_until > ${now}, false) AS overlaps`

export const readSealed = (db: Sql, id: string) =>
  read<SealedEndpoint>(db, id, sql`url, organization_id AS "organizationId", sealed, ${overlaps}`, empty)

/** Held until the commit. */
export const lockEndpoint = (tx: Sql, id: string) =>
  read<WebhookEndpoint & SealedEndpoint>(tx, id, sql`${fields}, sealed, ${overlaps}`, sql`FOR UPDATE`)

/** Something that was done to an endpoint, as the audit tells it. */
export interface Deed {
  readonly type: 'created' | 'updated' | 'rotated' | 'disabled' | 'enabled' | 'deleted' | 'tested' | 'replayed'
  readonly cause: Cause
  readonly data: object
}

/** Runs a statement that changes endpoints and returns them, as the CTE `changed` with `at`, and writes it down. */
export const changed = async (db: Sql, change: Fragment, { type, cause, data }: Deed) => {
  const [row] = await db.$queryRaw<WebhookEndpoint[]>(sql`
    WITH changed AS (${change}), ${logged('webhook-endpoint', type, cause, json(data))}
    SELECT ${fields} FROM changed`)
  return row
}

/** Of an endpoint that stays as it is. Nothing is written down of one that is not there. */
export const noted = (db: Sql, id: string, deed: Deed) =>
  changed(db, sql`SELECT *, ${now} AS at FROM webhook_endpoint WHERE id = ${id}::uuid`, deed)

export type EndpointTerms = Pick<
  WebhookEndpoint,
  'url' | 'description' | 'kinds' | 'events' | 'headerNames' | 'contact' | 'maxPerSecond'
> & {
  readonly sealed: Uint8Array
}

export const insertEndpoint = (
  tx: Sql,
  id: string,
  organizationId: string | null,
  { url, description, kinds, events, headerNames, contact, maxPerSecond, sealed }: EndpointTerms,
  deed: Deed,
) =>
  changed(
    tx,
    sql`INSERT INTO webhook_endpoint (id, organization_id, url, description, kinds, events, header_names, contact, max_per_second,
        sealed, created_at, changed_at)
      SELECT ${id}::uuid, ${organizationId}::uuid, ${url}, ${description}::text, ${kinds}::text[], ${events}::text[],
        ${headerNames}::text[], ${contact}::text, ${maxPerSecond}::int, ${sealed}::bytea, c.at, c.at FROM (SELECT ${now} AS at) c
      RETURNING *, changed_at AS at`,
    deed,
  )

const update = (tx: Sql, id: string, set: Fragment, guard: Fragment, deed: Deed) =>
  changed(
    tx,
    sql`UPDATE webhook_endpoint SET ${set}, changed_at = ${now} WHERE id = ${id}::uuid ${guard}
      RETURNING *, changed_at AS at`,
    deed,
  )

/** At another address it has not failed yet. */
export const changeEndpoint = (tx: Sql, id: string, terms: EndpointTerms, deed: Deed) =>
  update(
    tx,
    id,
    sql`failing_since = CASE WHEN url = ${terms.url} THEN failing_since END, url = ${terms.url},
      description = ${terms.description}::text, kinds = ${terms.kinds}::text[], events = ${terms.events}::text[],
      header_names = ${terms.headerNames}::text[], contact = ${terms.contact}::text,
      max_per_second = ${terms.maxPerSecond}::int, sealed = ${terms.sealed}::bytea`,
    empty,
    deed,
  )

/** `overlapMs`: for how long the secret before is good, if at all. */
export const resealEndpoint = (tx: Sql, id: string, sealed: Uint8Array, overlapMs: number, deed: Deed) =>
  update(
    tx,
    id,
    sql`sealed = ${sealed}::bytea, previous_until = ${overlapMs === 0 ? sql`NULL` : sql`${now} + ${milliseconds(overlapMs)}`}`,
    empty,
    deed,
  )

/** Nothing comes of one that is disabled. */
export const disableEndpoint = (db: Sql, id: string, reason: string, deed: Deed, guard: Fragment = empty) =>
  update(
    db,
    id,
    sql`status = 'disabled', disabled_at = ${now}, disabled_reason = ${reason}`,
    sql`AND status = 'enabled' ${guard}`,
    deed,
  )

/** Nothing comes of one that is enabled. */
export const enableEndpoint = (tx: Sql, id: string, deed: Deed) =>
  update(
    tx,
    id,
    sql`status = 'enabled', disabled_at = NULL, disabled_reason = NULL, failing_since = NULL`,
    sql`AND status = 'disabled'`,
    deed,
  )

/** Deliveries that one statement cancels: it takes some milliseconds, and a worker waits no longer for a lock on one. */
const cancelledBatch = 1_000

/**
 * Cancels the next batch of what waits for an endpoint, and answers whether there may be more. Deliveries come before their
 * endpoint: a worker that settles one locks in that order. One that a worker has in hand is passed by: it is cancelled when it
 * would be tried again.
 */
export const cancelWaiting = async (tx: Sql, id: string): Promise<boolean> => {
  const cancelled = await tx.$executeRaw(sql`
    WITH waiting AS MATERIALIZED (
      SELECT id FROM delivery
      WHERE channel = 'webhook' AND status IN ('pending', 'failed') AND target = ${id}
      LIMIT ${cancelledBatch}::int FOR UPDATE SKIP LOCKED
    )
    UPDATE delivery d SET status = 'cancelled', settled_at = ${now}, next_attempt_at = NULL, leased_until = NULL,
      last_error = 'its endpoint was deleted'
    FROM waiting w WHERE d.id = w.id`)
  return cancelled === cancelledBatch
}

export const deleteEndpoint = (tx: Sql, id: string, deed: Deed) =>
  changed(tx, sql`DELETE FROM webhook_endpoint WHERE id = ${id}::uuid RETURNING *, ${now} AS at`, deed)
