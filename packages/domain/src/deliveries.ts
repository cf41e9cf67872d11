import { validate as isUuid } from 'uuid'
import type { Sql } from './database.ts'
import { LapseError } from './errors.ts'
import type { Trigger } from './events.ts'
import type { Channel, EventType } from './kind.ts'
import type { Status } from './lifecycle.ts'
import { columns, empty, isLive, join, now, type ResourceRow, sql } from './store/live.ts'
import type { Owed } from './store/record.ts'

export type DeliveryStatus = 'pending' | 'sent' | 'failed' | 'dead' | 'cancelled'

/** One side effect to one target. */
export interface Delivery {
  /** The idempotency key. */
  readonly id: string
  readonly resourceId: string
  readonly kind: string
  readonly version: number
  /** The event's type, numbered where it may happen twice: `reminded:86400`. */
  readonly event: string
  readonly channel: Channel
  readonly target: string
  readonly status: DeliveryStatus
  readonly attempts: number
  readonly nextAttemptAt: Date | null
  readonly lastError: string | null
  readonly createdAt: Date
  readonly settledAt: Date | null
}

const fields = sql`d.id, d.resource_id AS "resourceId", d.kind, d.version, d.event, d.channel, d.target, d.status, d.attempts,
  d.next_attempt_at AS "nextAttemptAt", d.last_error AS "lastError", d.created_at AS "createdAt", d.settled_at AS "settledAt"`

/** What the sender needs, read when the lease was taken. */
export interface Claim {
  readonly delivery: { readonly id: string; readonly target: string; readonly attempt: number; readonly round: number }
  readonly row: ResourceRow
  /** What the message must carry; see `Secrets`. */
  readonly sealed: Uint8Array | null
  readonly event: {
    readonly type: EventType
    readonly at: Date
    readonly from: Status | null
    readonly to: Status | null
    readonly trigger: Trigger
  }
}

export type ClaimResult =
  | { readonly verdict: 'claimed'; readonly claim: Claim }
  /** Somebody else has it, or its time has not come: look again then. */
  | { readonly verdict: 'later'; readonly inMs: number }
  /** Nothing to do, and why. */
  | { readonly verdict: 'settled'; readonly reason: string }

interface ClaimRow extends ResourceRow {
  verdict: 'settled' | 'foreign' | 'later' | 'suspended' | 'stale' | 'claimed'
  deliveryStatus: DeliveryStatus
  inMs: number
  deliveryId: string
  target: string
  sealed: Uint8Array | null
  attempt: number
  round: number
  type: EventType
  eventAt: Date
  from: Status | null
  to: Status | null
  trigger: Trigger
}

/** A token that cannot be used is not sent; whether it can again is asked every five minutes. */
const suspendedMs = 5 * 60_000

/**
 * Takes the lease on a delivery for one attempt, which is written down before it starts. A process that dies keeps the
 * lease until it runs out; then the attempt is made again, under the same id.
 *
 * One of a kind that is not configured here is left to a process that knows it.
 * A reminder, or the mail that grace has begun, that a renewal or an end has overtaken is cancelled here, at the last
 * moment before it would go out.
 */
