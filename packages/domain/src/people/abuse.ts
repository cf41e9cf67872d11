import type { Sql } from '../database.ts'
import { LapseError } from '../errors.ts'
import { type Fragment, instant, sql } from '../store/live.ts'
import { readClock } from '../store/read.ts'

/** From `since` to before `until`: the last day unless said otherwise. */
export interface AbuseSpan {
  readonly since?: Date | undefined
  readonly until?: Date | undefined
}

/** What was refused, and who sends invites: enough to see who guesses, and who sends to everybody. */
export interface Abuse {
  readonly since: Date
  readonly until: Date
  /** Why tokens and codes were refused. `resources`: how many different ones that there are. */
  readonly refusals: readonly {
    readonly kind: string
    readonly reason: string
    readonly count: number
    readonly resources: number
  }[]
  /** Every hour in which something was refused or somebody was invited, the earliest first. */
  readonly hours: readonly { readonly hour: Date; readonly refused: number; readonly invited: number }[]
  /** What was refused most often, more than once each. */
  readonly repeats: readonly {
    readonly resourceId: string
    readonly kind: string
    readonly count: number
    readonly reasons: Readonly<Record<string, number>>
    readonly firstAt: Date
    readonly lastAt: Date
  }[]
  /** Who has sent most invites, in which organization, and to how many addresses. */
  readonly senders: readonly {
    readonly actor: string | null
    readonly organizationId: string | null
    readonly invites: number
    readonly addresses: number
    readonly lastAt: Date
  }[]
}

const day = 24 * 60 * 60 * 1000
const longest = 31 * day
const most = 20

/** Reads the audit by the two indexes that it has for this. @throws LapseError `invalid` */
export const watchAbuse = async (db: Sql, span: AbuseSpan): Promise<Abuse> => {
  const until = span.until ?? (await readClock(db))
  const since = span.since ?? new Date(until.getTime() - day)
  const length = until.getTime() - since.getTime()
  if (!(length > 0 && length <= longest))
    throw new LapseError('invalid', { field: 'since', detail: 'Before until, and by 31 days at most.' })
  const within = sql`at >= ${instant(since.getTime())} AND at < ${instant(until.getTime())}`
  const [refusals, hours, repeats, senders] = await Promise.all([
    refusalsOf(db, within),
    hoursOf(db, within),
    repeatsOf(db, within),
    sendersOf(db, within),
  ])
  return { since, until, refusals, hours, repeats, senders }
}

const refused = sql`type = 'refused'`
const invited = sql`kind = 'invite' AND type = 'issued'`

/** Of a token that belongs to nothing. */
const nothing = sql`'00000000-0000-0000-0000-000000000000'`

const refusalsOf = (db: Sql, within: Fragment) =>
  db.$queryRaw<Abuse['refusals']>(sql`
  SELECT kind, coalesce(reason, '') AS reason, count(*)::float8 AS count,
    (count(DISTINCT resource_id) FILTER (WHERE resource_id <> ${nothing}))::float8 AS resources
  FROM event WHERE ${refused} AND ${within}
  GROUP BY 1, 2 ORDER BY count DESC, 1, 2`)

const hoursOf = (db: Sql, within: Fragment) =>
  db.$queryRaw<Abuse['hours']>(sql`
  SELECT date_trunc('hour', at) AS hour, sum(refused)::float8 AS refused, sum(invited)::float8 AS invited
  FROM (
    SELECT at, 1 AS refused, 0 AS invited FROM event WHERE ${refused} AND ${within}
    UNION ALL
    SELECT at, 0, 1 FROM event WHERE ${invited} AND ${within}
  ) AS happened
  GROUP BY 1 ORDER BY 1`)

const repeatsOf = (db: Sql, within: Fragment) =>
  db.$queryRaw<Abuse['repeats']>(sql`
  SELECT resource_id AS "resourceId", kind, sum(count)::float8 AS count, jsonb_object_agg(reason, count) AS reasons,
    min(first_at) AS "firstAt", max(last_at) AS "lastAt"
  FROM (
    SELECT resource_id, kind, coalesce(reason, '') AS reason, count(*) AS count, min(at) AS first_at, max(at) AS last_at
    FROM event WHERE ${refused} AND ${within} AND resource_id <> ${nothing}
    GROUP BY 1, 2, 3
  ) AS by_reason
  GROUP BY 1, 2 HAVING sum(count) > 1
  ORDER BY count DESC, 1 LIMIT ${most}::int`)

const sendersOf = (db: Sql, within: Fragment) =>
  db.$queryRaw<Abuse['senders']>(sql`
  SELECT actor, data #>> '{after,organization_id}' AS "organizationId", count(*)::float8 AS invites,
    count(DISTINCT r.subject)::float8 AS addresses, max(e.at) AS "lastAt"
  FROM (SELECT * FROM event WHERE ${invited} AND ${within}) e LEFT JOIN resource r ON r.id = e.resource_id
  GROUP BY 1, 2 ORDER BY invites DESC, 1, 2 LIMIT ${most}::int`)
