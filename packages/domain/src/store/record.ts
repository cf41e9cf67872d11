import type { Trigger } from '../events.ts'
import type { Channel, EventType, Kind } from '../kind.ts'
import { laneOf, priorities } from '../outbox/lanes.ts'
import type { Registry } from '../registry.ts'
import { empty, type Fragment, raw, sql, toldStatus } from './live.ts'

/** Who did it, through which layer, and why. */
export interface Cause {
  readonly trigger: Trigger
  readonly actor?: string | undefined
  readonly reason?: string | undefined
}

/** A side effect that has just been written down and waits to be delivered. */
export interface Owed {
  readonly id: string
  readonly channel: Channel
  /** Not before; at once without. */
  readonly inMs?: number
  /** How often it has been asked for again. */
  readonly round?: number
}

/** What every transition adds to the row it returns. */
export interface Recorded {
  readonly type: EventType
  readonly from: string | null
  readonly latenessMs: number | null
  readonly eventAt: Date
  readonly owed: Owed[] | null
}

/**
 * The tail of every statement that changes a resource: from its CTE `moved` it writes the event and the deliveries the
 * kinds ask for, so that all three commit or none.
 *
 * `sealed` is the secret that the mails among them carry. What ends takes with it the secrets that have not gone out yet.
 *
 * `moved` has the row's `id, kind, version, status, contact` and `type, occasion, was, at, lateness_ms, data`. The last
 * CTE is `owed` (resource_id, deliveries). Kinds that ask for nothing pay only for a look at who else wants to be told.
 */
export const record = (
  cause: Cause,
  registry: Registry,
  kinds: readonly Kind[],
  types: readonly EventType[],
  sealed: Fragment = sql`NULL::bytea`,
): Fragment => {
  const names = new Set(kinds.map((kind) => kind.name))
  const erases = kinds.some((kind) => kind.verbs) && types.some(isEnd)
  const effects = registry.effects.filter((effect) => names.has(effect.kind) && types.includes(effect.event))
  return sql`
  logged AS (
    INSERT INTO event (resource_id, kind, type, version, at, from_status, to_status, trigger, lateness_ms, actor, reason, data)
    SELECT id, kind, type, version, at, was, ${toldStatus(sql`moved`)}, ${cause.trigger}::lapse_trigger, lateness_ms,
      ${cause.actor ?? null}::text, ${cause.reason ?? null}::text, data
    FROM moved
    RETURNING id, resource_id
  ), ${erases ? erased : empty} ${deliveriesFor(effects, sealed)}`
}

const isEnd = (type: EventType): boolean => type === 'expired' || type === 'revoked' || type === 'consumed'

const erased = sql`
  erased AS (
    UPDATE delivery d SET sealed = NULL, next_attempt_at = NULL, leased_until = NULL, settled_at = coalesce(d.settled_at, m.at),
      status = CASE WHEN d.status = 'dead' THEN d.status ELSE 'cancelled' END, last_error = 'overtaken by its end'
    FROM moved m
    WHERE d.resource_id = m.id AND d.sealed IS NOT NULL AND m.status IN ('expired', 'revoked', 'consumed')
  ),`

/** What the kinds ask for, and what the webhook endpoints do that are enabled and may know. */
const deliveriesFor = (effects: Registry['effects'], sealed: Fragment): Fragment => sql`
  delivered AS (
    INSERT INTO delivery (resource_id, kind, version, event, event_id, channel, target, next_attempt_at, created_at, sealed,
      priority, organization_id, lane, ready)
    SELECT m.id, m.kind, m.version, coalesce(m.occasion, m.type || ':#' || l.id), l.id, e.channel, e.target, s.due_at, m.at, s.sealed,
      CASE WHEN s.sealed IS NULL THEN ${priorities.usual}::smallint ELSE ${priorities.token}::smallint END,
      e.organization_id, ${laneOf(sql`e`, sql`m`)}, s.due_at <= m.at
    FROM moved m
    JOIN logged l ON l.resource_id = m.id
    JOIN (${effects.length === 0 ? subscribed : sql`${asked(effects)} UNION ALL ${subscribed}`}) e ON e.id = m.id
    CROSS JOIN LATERAL (SELECT ${isSpread(effects) ? spreadOut : sql`m.at`} AS due_at,
      CASE WHEN e.channel = 'email' THEN ${sealed} END AS sealed OFFSET 0) s
    ON CONFLICT DO NOTHING
    RETURNING id, resource_id, channel, next_attempt_at - created_at AS wait
  ), owed AS MATERIALIZED (
    SELECT resource_id, jsonb_agg(jsonb_build_object('id', id, 'channel', channel)
      ${isSpread(effects) ? waiting : empty}) AS deliveries
    FROM delivered GROUP BY resource_id
  )`

const asked = (effects: Registry['effects']): Fragment => sql`
  SELECT m.id, e.channel::lapse_channel AS channel, coalesce(e.target, m.contact) AS target, e.spread, m.organization_id
  FROM moved m
  JOIN unnest(${effects.map((e) => e.kind)}::text[], ${effects.map((e) => e.event)}::text[],
      ${effects.map((e) => e.channel)}::text[], ${effects.map((e) => e.target)}::text[],
      ${effects.map((e) => e.spread ?? null)}::float8[])
    AS e(kind, event, channel, target, spread) ON e.kind = m.kind AND e.event = m.type
  WHERE coalesce(e.target, m.contact) IS NOT NULL`

/** How many endpoints there may be: each event costs a row for each that is told of it, and a look at all of them. */
export const mostEndpoints = { unbound: 50, organization: 20 }

/** The endpoints that are told of `moved`, which has `id, kind, organization_id, type` for them. */
export const subscribed = sql`
  SELECT m.id, 'webhook'::lapse_channel AS channel, w.id::text AS target, NULL::float8 AS spread, w.organization_id
  FROM moved m JOIN LATERAL (
    SELECT u.* FROM (SELECT * FROM webhook_endpoint WHERE organization_id IS NULL ORDER BY organization_id, id LIMIT ${raw(String(mostEndpoints.unbound))}) u
    UNION ALL
    -- Both ends and the order, or a plan that knows no number of organizations reads the endpoints of all.
    SELECT o.* FROM (SELECT * FROM webhook_endpoint WHERE organization_id >= m.organization_id AND organization_id <= m.organization_id
      ORDER BY organization_id LIMIT ${raw(String(mostEndpoints.organization))}) o
  ) w ON w.status = 'enabled' AND (w.kinds = '{}' OR m.kind = ANY (w.kinds)) AND (w.events = '{}' OR m.type = ANY (w.events))`

const isSpread = (effects: Registry['effects']): boolean => effects.some((effect) => effect.spread !== undefined)

/** Counted from the instant of the reminder, for that may be a while ago; never past the end. */
const spreadOut = sql`CASE WHEN e.spread IS NULL THEN m.at ELSE (
  SELECT greatest(m.at, s.instant + least(e.spread * interval '1 millisecond', m.expires_at - s.instant)
    * ((hashtextextended(m.id::text, 0) & 9223372036854775807) / 9223372036854775808::float8))
  FROM (SELECT m.at - m.lateness_ms * interval '1 millisecond' AS instant) s) END`

const waiting = sql`|| CASE WHEN wait > interval '0' THEN jsonb_build_object('inMs', ceil(extract(epoch FROM wait) * 1000)) ELSE '{}' END`