export const claimDelivery = async (
  db: Sql,
  id: string,
  kinds: readonly string[],
  leaseMs: number,
): Promise<ClaimResult> => {
  if (!isUuid(id)) return { verdict: 'settled', reason: 'unknown' }
  const [row] = await db.$queryRaw<ClaimRow[]>(sql`
  WITH locked AS MATERIALIZED (SELECT * FROM delivery WHERE id = ${id}::uuid FOR UPDATE),
  looked AS MATERIALIZED (SELECT *, ${now} AS at FROM locked),
  judged AS MATERIALIZED (
    SELECT l.*, CASE
      WHEN l.status NOT IN ('pending', 'failed') THEN 'settled'
      WHEN l.kind <> ALL (${kinds}::text[]) THEN 'foreign'
      WHEN l.leased_until > l.at THEN 'later'
      WHEN l.event LIKE 'reminded:%' AND NOT (r.version = l.version AND r.status = 'active' AND ${isLive(sql`r`, sql`l.at`)}
        AND l.at < r.expires_at) THEN 'stale'
      WHEN l.event = 'grace' AND l.channel = 'email' AND NOT (r.version = l.version AND ${isLive(sql`r`, sql`l.at`)}) THEN 'stale'
      WHEN l.next_attempt_at > l.at THEN 'later'
      WHEN l.sealed IS NOT NULL AND NOT ${isLive(sql`r`, sql`l.at`)} THEN 'suspended'
      ELSE 'claimed' END AS verdict
    FROM looked l JOIN resource r ON r.id = l.resource_id
  ), taken AS (
    UPDATE delivery d SET attempts = d.attempts + 1, leased_until = j.at + ${leaseMs}::float8 * interval '1 millisecond'
    FROM judged j WHERE d.id = j.id AND j.verdict = 'claimed'
    RETURNING d.id, d.attempts, j.at
  ), started AS (
    INSERT INTO delivery_attempt (delivery_id, number, at) SELECT id, attempts, at FROM taken
  ), put_off AS (
    UPDATE delivery d SET next_attempt_at = j.at + ${suspendedMs}::float8 * interval '1 millisecond'
    FROM judged j WHERE d.id = j.id AND j.verdict = 'suspended'
  ), overtaken AS (
    UPDATE delivery d SET status = 'cancelled', settled_at = j.at, next_attempt_at = NULL, leased_until = NULL, sealed = NULL,
      last_error = 'overtaken by a renewal or an end'
    FROM judged j WHERE d.id = j.id AND j.verdict = 'stale'
  )
  SELECT j.verdict, j.status AS "deliveryStatus", j.id AS "deliveryId", j.target, j.sealed, j.round, coalesce(t.attempts, j.attempts) AS attempt,
    coalesce(extract(epoch FROM greatest(j.next_attempt_at, j.leased_until) - j.at) * 1000, 0)::float8 AS "inMs",
    ${columns(sql`r`, sql`j.at`)}, e.type, e.at AS "eventAt", e.from_status AS "from", e.to_status AS "to", e.trigger
  FROM judged j JOIN resource r ON r.id = j.resource_id JOIN event e ON e.id = j.event_id LEFT JOIN taken t ON t.id = j.id`)
  if (!row) return { verdict: 'settled', reason: 'purged' }
  if (row.verdict === 'settled') return { verdict: 'settled', reason: `already ${row.deliveryStatus}` }
  if (row.verdict === 'foreign') return { verdict: 'settled', reason: 'kind not configured here' }
  if (row.verdict === 'stale') return { verdict: 'settled', reason: 'overtaken by a renewal or an end' }
  if (row.verdict === 'suspended') return { verdict: 'later', inMs: suspendedMs }
  if (row.verdict === 'later') return { verdict: 'later', inMs: Math.max(1, row.inMs) }
  const { type, eventAt: at, from, to, trigger, deliveryId, target, sealed, attempt, round } = row
  return {
    verdict: 'claimed',
    claim: {
      delivery: { id: deliveryId, target, attempt, round },
      row,
      sealed,
      event: { type, at, from, to, trigger },
    },
  }
}

export type AttemptOutcome =
  | { readonly status: 'sent' }
  | { readonly status: 'failed'; readonly error: string; readonly retryInMs: number }
  | { readonly status: 'dead'; readonly error: string }

/** Writes down how an attempt ended. Whoever has lost the lease to a later attempt changes nothing but the log. */
export const settleDelivery = async (
  db: Sql,
  id: string,
  attempt: number,
  durationMs: number,
  outcome: AttemptOutcome,
): Promise<void> => {
  const error = outcome.status === 'sent' ? null : outcome.error.slice(0, 500)
  const retryInMs = outcome.status === 'failed' ? outcome.retryInMs : null
  await db.$executeRaw(sql`
  WITH attempt AS (
    UPDATE delivery_attempt SET status = ${outcome.status}, duration_ms = ${Math.round(durationMs)}::int, error = ${error}
    WHERE delivery_id = ${id}::uuid AND number = ${attempt}::int
  )
  UPDATE delivery SET status = ${outcome.status}::lapse_delivery_status, last_error = ${error}, leased_until = NULL,
    sealed = CASE WHEN ${outcome.status} = 'sent' THEN NULL ELSE sealed END,
    next_attempt_at = ${now} + ${retryInMs}::float8 * interval '1 millisecond',
    settled_at = CASE WHEN ${retryInMs}::float8 IS NULL THEN ${now} END
  WHERE id = ${id}::uuid AND status IN ('pending', 'failed') AND attempts = ${attempt}::int`)
}

