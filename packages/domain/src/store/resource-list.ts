import type { Sql } from '../database.ts'
import type { Status } from '../lifecycle.ts'
import {
  type Count,
  countAlongAny,
  type Found,
  follow,
  greatestUuid,
  type Listed,
  leastUuid,
  listAlong,
  statementAt,
  type Way,
} from './listing.ts'
import { empty, type Fragment, isLive, type SeenRow, seenColumns, seenStatus, sql } from './live.ts'

export interface ResourceFilter {
  readonly kind?: string | undefined
  /** As everybody sees it, by the database's clock. */
  readonly status?: Status | undefined
  /** Only what is live, or only what is over. */
  readonly live?: boolean | undefined
  readonly reference?: string | undefined
  readonly scope?: string | undefined
  /** An organization's id. */
  readonly organizationId?: string | undefined
  readonly subject?: string | undefined
  /** All kinds but these. */
  readonly exceptKinds?: readonly string[] | undefined
}

/** Of access grants also their relation, which stands in the payload. */
type Filter = ResourceFilter & { readonly relation?: string | undefined }

/**
 * What can be said of a row without asking the clock, as the indexes have it: its stored status, but for what is suspended
 * and for what has a time to begin at, begun or not.
 */
export const laneOf = (row: Fragment): Fragment =>
  sql`(CASE WHEN ${row}.status NOT IN ('active', 'grace') THEN ${row}.status WHEN ${row}.suspended_at IS NOT NULL THEN 'suspended'
    WHEN ${row}.starts_at IS NOT NULL THEN 'scheduled' ELSE ${row}.status END)`

/** The same within an organization. No two indexes begin alike: a plan would sort what it finds by the beginning of the other. */
const ownLaneOf = (row: Fragment): Fragment =>
  sql`(CASE WHEN ${row}.organization_id IS NOT NULL THEN ${laneOf(row)} END)`

const r = sql`r`
const lane = laneOf(r)

/** In which lanes rows may stand that are seen so. */
const lanesOf: Readonly<Record<Status, readonly Status[]>> = {
  // A clock that was set back sees what is in grace as active again.
  active: ['active', 'grace', 'scheduled'],
  grace: ['grace', 'scheduled'],
  expired: ['expired'],
  revoked: ['revoked'],
  consumed: ['consumed'],
  suspended: ['suspended'],
  scheduled: ['scheduled'],
}
const everyLane = Object.keys(lanesOf) as Status[]
const liveLanes: readonly Status[] = ['active', 'grace', 'scheduled']
const overLanes: readonly Status[] = ['expired', 'revoked', 'consumed', 'suspended', 'scheduled']

/** What the clock has moved on and nobody has advanced yet: it is due, or a hook has refused it. Each in the order of its index. */
const unswept = (lanes: readonly Status[]): Fragment[] => {
  const elsewhere = sql`r.next_step <> 'purge' AND ${lane} <> ALL (${[...lanes]}::lapse_status[])`
  return [
    sql`r.due_at <= ${statementAt} AND ${elsewhere} ORDER BY r.due_at`,
    sql`r.failures > 0 AND r.due_at > ${statementAt} AND ${elsewhere} ORDER BY r.failures`,
  ]
}

const moved = ({ status, live }: Filter): boolean => status === 'expired' || status === 'grace' || live === false

const conditionsOf = (filter: Filter): Fragment[] => {
  const { kind, reference, scope, organizationId, subject, relation, status, live, exceptKinds } = filter
  return [
    kind !== undefined && sql`r.kind = ${kind}`,
    exceptKinds !== undefined && sql`r.kind <> ALL (${[...exceptKinds]}::text[])`,
    reference !== undefined && sql`r.reference = ${reference}`,
    scope !== undefined && sql`r.scope = ${scope}`,
    organizationId !== undefined && sql`r.organization_id = ${organizationId}::uuid`,
    subject !== undefined && sql`r.subject = ${subject}`,
    relation !== undefined && sql`r.payload ->> 'relation' = ${relation}`,
    status !== undefined && sql`${seenStatus(r, statementAt)} = ${status}::lapse_status`,
    live !== undefined && sql`${isLive(r, statementAt)} = ${live}`,
  ].filter((condition) => condition !== false)
}

