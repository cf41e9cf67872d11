import type { Sql } from '../database.ts'
import type { Channel } from '../kind.ts'
import { noticeKind, type Registry } from '../registry.ts'
import { empty, type Fragment, now, raw, sql } from '../store/live.ts'
import { type Claim, claimOf, type Judged, judge, verdictColumns, verdictJoins } from './claim.ts'
import { breakerOf, priorities, shareOf } from './lanes.ts'

/** How many more attempts each may have under way in this process. What is not named has room for `each`. */
export interface Rooms {
  readonly lanes: Readonly<Record<string, number>>
  readonly shares: Readonly<Record<string, number>>
  readonly hosts: Readonly<Record<string, number>>
  readonly each: { readonly lane: number; readonly share: number; readonly host: number }
  /** So many more at a host for shares that have nothing under way, one each: a host that hangs for one works for another. */
  readonly spare: number
}

/** Where the walk over the lanes goes on, so that each has its turn. */
export interface Cursor {
  /** The share after which each class goes on. */
  readonly classes: Readonly<Record<string, string>>
  /** The lane after which a share goes on. */
  readonly shares: Readonly<Record<string, string>>
}

export interface ClaimRequest {
  readonly channel: Channel
  /** Claims at most so many. */
  readonly limit: number
  /** Of those at most so many that have no right to the reserved slots. */
  readonly general: number
  readonly rooms: Rooms
  readonly cursor: Cursor
  readonly leaseMs: number
}

/** A lane as the walk met it. */
export interface LanePosition {
  readonly priority: number
  readonly share: string
  readonly lane: string
}

export interface ClaimedBatch {
  readonly claims: readonly (Claim & { readonly host: string | null })[]
  /** Circuit breakers whose probe was used up by a delivery that was not attempted after all. */
  readonly unprobed: readonly string[]
  /** Whether the walk reached the last lane; `last` is where it stopped. */
  readonly ended: boolean
  readonly last: LanePosition | null
  /** Lanes in whose first deliveries are only kinds that are not configured here. */
  readonly foreign: readonly LanePosition[]
  /** When there may be more: the next that waits for its time, its lease, a probe or its rate. `null`: nothing waits. */
  readonly nextInMs: number | null
}

/** So many lanes are looked at in one statement: some milliseconds. The next goes on where it stopped. */
const lanesPerWalk = 500

/** So many lanes of one share that have room are looked at before the next share: others come in the same statement. */
const lanesPerShare = 16

/** Above every text in the collation "C". */
const last = raw(`U&'\\+10FFFF'`)

/**
 * Claims what deserves it most of what is due in a channel: by class, then in turn among shares and their lanes, within the
 * room that each lane, share and host has here, with reserved slots for what must never wait, and skipping lanes whose circuit
 * breaker is open or whose rate is used up.
 *
 * The walk jumps from lane to lane by the index `delivery_ready`, so that a backlog of any size in one lane costs a step.
 * Breakers and rates are one row a lane, changed by a guarded upsert: of many workers one makes the probe.
 */
