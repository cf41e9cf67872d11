import { validate as isUuid } from 'uuid'
import type { Sql } from './database.ts'
import type { Trigger } from './events.ts'
import type { Channel, EventType, Letter } from './kind.ts'
import type { DeliveryStatus } from './ledger.ts'
import type { Status } from './lifecycle.ts'
import { noticeKind, type Registry } from './registry.ts'
import { eraseEnclosed } from './store/enclosed.ts'
import { columns, isLive, now, type ResourceRow, sql } from './store/live.ts'
import type { Owed } from './store/record.ts'
import { suppressionOf } from './suppressions.ts'
import { storableStart } from './text.ts'

/** What is to be told and belongs to no resource: a test, an alert. No secret. */
export interface Notice {
  /** As a webhook's receiver knows it. */
  readonly type: string
  /** For webhooks. */
  readonly data: Readonly<Record<string, unknown>>
  /** For mails. */
  readonly letter: Letter
}

/** Something that happened to a resource, read when the lease was taken. */
export interface Occurrence {
  readonly row: ResourceRow
  /** What the message must carry; see `Secrets`. */
  readonly sealed: Uint8Array | null
  /** What the call must carry that the resource makes. */
  readonly enclosed: Uint8Array | null
  readonly event: {
    readonly id: string
    readonly type: EventType
    readonly version: number
    readonly at: Date
    readonly from: Status | null
    readonly to: Status | null
    readonly trigger: Trigger
  }
}

/** What the sender needs. */
export interface Claim {
  readonly delivery: {
    readonly id: string
    readonly target: string
    /** 1 for the first. */
    readonly attempt: number
    /** 1 for the first that counts, since somebody last asked for it by hand. */
    readonly tries: number
    readonly createdAt: Date
    /** When this attempt began, by the database's clock. */
    readonly startedAt: Date
  }
  /** A kind's name, or `lapse` for notices. */
  readonly kind: string
  readonly about: Occurrence | { readonly notice: Notice }
}

export type ClaimResult =
  | { readonly verdict: 'claimed'; readonly claim: Claim }
  /** Somebody else has it, or its time has not come: look again then. */
  | { readonly verdict: 'later'; readonly inMs: number }
  /** Nothing to do, and why. */
  | { readonly verdict: 'settled'; readonly reason: string }

interface ClaimRow extends ResourceRow {
  verdict:
    | 'settled'
    | 'foreign'
    | 'later'
    | 'suspended'
    | 'stale'
    | 'gone'
    | 'deleted'
    | 'unsubscribed'
    | 'bounced'
    | 'claimed'
  why: string | null
  deliveryStatus: DeliveryStatus
  inMs: number
  deliveryId: string
  deliveryKind: string
  createdAt: Date
  notice: Notice | null
  target: string
  sealed: Uint8Array | null
  enclosed: Uint8Array | null
  attempt: number
  tries: number
  eventId: string
  type: EventType
  eventVersion: number
  eventAt: Date
  from: Status | null
  to: Status | null
  trigger: Trigger
}

const overtaken = 'overtaken by a renewal or an end'
const endpointGone = 'its endpoint is disabled or deleted'
const organizationGone = 'its organization is deleted'

/** A token that cannot be used is not sent, nor is a call made; whether it can again is asked every five minutes. */
const suspendedMs = 5 * 60_000

/**
 * Takes the lease on a delivery for one attempt, which is written down before it starts. A process that dies keeps the
 * lease until it runs out; then the attempt is made again, under the same id. It is for `leaseMs`, and for longer where
 * a handler may take longer.
 *
 * One of a kind that is not configured here is left to a process that knows it. What an endpoint was to be told that has
 * been disabled or deleted is cancelled; a test of one that is disabled is not. So is a call whose organization is deleted.
 * A reminder, or the mail that grace has begun, that a renewal or an end has overtaken is cancelled here, at the last
 * moment before it would go out; and so is what goes to an address that is not to be written to.
 *
 * With a `channel` only one of that channel is there: a forged job in another's queue would have it sent some other way.
 */