/**
 * In which of these lanes there are which kinds, of all or of an organization: one look at the index for each. It is written
 * over all the columns in front, as a stretch is.
 */
const kindsIn = (
  lanes: readonly Status[],
  organizationId: string | undefined,
  exceptKinds: readonly string[],
): Fragment => {
  const owner = sql`${organizationId ?? null}::uuid`
  const [column, value, within] =
    organizationId === undefined
      ? [empty, empty, empty]
      : [sql`k.organization_id,`, sql`${owner},`, sql`AND k.organization_id IS NOT NULL`]
  const lane = organizationId === undefined ? laneOf(sql`k`) : ownLaneOf(sql`k`)
  const place = sql`${lane}, ${column} k.kind`
  const next = (from: Fragment, after: Fragment) => sql`
    SELECT k.kind, ${lane} AS lane ${organizationId === undefined ? empty : sql`, k.organization_id`} FROM resource k
    WHERE (${place}) > (${from}, ${value} ${after}) ${within} ORDER BY ${place} LIMIT 1`
  const same = (lane: Fragment) =>
    sql`n.lane = ${lane} ${organizationId === undefined ? empty : sql`AND n.organization_id = ${owner}`}`
  return sql`(WITH RECURSIVE kinds AS (
      SELECT w.lane, n.kind FROM unnest(${[...lanes]}::lapse_status[]) AS w(lane)
      JOIN LATERAL (${next(sql`w.lane`, sql`''`)}) n ON ${same(sql`w.lane`)}
      UNION ALL
      SELECT g.lane, n.kind FROM kinds g JOIN LATERAL (${next(sql`g.lane`, sql`g.kind`)}) n ON ${same(sql`g.lane`)}
    ) SELECT lane, kind FROM kinds WHERE kind <> ALL (${[...exceptKinds]}::text[]))`
}

/** What has been granted to one on one and has not ended: a few relations, by an index of their own. */
const standing = (scope: string, subject: string): Fragment =>
  sql`r.kind = 'access-grant' AND r.status IN ('active', 'grace') AND r.scope = ${scope} AND r.subject = ${subject}
    ORDER BY r.scope, r.subject, r.payload ->> 'relation'`