export const claimDue = async (
  db: Sql,
  registry: Pick<Registry, 'names' | 'leases'>,
  { channel, limit, general, rooms, cursor, leaseMs }: ClaimRequest,
): Promise<ClaimedBatch> => {
  const isDue = sql`d.channel = ${channel}::lapse_channel AND d.ready AND d.status IN ('pending', 'failed')`
  const share = shareOf(sql`d`)
  const after = (priority: Fragment, from: Fragment, lane: Fragment, and: Fragment = empty) => sql`
    SELECT d.priority, ${share} AS share, d.lane FROM delivery d
    WHERE ${isDue} AND (d.priority, ${share}, d.lane) > (${priority}, ${from}, ${lane}) ${and}
    ORDER BY d.priority, ${share}, d.lane LIMIT 1`
  const isWebhook = channel === 'webhook'
  const key = breakerOf(sql`${channel}`, sql`v.share`, sql`v.lane`)
  const locked = sql`
    SELECT d.*, p.share, p.key, p.gated, p.host FROM picked p JOIN delivery d ON d.id = p.id
    WHERE ${isDue} AND (NOT p.gated OR p.key IN (SELECT g.lane FROM gate g)) FOR UPDATE OF d SKIP LOCKED`
  const rows = await db.$queryRaw<(Partial<Judged> & Meta)[]>(sql`
  WITH RECURSIVE clock AS MATERIALIZED (SELECT ${now} AS at),
  here AS MATERIALIZED (SELECT ${JSON.stringify(rooms)}::jsonb AS rooms, ${JSON.stringify(cursor)}::jsonb AS cursor),
  walk (priority, share, lane, taken, step) AS (
    SELECT (-1)::smallint, '' COLLATE "C", '' COLLATE "C", 0, 0
    UNION ALL
    SELECT f.priority, f.share, f.lane,
      CASE WHEN (h.rooms #>> ARRAY['shares', f.share])::int <= 0 THEN ${raw(String(lanesPerShare))}
        ELSE CASE WHEN (w.priority, w.share) = (f.priority, f.share) THEN w.taken ELSE 0 END
          + CASE WHEN (h.rooms #>> ARRAY['lanes', f.lane])::int <= 0 OR b.lane IS NOT NULL THEN 0 ELSE 1 END END,
      w.step + 1
    FROM walk w CROSS JOIN here h CROSS JOIN clock k
    CROSS JOIN LATERAL (${after(
      sql`w.priority`,
      sql`w.share`,
      sql`(CASE WHEN w.taken >= ${raw(String(lanesPerShare))} THEN ${last} ELSE w.lane END) COLLATE "C"`,
    )}) n
    -- A class goes on after the share that it has served last, and a share after its lane; both begin anew after their end.
    LEFT JOIN LATERAL (${after(
      sql`n.priority`,
      sql`(h.cursor #>> ARRAY['classes', n.priority::text]) COLLATE "C"`,
      sql`${last} COLLATE "C"`,
      sql`AND d.priority = n.priority AND n.priority > w.priority`,
    )}) c ON true
    CROSS JOIN LATERAL (SELECT coalesce(c.priority, n.priority) AS priority, coalesce(c.share, n.share) AS share,
      coalesce(c.lane, n.lane) AS lane) e
    LEFT JOIN LATERAL (${after(
      sql`e.priority`,
      sql`e.share`,
      sql`(h.cursor #>> ARRAY['shares', e.share]) COLLATE "C"`,
      sql`AND d.priority = e.priority AND ${share} = e.share AND (w.priority, w.share) <> (e.priority, e.share)`,
    )}) l ON true
    CROSS JOIN LATERAL (SELECT e.priority, e.share, coalesce(l.lane, e.lane) AS lane) f
    LEFT JOIN outbox_lane b ON b.channel = ${channel}::lapse_channel
      AND b.lane = ${breakerOf(sql`${channel}`, sql`f.share`, sql`f.lane`)} AND greatest(b.next_probe_at, b.next_at) > k.at
    WHERE w.step < ${raw(String(lanesPerWalk))}
  ), visited AS MATERIALIZED (
    SELECT v.priority, v.share, v.lane, v.step, ${key} AS key, b.next_at, b.next_probe_at, b.failures, b.opened_at,
      ${isWebhook ? sql`substring(w.url FROM '^[a-z]+://([^/?#]+)')` : channel === 'call' ? sql`v.lane` : sql`NULL`} AS host,
      ${isWebhook ? sql`w.max_per_second` : sql`NULL::int`} AS rate
    FROM walk v
    LEFT JOIN outbox_lane b ON b.channel = ${channel}::lapse_channel AND b.lane = ${key}
    ${isWebhook ? sql`LEFT JOIN webhook_endpoint w ON w.id = nullif(v.lane, '')::uuid` : empty}
    WHERE v.step > 0
  ), roomy AS MATERIALIZED (
    SELECT v.*, v.rate IS NOT NULL OR v.opened_at IS NOT NULL AS gated,
      CASE WHEN greatest(v.next_probe_at, v.next_at) > k.at THEN 0
        -- One that has failed has one attempt at a time until one succeeds; a rate is shared out one by one.
        WHEN v.rate IS NOT NULL OR v.opened_at IS NOT NULL OR v.failures > 0 THEN least(1, r.room) ELSE r.room END AS room,
      r.idle
    FROM visited v CROSS JOIN clock k CROSS JOIN here h
    CROSS JOIN LATERAL (SELECT h.rooms #> ARRAY['shares', v.share] IS NULL AND v.host IS NOT NULL AS idle) i
    CROSS JOIN LATERAL (SELECT i.idle, greatest(least(${limit}::int,
      coalesce(h.rooms #>> ARRAY['lanes', v.lane], h.rooms #>> ARRAY['each', 'lane'])::int),
      CASE WHEN i.idle AND (h.rooms ->> 'spare')::int > 0 THEN 1 ELSE 0 END) AS room) r
  ), candidate AS MATERIALIZED (
    SELECT v.*, c.id, row_number() OVER (PARTITION BY v.step ORDER BY c.next_attempt_at, c.id) AS place
    FROM roomy v CROSS JOIN LATERAL (
      SELECT d.id, d.kind, d.next_attempt_at FROM delivery d
      WHERE ${isDue} AND d.priority = v.priority AND ${share} = v.share AND d.lane = v.lane
      ORDER BY d.next_attempt_at LIMIT v.room) c
    WHERE v.room > 0 AND c.kind = ANY (${[...registry.names, noticeKind]}::text[])
  ), ranked AS (
    SELECT c.*, row_number() OVER (PARTITION BY c.lane ORDER BY c.priority, c.place, c.step) AS in_lane,
      row_number() OVER (PARTITION BY c.share ORDER BY c.priority, c.place, c.step) AS in_share,
      row_number() OVER (PARTITION BY c.host ORDER BY c.priority, c.place, c.step) AS in_host,
      row_number() OVER (PARTITION BY c.key ORDER BY c.priority, c.place, c.step) AS in_key,
      h.rooms
    FROM candidate c CROSS JOIN here h
  ), fitting AS (
    SELECT r.*, r.priority < ${priorities.usual}::int
      ${channel === 'email' ? empty : sql`OR r.in_share = 1 AND r.rooms #> ARRAY['shares', r.share] IS NULL`} AS reserved
    FROM ranked r
    WHERE (r.in_lane <= coalesce(r.rooms #>> ARRAY['lanes', r.lane], r.rooms #>> ARRAY['each', 'lane'])::int
        OR r.idle AND r.in_share = 1)
      AND r.in_share <= coalesce(r.rooms #>> ARRAY['shares', r.share], r.rooms #>> ARRAY['each', 'share'])::int
      AND (r.host IS NULL
        OR r.in_host <= coalesce(r.rooms #>> ARRAY['hosts', r.host], r.rooms #>> ARRAY['each', 'host'])::int
          + CASE WHEN r.idle AND r.in_share = 1 THEN (r.rooms ->> 'spare')::int ELSE 0 END)
      AND (NOT r.gated OR r.in_key = 1)
  ), numbered AS (
    SELECT f.*, row_number() OVER (PARTITION BY f.reserved ORDER BY f.priority, f.place, f.step) AS number FROM fitting f
  ), picked AS MATERIALIZED (
    SELECT n.* FROM numbered n WHERE n.reserved OR n.number <= ${general}::int
    ORDER BY n.priority, n.place, n.step LIMIT ${limit}::int
  ), gate AS (
    INSERT INTO outbox_lane AS b (channel, lane, next_at, changed_at)
    SELECT ${channel}::lapse_channel, p.key, k.at + interval '1 second' / p.rate, k.at
    FROM picked p CROSS JOIN clock k WHERE p.gated ORDER BY p.key
    ON CONFLICT (channel, lane) DO UPDATE SET next_at = excluded.next_at, changed_at = excluded.changed_at,
      next_probe_at = CASE WHEN b.opened_at IS NOT NULL
        THEN excluded.changed_at + ${leaseMs}::float8 * interval '1 millisecond' END
    WHERE coalesce(greatest(b.next_probe_at, b.next_at) <= excluded.changed_at, true)
    RETURNING b.lane
  ), ${judge(locked, registry, leaseMs)}, meta AS (
    SELECT
      (SELECT max(step) FROM walk) < ${raw(String(lanesPerWalk))} AS ended,
      (SELECT jsonb_build_object('priority', v.priority, 'share', v.share, 'lane', v.lane)
        FROM visited v ORDER BY v.step DESC LIMIT 1) AS last,
      (SELECT jsonb_agg(jsonb_build_object('priority', v.priority, 'share', v.share, 'lane', v.lane))
        FROM (SELECT v.* FROM roomy v WHERE v.room > 0 AND NOT EXISTS (SELECT FROM candidate c WHERE c.step = v.step)
          ORDER BY v.step LIMIT 20) v) AS foreign_lanes,
      extract(epoch FROM least(
        (SELECT min(greatest(v.next_probe_at, v.next_at)) FROM visited v WHERE greatest(v.next_probe_at, v.next_at) > k.at),
        (SELECT greatest(d.next_attempt_at, d.leased_until) FROM delivery d
          WHERE d.channel = ${channel}::lapse_channel AND NOT d.ready AND d.status IN ('pending', 'failed')
          ORDER BY greatest(d.next_attempt_at, d.leased_until) LIMIT 1)) - k.at) * 1000 AS next_in_ms
    FROM clock k
  )
  SELECT m.ended, m.last, m.foreign_lanes AS "foreignLanes", m.next_in_ms::float8 AS "nextInMs", j.host, j.key, j.gated, ${verdictColumns}
  FROM meta m LEFT JOIN judged j ON true ${verdictJoins}`)
  const [meta] = rows as [Meta]
  const judged = rows.filter((row): row is Judged & Meta => row.verdict != null)
  const [claimed, others] = [judged.filter(isClaimed), judged.filter((row) => !isClaimed(row))]
  return {
    claims: claimed.map((row) => ({ ...claimOf(row), host: row.host })),
    unprobed: others.filter((row) => row.gated).map((row) => row.key),
    ended: meta.ended,
    last: meta.last,
    foreign: meta.foreignLanes ?? [],
    nextInMs: soonest([meta.nextInMs, ...others.filter(isLater).map(({ inMs }) => inMs)]),
  }
}

const soonest = (waits: readonly (number | null)[]): number | null => {
  const known = waits.filter((ms) => ms !== null)
  return known.length === 0 ? null : Math.min(...known)
}

interface Meta {
  readonly ended: boolean
  readonly last: LanePosition | null
  readonly foreignLanes: LanePosition[] | null
  readonly nextInMs: number | null
  readonly host: string | null
  readonly key: string
  readonly gated: boolean
}

const isClaimed = ({ verdict }: Judged): boolean => verdict === 'claimed'
const isLater = ({ verdict }: Judged): boolean => verdict === 'later'