/** Deliveries whose time has come and that nobody holds, the oldest first: what the queue is fed from. */
export const dueDeliveries = (
  db: Sql,
  channel: Channel,
  kinds: readonly string[],
  limit: number,
): Promise<(Owed & { round: number })[]> =>
  db.$queryRaw(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at)
  SELECT id, channel, round FROM delivery
  WHERE channel = ${channel}::lapse_channel AND status IN ('pending', 'failed') AND next_attempt_at <= (SELECT at FROM clock)
    AND (leased_until IS NULL OR leased_until <= (SELECT at FROM clock)) AND kind = ANY (${kinds}::text[])
  ORDER BY next_attempt_at LIMIT ${limit}::int`)

export interface DeliveryFilter {
  readonly status?: DeliveryStatus | undefined
  readonly channel?: Channel | undefined
  readonly kind?: string | undefined
  readonly resourceId?: string | undefined
  /** By its id: of what was issued in it. */
  readonly organizationId?: string | undefined
}

const conditionsOf = (filter: DeliveryFilter) =>
  [
    filter.status !== undefined &&
      (filter.status === 'dead' ? sql`d.status = 'dead'` : sql`d.status = ${filter.status}::lapse_delivery_status`),
    filter.channel !== undefined && sql`d.channel = ${filter.channel}::lapse_channel`,
    filter.kind !== undefined && sql`d.kind = ${filter.kind}`,
    filter.resourceId !== undefined && sql`d.resource_id = ${filter.resourceId}::uuid`,
    filter.organizationId !== undefined &&
      sql`EXISTS (SELECT FROM resource r WHERE r.id = d.resource_id AND r.organization_id = ${filter.organizationId}::uuid)`,
  ].filter((condition) => condition !== false)

/** Newest first. `before` is the last id of the page before. */
export const listDeliveries = (
  db: Sql,
  filter: DeliveryFilter,
  page: { before?: string | undefined; limit: number },
): Promise<Delivery[]> => {
  const conditions = [...conditionsOf(filter), ...(page.before === undefined ? [] : [sql`d.id < ${page.before}::uuid`])]
  return db.$queryRaw(sql`
    SELECT ${fields} FROM delivery d ${conditions.length > 0 ? sql`WHERE ${join(conditions, ' AND ')}` : empty}
    ORDER BY d.id DESC LIMIT ${page.limit}::int`)
}

/** One attempt at a delivery; `durationMs` is `null` while it runs, or when its process died. */
export interface Attempt {
  readonly number: number
  readonly at: Date
  readonly durationMs: number | null
  readonly status: 'started' | 'sent' | 'failed' | 'dead'
  readonly error: string | null
}

/** @throws LapseError `not_found` */
export const readDelivery = async (db: Sql, id: string): Promise<Delivery & { log: Attempt[] }> => {
  const [delivery] = isUuid(id)
    ? await db.$queryRaw<Delivery[]>(sql`SELECT ${fields} FROM delivery d WHERE d.id = ${id}::uuid`)
    : []
  if (!delivery) throw new LapseError('not_found', { detail: 'There is no delivery with this id.' })
  const log = await db.$queryRaw<Attempt[]>(sql`
    SELECT number, at, duration_ms AS "durationMs", status, error FROM delivery_attempt
    WHERE delivery_id = ${id}::uuid ORDER BY number`)
  return { ...delivery, log }
}

/** Makes deliveries that gave up, or wait for their next try, due at once. Returns which. */
export const retryDeliveries = (
  db: Sql,
  which: { id: string } | DeliveryFilter,
): Promise<(Owed & { round: number })[]> => {
  if ('id' in which && !isUuid(which.id)) return Promise.resolve([])
  const conditions = 'id' in which ? [sql`d.id = ${which.id}::uuid`] : conditionsOf(which)
  return db.$queryRaw(sql`
    UPDATE delivery d SET status = 'pending', round = d.round + 1, next_attempt_at = ${now}, settled_at = NULL
    WHERE d.status IN ('dead', 'failed') AND (d.leased_until IS NULL OR d.leased_until <= ${now})
      ${conditions.length > 0 ? sql`AND ${join(conditions, ' AND ')}` : empty}
    RETURNING d.id, d.channel, d.round`)
}

/** How many are outstanding or have given up, for the metrics; what is done is not counted, for the ledger is long. */
export const countDeliveries = (db: Sql): Promise<{ channel: Channel; status: DeliveryStatus; count: number }[]> =>
  db.$queryRaw(sql`
    SELECT channel, status, count(*)::float8 AS count FROM delivery WHERE status IN ('pending', 'failed') GROUP BY 1, 2
    UNION ALL
    SELECT channel, status, count(*)::float8 FROM delivery WHERE status = 'dead' GROUP BY 1, 2`)