export const claimDelivery = async (
  db: Sql,
  id: string,
  { names, leases }: Pick<Registry, 'names' | 'leases'>,
  leaseMs: number,
  channel?: Channel,
): Promise<ClaimResult> => {
  if (!isUuid(id)) return { verdict: 'settled', reason: 'unknown' }
  const [row] = await db.$queryRaw<ClaimRow[]>(sql`
  WITH locked AS MATERIALIZED (
    SELECT * FROM delivery WHERE id = ${id}::uuid AND channel::text = coalesce(${channel ?? null}::text, channel::text) FOR UPDATE
  ),
  looked AS MATERIALIZED (SELECT *, ${now} AS at FROM locked),
  judged AS MATERIALIZED (
    SELECT l.*, s.why, CASE
      WHEN l.status NOT IN ('pending', 'failed') THEN 'settled'
      WHEN l.kind <> ALL (${[...names, noticeKind]}::text[]) THEN 'foreign'
      WHEN l.leased_until > l.at THEN 'later'
      WHEN l.channel = 'webhook' AND NOT EXISTS (SELECT FROM webhook_endpoint w
        WHERE w.id::text = l.target AND (w.status = 'enabled' OR l.notice IS NOT NULL)) THEN 'gone'
      WHEN l.event LIKE 'reminded:%' AND NOT (r.version = l.version AND r.status = 'active' AND ${isLive(sql`r`, sql`l.at`)}
        AND l.at < r.expires_at) THEN 'stale'
      WHEN l.event = 'grace' AND l.channel = 'email' AND NOT (r.version = l.version AND ${isLive(sql`r`, sql`l.at`)}) THEN 'stale'
      WHEN s.reason IS NOT NULL THEN s.reason
      WHEN o.status = 'deleted' THEN 'deleted'
      WHEN l.next_attempt_at > l.at THEN 'later'
      WHEN l.sealed IS NOT NULL AND NOT ${isLive(sql`r`, sql`l.at`)} OR o.status = 'suspended' THEN 'suspended'
      ELSE 'claimed' END AS verdict
    FROM looked l LEFT JOIN resource r ON r.id = l.resource_id LEFT JOIN ${suppressionOf(sql`l`)} s ON true
      LEFT JOIN directory_organization o ON o.id = r.organization_id AND l.channel = 'call'
  ), taken AS (
    UPDATE delivery d SET attempts = d.attempts + 1, tries = d.tries + 1,
      leased_until = j.at + greatest(${leaseMs}::float8, (${JSON.stringify(leases)}::jsonb ->> j.target)::float8) * interval '1 millisecond'
    FROM judged j WHERE d.id = j.id AND j.verdict = 'claimed'
    RETURNING d.id, d.attempts, d.tries, j.at
  ), started AS (
    INSERT INTO delivery_attempt (delivery_id, number, at) SELECT id, attempts, at FROM taken
  ), put_off AS (
    UPDATE delivery d SET next_attempt_at = j.at + ${suspendedMs}::float8 * interval '1 millisecond'
    FROM judged j WHERE d.id = j.id AND j.verdict = 'suspended'
  ), overtaken AS (
    UPDATE delivery d SET status = 'cancelled', settled_at = j.at, next_attempt_at = NULL, leased_until = NULL, sealed = NULL,
      last_error = CASE j.verdict WHEN 'stale' THEN ${overtaken} WHEN 'gone' THEN ${endpointGone}
        WHEN 'deleted' THEN ${organizationGone} ELSE j.why END
    FROM judged j WHERE d.id = j.id AND j.verdict IN ('stale', 'gone', 'deleted', 'unsubscribed')
    RETURNING d.resource_id, d.channel, d.status
  ), erased AS (${eraseEnclosed(sql`overtaken`)}
  ), bounced AS (
    UPDATE delivery d SET status = 'dead', settled_at = j.at, next_attempt_at = NULL, leased_until = NULL, last_error = j.why
    FROM judged j WHERE d.id = j.id AND j.verdict = 'bounced'
  )
  SELECT j.verdict, j.why, j.status AS "deliveryStatus", j.id AS "deliveryId", j.kind AS "deliveryKind", j.created_at AS "createdAt",
    j.notice, j.target, j.sealed, t.attempts AS attempt, t.tries,
    coalesce(extract(epoch FROM greatest(j.next_attempt_at, j.leased_until) - j.at) * 1000, 0)::float8 AS "inMs",
    ${columns(sql`r`, sql`j.at`)}, r.enclosed, e.id::text AS "eventId", e.type, e.version AS "eventVersion", e.at AS "eventAt",
    e.from_status AS "from", e.to_status AS "to", e.trigger
  FROM judged j LEFT JOIN resource r ON r.id = j.resource_id LEFT JOIN event e ON e.id = j.event_id LEFT JOIN taken t ON t.id = j.id`)
  if (!row) return { verdict: 'settled', reason: 'unknown to this queue' }
  if (row.verdict === 'settled') return { verdict: 'settled', reason: `already ${row.deliveryStatus}` }
  if (row.verdict === 'foreign') return { verdict: 'settled', reason: 'kind not configured here' }
  if (row.verdict === 'stale') return { verdict: 'settled', reason: overtaken }
  if (row.verdict === 'gone') return { verdict: 'settled', reason: endpointGone }
  if (row.verdict === 'deleted') return { verdict: 'settled', reason: organizationGone }
  if (row.why !== null && row.verdict !== 'claimed') return { verdict: 'settled', reason: row.verdict }
  if (row.verdict === 'suspended') return { verdict: 'later', inMs: suspendedMs }
  if (row.verdict === 'later') return { verdict: 'later', inMs: Math.max(1, row.inMs) }
  const { deliveryId, deliveryKind: kind, target, attempt, tries, createdAt, notice, sealed, enclosed } = row
  const { eventId, type, eventVersion: version, eventAt: at, from, to, trigger } = row
  const delivery = { id: deliveryId, target, attempt, tries, createdAt, startedAt: row.at }
  if (notice) return { verdict: 'claimed', claim: { delivery, kind, about: { notice } } }
  const event = { id: eventId, type, version, at, from, to, trigger }
  return { verdict: 'claimed', claim: { delivery, kind, about: { row, sealed, enclosed, event } } }
}