/** From the narrowest to the widest; the last has every row. */
const waysTo = (filter: Filter): Way[] => {
  const { kind, status, live, reference, scope, organizationId, subject, exceptKinds = [] } = filter
  const match = conditionsOf(filter)
  const without = (...names: (keyof Filter)[]) =>
    conditionsOf(Object.fromEntries(Object.entries(filter).filter(([name]) => !names.includes(name as keyof Filter))))
  const lanes = status !== undefined ? lanesOf[status] : live === undefined ? everyLane : live ? liveLanes : overLanes
  const byClock = status !== undefined || live !== undefined
  // Kind by kind, for the pages of those that are left stay full however many rows of the others lie between them.
  const byLane = byClock || (kind === undefined && exceptKinds.length > 0)
  const inKind = kind === undefined ? sql`l.kind` : sql`${kind}::text`
  const lanesIn = (organizationId?: string) =>
    kind === undefined
      ? kindsIn(lanes, organizationId, exceptKinds)
      : sql`(SELECT unnest(${[...lanes]}::lapse_status[]) AS lane)`
  const besides = moved(filter) ? { besides: unswept(lanes) } : {}
  const one = (column: Fragment, value: Fragment, where: Fragment | undefined, name: keyof Filter): Way => ({
    columns: [column],
    values: [value],
    ...(where && { where }),
    match: without(name),
  })
  const ways: Way[] = []
  if (kind === 'access-grant' && live && scope !== undefined && subject !== undefined)
    ways.push({ columns: [], values: [], lanes: sql`(SELECT WHERE false)`, match, besides: [standing(scope, subject)] })
  if (reference !== undefined)
    ways.push(one(sql`r.reference`, sql`${reference}::text`, sql`r.reference IS NOT NULL`, 'reference'))
  if (subject !== undefined)
    ways.push(one(sql`r.subject`, sql`${subject}::text`, sql`r.subject IS NOT NULL`, 'subject'))
  if (scope !== undefined) ways.push(one(sql`r.scope`, sql`${scope}::text`, sql`r.scope IS NOT NULL`, 'scope'))
  if (organizationId !== undefined) {
    const within = sql`r.organization_id IS NOT NULL`
    const owner = sql`${organizationId}::uuid`
    if (kind === undefined && !byLane) ways.push(one(sql`r.organization_id`, owner, within, 'organizationId'))
    else
      ways.push({
        columns: [ownLaneOf(r), sql`r.organization_id`, sql`r.kind`],
        values: [sql`l.lane`, owner, inKind],
        where: within,
        lanes: lanesIn(organizationId),
        match: byLane ? match : without('organizationId', 'kind'),
        ...besides,
      })
  }
  if (byLane)
    ways.push({ columns: [lane, sql`r.kind`], values: [sql`l.lane`, inKind], lanes: lanesIn(), match, ...besides })
  // In a burst, thousands stand in the lane of what is active that are over and not advanced yet. Nothing else is in the way.
  const served = ways.find((way) => way.lanes !== undefined)
  const burst =
    byClock && !moved(filter) && [reference, scope, subject, filter.relation].every((one) => one === undefined)
  if (burst && served) return [...ways, { ...served, looks: inBurst }]
  if (byLane) return ways
  if (kind !== undefined) ways.push(one(sql`r.kind`, inKind, undefined, 'kind'))
  else ways.push({ columns: [], values: [], match })
  return ways
}

/** Rows of a lane that are looked at for a page when most of them are over: tens of milliseconds. */
const inBurst = 20_000

const listed: Listed = { table: sql`resource r`, keys: [sql`r.id`], fields: seenColumns(r, statementAt) }

const everything = { below: [greatestUuid], from: [leastUuid] }

const advice =
  'Add reference, subject, scope, organization_id or kind, or leave out what is not needed. When many wait to be advanced, start workers: what is over is looked for among them.'

/** Newest first. `before` is the last id of the page before. @throws LapseError `too_broad` */
export const listResources = (
  db: Sql,
  filter: Filter,
  { before, limit }: { before?: string | undefined; limit: number },
  /** By the names that the caller has for the filters. */
  named: object = { ...filter, exceptKinds: undefined },
): Promise<SeenRow[]> => {
  if (isEmpty(filter)) return Promise.resolve([])
  const below = [before === undefined ? greatestUuid : sql`${before}::uuid`]
  return listAlong(db, listed, waysTo(filter), { ...everything, below, limit }, named, advice)
}

/** Oldest first, along the narrowest way that has the order: also over long stretches without any, for whoever goes on from where it stopped. */
export const walkResources = (
  db: Sql,
  filter: Filter,
  { after, limit }: { after: string | undefined; limit: number },
): Promise<Found<SeenRow>> => {
  const from = [after === undefined ? leastUuid : sql`${after}::uuid`]
  return follow(db, listed, waysTo(filter).find(({ besides }) => !besides) as Way, {
    ...everything,
    from,
    limit,
    forward: true,
  })
}

/** How many there are, counted as far as is bounded. */
export const countResources = async (db: Sql, filter: Filter): Promise<Count> =>
  isEmpty(filter) ? { count: 0, atLeast: false } : countAlongAny(db, listed, waysTo(filter), everything)

const isEmpty = ({ kind, exceptKinds = [] }: Filter): boolean => kind !== undefined && exceptKinds.includes(kind)
