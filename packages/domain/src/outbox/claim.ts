import { validate as isUuid } from 'uuid'
import type { Sql } from '../database.ts'
import type { Trigger } from '../events.ts'
import type { Channel, EventType } from '../kind.ts'
import type { DeliveryStatus } from '../ledger.ts'
import type { Status } from '../lifecycle.ts'
import { noticeKind, type Registry } from '../registry.ts'
import { eraseEnclosed } from '../store/enclosed.ts'
import { columns, type Fragment, isLive, now, type ResourceRow, sql } from '../store/live.ts'
import { suppressionOf } from '../suppressions.ts'
import type { Notice } from './notice.ts'

/** Something that happened to a resource, read when the lease was taken. */
export interface Occurrence {
  readonly row: ResourceRow
  /** The secret that the message carries; see `Secrets`. */
  readonly sealed: Uint8Array | null
  /** The sealed request of a call. */
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

/** One attempt at a delivery, under a lease: what its sender needs. */
export interface Claim {
  readonly delivery: {
    readonly id: string
    readonly channel: Channel
    readonly target: string
    readonly priority: number
    /** The organization whose slots it uses; a lane of the host's own by itself. See `shareOf`. */
    readonly share: string
    /** What it may hang on. See `laneOf`. */
    readonly lane: string
    /** 1 for the first. */
    readonly attempt: number
    /** 1 for the first that counts since a person last asked for a retry. */
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
  /** It is leased, or its time has not come: look again then. */
  | { readonly verdict: 'later'; readonly inMs: number }
  /** Nothing to do, and why. */
  | { readonly verdict: 'settled'; readonly reason: string }

interface JudgedRow extends ResourceRow {
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
  channel: Channel
  priority: number
  share: string
  lane: string
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

/** What `judge` answers for each delivery that was locked. */
export type Judged = Readonly<JudgedRow>

const overtaken = 'overtaken by a renewal or an end'
const endpointGone = 'its endpoint is disabled or deleted'
const organizationGone = 'its organization is deleted'
const noAnswer = 'it was sent, and its process ended before an answer came'

/** A token that cannot be used is not sent, nor is a call made; whether it can again is asked every five minutes. */
const suspendedMs = 5 * 60_000

/**
 * The tail of every statement that claims: from its CTE `locked` (rows of delivery, held, each with its `share`) it takes
 * the lease on each that may be attempted, and writes down that the attempt starts. A process that dies keeps the lease until
 * it runs out; then the attempt is made again, under the same id. The lease is for `leaseMs`, and for longer where a handler
 * may take longer.
 *
 * A kind that is not configured here is left to a process that knows it. Messages for an endpoint that has been disabled or
 * deleted are cancelled; a test of one that is disabled is not. So is a call whose organization is deleted. A reminder, or the
 * mail that grace has begun, that a renewal or an end has overtaken is cancelled here, at the last moment before it would go
 * out; and so is a mail to a suppressed address.
 *
 * The last CTE is `judged`; `verdictColumns` reads what came of it.
 */
export const judge = (locked: Fragment, { names, leases }: Pick<Registry, 'names' | 'leases'>, leaseMs: number) => sql`
  locked AS MATERIALIZED (${locked}),
  looked AS MATERIALIZED (SELECT *, ${now} AS at FROM locked),
  judged AS MATERIALIZED (
    SELECT l.*, s.why, CASE
      WHEN l.status NOT IN ('pending', 'failed') THEN 'settled'
      WHEN l.kind <> ALL (${[...names, noticeKind]}::text[]) THEN 'foreign'
      WHEN l.leased_until > l.at THEN 'later'
      WHEN l.channel = 'webhook' AND NOT EXISTS (SELECT FROM webhook_endpoint w
        WHERE w.id = CASE l.channel WHEN 'webhook' THEN l.target::uuid END AND (w.status = 'enabled' OR l.notice IS NOT NULL)) THEN 'gone'
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
    UPDATE delivery d SET attempts = d.attempts + 1, tries = d.tries + 1, ready = false,
      leased_until = j.at + greatest(${leaseMs}::float8, (${JSON.stringify(leases)}::jsonb ->> j.target)::float8) * interval '1 millisecond'
    FROM judged j WHERE d.id = j.id AND j.verdict = 'claimed'
    RETURNING d.id, d.attempts, d.tries, j.at
  ), unanswered AS (
    -- The attempt before this one was sent whole, and its process has ended since.
    UPDATE delivery_attempt a SET status = 'unknown', error = ${noAnswer}
    FROM taken t WHERE a.delivery_id = t.id AND a.number = t.attempts - 1 AND a.status = 'sending'
  ), started AS (
    INSERT INTO delivery_attempt (delivery_id, number, at) SELECT id, attempts, at FROM taken
  ), put_off AS (
    UPDATE delivery d SET ready = false, next_attempt_at = CASE j.verdict WHEN 'suspended'
      THEN j.at + ${suspendedMs}::float8 * interval '1 millisecond' ELSE d.next_attempt_at END
    FROM judged j WHERE d.id = j.id AND (j.verdict = 'suspended' OR j.verdict = 'later' AND d.ready)
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
  )`

export const verdictColumns = sql`j.verdict, j.why, j.status AS "deliveryStatus", j.id AS "deliveryId", j.kind AS "deliveryKind",
  j.created_at AS "createdAt", j.channel, j.priority, j.share, j.lane, j.notice, j.target, j.sealed, t.attempts AS attempt, t.tries,
  coalesce(extract(epoch FROM greatest(j.next_attempt_at, j.leased_until) - j.at) * 1000, 0)::float8 AS "inMs",
  ${columns(sql`r`, sql`j.at`)}, r.enclosed, e.id::text AS "eventId", e.type, e.version AS "eventVersion", e.at AS "eventAt",
  e.from_status AS "from", e.to_status AS "to", e.trigger`

export const verdictJoins = sql`LEFT JOIN resource r ON r.id = j.resource_id LEFT JOIN event e ON e.id = j.event_id
  LEFT JOIN taken t ON t.id = j.id`

/**
 * Claims one delivery by its id, whatever its lane's slots and circuit breaker say.
 * With a `channel`, nothing when it belongs to another: a forged job in a wrong queue must not choose how it is sent.
 */
export const claimDelivery = async (
  db: Sql,
  id: string,
  registry: Pick<Registry, 'names' | 'leases'>,
  leaseMs: number,
  channel?: Channel,
): Promise<ClaimResult> => {
  if (!isUuid(id)) return { verdict: 'settled', reason: 'unknown' }
  const locked = sql`SELECT *, lane AS share FROM delivery
    WHERE id = ${id}::uuid AND channel::text = coalesce(${channel ?? null}::text, channel::text) FOR UPDATE`
  const [row] = await db.$queryRaw<Judged[]>(sql`
    WITH ${judge(locked, registry, leaseMs)} SELECT ${verdictColumns} FROM judged j ${verdictJoins}`)
  return row ? resultOf(row) : { verdict: 'settled', reason: 'unknown to this queue' }
}

export const resultOf = (row: Judged): ClaimResult => {
  const settled = (reason: string): ClaimResult => ({ verdict: 'settled', reason })
  switch (row.verdict) {
    case 'claimed':
      return { verdict: 'claimed', claim: claimOf(row) }
    case 'settled':
      return settled(`already ${row.deliveryStatus}`)
    case 'foreign':
      return settled('kind not configured here')
    case 'stale':
      return settled(overtaken)
    case 'gone':
      return settled(endpointGone)
    case 'deleted':
      return settled(organizationGone)
    case 'unsubscribed':
    case 'bounced':
      return settled(row.verdict)
    case 'suspended':
      return { verdict: 'later', inMs: suspendedMs }
    case 'later':
      return { verdict: 'later', inMs: Math.max(1, row.inMs) }
  }
}

export const claimOf = (row: Judged): Claim => {
  const { deliveryId: id, deliveryKind: kind, channel, target, priority, share, lane } = row
  const { attempt, tries, createdAt, notice, sealed, enclosed } = row
  const { eventId, type, eventVersion: version, eventAt: at, from, to, trigger } = row
  const delivery = { id, channel, target, priority, share, lane, attempt, tries, createdAt, startedAt: row.at }
  if (notice) return { delivery, kind, about: { notice } }
  return {
    delivery,
    kind,
    about: { row, sealed, enclosed, event: { id: eventId, type, version, at, from, to, trigger } },
  }
}