/** What the other side said to an attempt: HTTP's or SMTP's code, and the beginning of the text, without secrets. */
export interface Answer {
  readonly code?: number | undefined
  readonly answer?: string | undefined
}

/** `ours`: it failed before the other side was asked, and says nothing of that. */
export type AttemptOutcome = Answer &
  (
    | { readonly status: 'sent' }
    | { readonly status: 'failed'; readonly error: string; readonly retryInMs: number; readonly ours?: boolean }
    | { readonly status: 'dead'; readonly error: string; readonly ours?: boolean }
    /** By the end of its process, or because its turn did not come: no try, and due again at once. */
    | { readonly status: 'interrupted'; readonly error: string }
  )

/**
 * Writes down how an attempt ended, and answers what was tried. Whoever has lost the lease to a later attempt changes
 * nothing but the log. What a call carried is erased with its success; an endpoint with a success fails no more.
 */
export const settleDelivery = async (
  db: Sql,
  id: string,
  attempt: number,
  durationMs: number,
  outcome: AttemptOutcome,
): Promise<{ readonly channel: Channel; readonly target: string } | undefined> => {
  if (outcome.status === 'interrupted') {
    await giveBackDelivery(db, id, attempt, durationMs, outcome.error)
    return undefined
  }
  const error = outcome.status === 'sent' ? null : storableStart(outcome.error, 500)
  const retryInMs = outcome.status === 'failed' ? outcome.retryInMs : null
  const answer = outcome.answer === undefined ? null : storableStart(outcome.answer, 1_000)
  const [tried] = await db.$queryRaw<{ channel: Channel; target: string }[]>(sql`
  WITH attempt AS (
    UPDATE delivery_attempt SET status = ${outcome.status}, duration_ms = ${Math.round(durationMs)}::int, error = ${error},
      code = ${outcome.code ?? null}::int, answer = ${answer}, next_at = ${now} + ${retryInMs}::float8 * interval '1 millisecond'
    WHERE delivery_id = ${id}::uuid AND number = ${attempt}::int
  ), settled AS (
    UPDATE delivery SET status = ${outcome.status}::lapse_delivery_status, last_error = ${error}, leased_until = NULL,
      sealed = CASE WHEN ${outcome.status} = 'sent' THEN NULL ELSE sealed END,
      next_attempt_at = ${now} + ${retryInMs}::float8 * interval '1 millisecond',
      settled_at = CASE WHEN ${retryInMs}::float8 IS NULL THEN ${now} END
    WHERE id = ${id}::uuid AND status IN ('pending', 'failed') AND attempts = ${attempt}::int
    RETURNING resource_id, channel, target, status
  ), erased AS (${eraseEnclosed(sql`settled`)}), recovered AS (
    UPDATE webhook_endpoint w SET failing_since = NULL FROM settled s
    WHERE s.status = 'sent' AND w.id = CASE s.channel WHEN 'webhook' THEN s.target::uuid END
      AND w.status = 'enabled' AND w.failing_since IS NOT NULL
  )
  SELECT channel, target FROM settled`)
  return tried
}

/** For others to make it, as if it had not been tried: its lease ends, and it has been due since before. */
const giveBackDelivery = async (db: Sql, id: string, attempt: number, durationMs: number, error: string) => {
  await db.$executeRaw(sql`
  WITH attempt AS (
    UPDATE delivery_attempt SET status = 'interrupted', duration_ms = ${Math.round(durationMs)}::int, error = ${error}
    WHERE delivery_id = ${id}::uuid AND number = ${attempt}::int
  )
  UPDATE delivery SET tries = tries - 1, leased_until = NULL
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
    AND (leased_until IS NULL OR leased_until <= (SELECT at FROM clock)) AND kind = ANY (${[...kinds, noticeKind]}::text[])
  ORDER BY next_attempt_at LIMIT ${limit}::int`)

/** Writes down that these are to be told. Nothing of it belongs to a resource. */
export const oweNotice = (
  db: Sql,
  notice: Notice,
  to: readonly { readonly channel: 'email' | 'webhook'; readonly target: string }[],
): Promise<Owed[]> =>
  db.$queryRaw(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at)
  INSERT INTO delivery (organization_id, kind, version, event, channel, target, notice, next_attempt_at, created_at)
  SELECT (SELECT organization_id FROM webhook_endpoint WHERE id = CASE WHEN t.channel = 'webhook' THEN t.target::uuid END), ${noticeKind}, 1, ${notice.type}, t.channel::lapse_channel, t.target, ${JSON.stringify(notice)}::jsonb, c.at, c.at
  FROM clock c, unnest(${to.map((t) => t.channel)}::text[], ${to.map((t) => t.target)}::text[]) AS t(channel, target)
  RETURNING id, channel`)
