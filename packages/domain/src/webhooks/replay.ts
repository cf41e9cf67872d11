import type { Sql } from '../database.ts'
import { LapseError } from '../errors.ts'
import { eventTypes } from '../kind.ts'
import { again, readDelivery } from '../ledger.ts'
import { instant, now, sql } from '../store/live.ts'
import type { Owed } from '../store/record.ts'
import type { EndpointEvent, WebhookEndpoint } from './endpoint.ts'
import { readEndpoint } from './endpoint-store.ts'

/** What happened in this span, of what the endpoint asks for. */
export interface Replay {
  readonly since: Date
  /** Until now without. */
  readonly until?: Date | undefined
  /** Only of these kinds. */
  readonly kinds?: readonly string[] | undefined
  /** Only these. */
  readonly events?: readonly string[] | undefined
  /** Where the replay before this one stopped. */
  readonly cursor?: string | undefined
}

export interface Replayed {
  /** How many are on their way now. What waits for its first try already is not counted. */
  readonly replayed: number
  /** Where to go on; `null` when that was all. */
  readonly cursor: string | null
}

/** Events that one call looks at. */
const most = 10_000

/** @throws LapseError `not_found`, `not_replayable`, `endpoint_disabled` */
export const resend = async (tx: Sql, id: string): Promise<{ target: string; owed: Owed[] }> => {
  const { channel, target, resourceId } = await readDelivery(tx, id)
  if (channel !== 'webhook')
    throw new LapseError('not_replayable', { detail: `It is no webhook but of the channel ${channel}.` })
  const endpoint = await readEndpoint(tx, target)
  if (!endpoint) throw new LapseError('not_replayable', { detail: 'Its endpoint is deleted.' })
  if (resourceId !== null) mustBeEnabled(endpoint)
  const owed = await tx.$queryRaw<Owed[]>(sql`
    UPDATE delivery d SET ${again}
    WHERE d.id = ${id}::uuid AND (d.leased_until IS NULL OR d.leased_until <= ${now})
    RETURNING d.id, d.channel, d.round`)
  if (owed.length === 0)
    throw new LapseError('not_replayable', { detail: 'It is being sent right now. Ask again in a minute.' })
  return { target, owed }
}

/**
 * Deliveries that there are become due again; events that have none get one, numbered by the event, so that no two of
 * them are taken for the same. Resources come before deliveries, each in one order, as everybody locks them; a delivery
 * that somebody has in hand is passed by.
 *
 * @throws LapseError `endpoint_disabled`
 */
export const replaySpan = async (
  tx: Sql,
  endpoint: WebhookEndpoint,
  span: Replay & { readonly kinds: readonly string[]; readonly events: readonly EndpointEvent[] },
): Promise<Replayed & { owed: Owed[] }> => {
  mustBeEnabled(endpoint)
  if (span.cursor !== undefined && !/^\d{1,18}$/.test(span.cursor))
    throw new LapseError('invalid', { field: 'cursor', detail: 'Take it from the replay before.' })
  const { id, organizationId } = endpoint
  const within = sql`e.at >= ${instant(span.since.getTime())} AND e.at < coalesce(${instant(span.until?.getTime() ?? null)}, ${now})`
  const [row] = await tx.$queryRaw<{ looked: number; last: string | null; owed: Owed[] }[]>(sql`
    WITH bounds AS MATERIALIZED (
      -- The sums keep the planner from walking all events by their ids.
      SELECT min(e.id + 0) AS first, max(e.id + 0) AS last FROM event e WHERE ${within}
    ), told AS MATERIALIZED (
      SELECT e.id, e.resource_id, e.kind, e.type, e.version
      FROM bounds b
      JOIN event e ON e.id >= b.first AND e.id <= b.last AND e.id > ${span.cursor ?? '0'}::bigint AND ${within}
      JOIN resource r ON r.id = e.resource_id
        AND (${organizationId}::uuid IS NULL OR r.organization_id = ${organizationId}::uuid)
      WHERE e.type = ANY (${asked(endpoint.events, span.events, eventTypes)}::text[])
        AND (${endpoint.kinds}::text[] = '{}' OR e.kind = ANY (${endpoint.kinds}::text[]))
        AND (${span.kinds}::text[] = '{}' OR e.kind = ANY (${span.kinds}::text[]))
      ORDER BY e.id LIMIT ${most}::int
    ), held AS MATERIALIZED (
      -- Has all that is added, for the planner takes it for a row or two and would join it with the span row by row.
      SELECT t.* FROM told t JOIN resource r ON r.id = t.resource_id ORDER BY r.id, t.id FOR KEY SHARE OF r
    ), there AS MATERIALIZED (
      -- By its event, and not by all there ever was for this endpoint.
      SELECT d.id FROM told t JOIN delivery d ON d.event_id = t.id AND d.target || '' = ${id} AND d.channel = 'webhook'
      WHERE d.status <> 'pending' AND (d.leased_until IS NULL OR d.leased_until <= ${now})
      ORDER BY d.id FOR UPDATE OF d SKIP LOCKED
    ), repeated AS (
      UPDATE delivery d SET ${again} FROM there WHERE d.id = there.id
      RETURNING d.id, d.channel, d.round
    ), added AS (
      INSERT INTO delivery (organization_id, resource_id, kind, version, event, event_id, channel, target, next_attempt_at, created_at)
      SELECT ${organizationId}::uuid, h.resource_id, h.kind, h.version, h.type || ':#' || h.id, h.id, 'webhook', ${id}, ${now}, ${now}
      FROM held h
      -- One that is there would be waited for while somebody else replays it, who may wait for one of ours.
      WHERE NOT EXISTS (SELECT FROM delivery d WHERE d.event_id = h.id AND d.target || '' = ${id} AND d.channel = 'webhook')
      ORDER BY h.id
      ON CONFLICT DO NOTHING
      RETURNING id, channel, round
    ), owed AS (SELECT * FROM repeated UNION ALL SELECT * FROM added)
    SELECT (SELECT count(*) FROM told)::int AS looked, (SELECT max(id) FROM told)::text AS last,
      (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'channel', channel, 'round', round)), '[]') FROM owed) AS owed`)
  const { looked = 0, last = null, owed = [] } = row ?? {}
  return { replayed: owed.length, cursor: looked < most ? null : last, owed }
}

/** What both ask for; who names nothing asks for all. */
const asked = (theirs: readonly string[], wanted: readonly string[], all: readonly string[]): string[] =>
  all.filter((name) => [theirs, wanted].every((names) => names.length === 0 || names.includes(name)))

const mustBeEnabled = ({ status }: WebhookEndpoint): void => {
  if (status === 'disabled') throw new LapseError('endpoint_disabled', { detail: 'Enable it first.' })
}
