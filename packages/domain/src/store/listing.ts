import type { Sql } from '../database.ts'
import { LapseError } from '../errors.ts'
import { empty, type Fragment, join, now, raw, sql } from './live.ts'

/** A table as `r`, the columns that order its list, of which the last is its id, and what is selected of a row `r`. */
export interface Listed {
  readonly table: Fragment
  readonly keys: readonly Fragment[]
  readonly fields: Fragment
}

/**
 * One way to a list: a stretch of an index for each row of `lanes`, or one without. `columns` are what the index has in
 * front of the keys, `values` what they are there, which may name a lane `l`; `where` is the predicate of a partial index.
 */
export interface Way {
  readonly columns: readonly Fragment[]
  readonly values: readonly Fragment[]
  readonly where?: Fragment
  readonly lanes?: Fragment
  /** What the index does not decide: each row of a stretch is looked at. */
  readonly match: readonly Fragment[]
  /** Where else rows of the list may stand, in no order: all of them are looked at, or the way is not gone to its end. */
  readonly besides?: readonly Fragment[]
  /** How many rows it looks at, where it is not as many as usual. */
  readonly looks?: number
}

/** A page: below a place and from another one on, each a value for every key; `bounds` is a CTE that they may name. */
export interface Stretch {
  readonly below: readonly Fragment[]
  readonly from: readonly Fragment[]
  readonly limit: number
  /** From the oldest on: above `from`, and up to `below`. */
  readonly forward?: boolean
  readonly bounds?: Fragment
}

/** `stoppedAt`: the page is not full, for so far the way was gone and not to its end. */
export interface Found<Row> {
  readonly rows: Row[]
  readonly stoppedAt: string | null
}

/** The instant of the statement, read once. */
export const statementAt = sql`(SELECT at FROM clock)`

/** The least and the greatest id; no row has either. */
export const leastUuid = sql`'00000000-0000-0000-0000-000000000000'::uuid`
export const greatestUuid = sql`'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid`

/**
 * Rows that are looked at for a page: five of the largest pages of the API, a few milliseconds of work, and so few that a
 * plan takes the index for them in a table of any size in which that matters.
 */
export const mostLooked = 1_000
/** The same in each lane where there are several: all states of one kind look at no more together. */
const mostInLane = 250
/** Rows that a count looks at, of all lanes together. */
export const mostCounted = 5_000

const looksOf = ({ lanes, looks = lanes ? mostInLane : mostLooked }: Way, limit: number) => Math.max(looks, limit)

const tuple = (parts: readonly Fragment[]): Fragment =>
  parts.length === 1 ? (parts[0] as Fragment) : sql`(${join([...parts])})`
const all = (conditions: readonly Fragment[]): Fragment =>
  conditions.length > 0 ? sql`WHERE ${join([...conditions], ' AND ')}` : empty

/**
 * Both ends of a stretch and its order are written over every column of the index. A plan that is made without the values
 * expects a rare one to be common, and would look for it through the whole table by id: in this form only the one index has
 * the order.
 */
const stretchOf = ({ table, keys }: Listed, { columns, values, where }: Way, stretch: Stretch): Fragment => {
  const { below, from, forward } = stretch
  const place = [...columns, ...keys]
  const direction = forward ? empty : sql` DESC`
  return sql`FROM ${table} WHERE ${tuple(place)} ${forward ? sql`<=` : sql`<`} ${tuple([...values, ...below])}
    AND ${tuple(place)} ${forward ? sql`>` : sql`>=`} ${tuple([...values, ...from])} ${where ? sql`AND ${where}` : empty}
    ORDER BY ${join(place.map((one) => sql`${one}${direction}`))}`
}

const insideOf = (keys: readonly Fragment[], { below, from, forward }: Stretch): Fragment =>
  sql`${tuple(keys)} ${forward ? sql`<=` : sql`<`} ${tuple(below)} AND ${tuple(keys)} ${forward ? sql`>` : sql`>=`} ${tuple(from)}`

const head = ({ lanes }: Way, { bounds }: Stretch): Fragment => sql`
  WITH RECURSIVE clock AS MATERIALIZED (SELECT ${now} AS at), ${bounds ? sql`${bounds},` : empty}
  lane AS MATERIALIZED (SELECT row_number() OVER () AS number, l.* FROM ${lanes ?? sql`(SELECT)`} l)`

/**
 * Reads a page along a way. Of each stretch it looks at so many rows at most; where one ends before the page is full, the
 * page is shown down to there, and says so.
 */
export const follow = async <Row extends { readonly id: string }>(
  db: Sql,
  listed: Listed,
  way: Way,
  stretch: Stretch,
): Promise<Found<Row>> => {
  const { table, keys, fields } = listed
  const { match, besides = [] } = way
  const { limit, below, forward } = stretch
  const most = raw(String(Math.trunc(limit)))
  const looks = raw(String(match.length > 0 || besides.length > 0 ? looksOf(way, limit) : Math.trunc(limit)))
  const by = (place: readonly Fragment[]) =>
    sql`ORDER BY ${join(place.map((one) => sql`${one}${forward ? empty : sql` DESC`}`))}`
  const order = by(keys)
  const along = stretchOf(listed, way, stretch)
  const page = (source: Fragment, match: readonly Fragment[], order: Fragment) =>
    sql`(SELECT r.* FROM (SELECT r.* ${source} LIMIT ${looks}) r ${all(match)} ${order} LIMIT ${most})`
  const elsewhere = besides.map((where) => sql`FROM ${table} WHERE ${where}`)
  const inside = [...match, insideOf(keys, stretch)]
  const rows = await db.$queryRaw<(Row & { stoppedAt: string | null })[]>(sql`${head(way, stretch)},
  met AS MATERIALIZED (
    SELECT l.number, r.* FROM lane l CROSS JOIN LATERAL ${page(along, match, by([...way.columns, ...keys]))} r
    ${each(elsewhere, (source) => sql`UNION ALL SELECT 0, r.* FROM ${page(source, inside, order)} r`)}
  ), stops AS MATERIALIZED (
    SELECT s.* FROM (SELECT * FROM lane WHERE (SELECT count(*) FROM met WHERE met.number = lane.number) < ${most} OFFSET 0) l
    CROSS JOIN LATERAL (SELECT ${join([...keys])} ${along} OFFSET ${looks} - 1 LIMIT ${match.length > 0 ? sql`1` : sql`0`}) s
    ${each(elsewhere, (source) => sql`UNION ALL SELECT ${join([...(forward ? stretch.from : below)])} WHERE EXISTS (SELECT ${source} OFFSET ${looks} - 1)`)}
  ), stop AS MATERIALIZED (SELECT r.* FROM stops r ${order} LIMIT 1),
  shown AS MATERIALIZED (
    SELECT r.* FROM met r
    WHERE ${tuple(keys)} ${forward ? sql`<=` : sql`>=`} ALL (SELECT * FROM stop) ${order} LIMIT ${most}
  )
  SELECT ${fields}, (SELECT id::text FROM stop) AS "stoppedAt" FROM (SELECT) one LEFT JOIN shown r ON true ${order}`)
  const shown = rows.filter((row) => row.id !== null).map(({ stoppedAt: _, ...row }) => row as unknown as Row)
  return { rows: shown, stoppedAt: shown.length < limit ? (rows[0]?.stoppedAt ?? null) : null }
}

/** How many match, of the first so many that are looked at; `atLeast`: there may be more. */
export interface Count {
  readonly count: number
  readonly atLeast: boolean
}

export const countAlong = async (
  db: Sql,
  listed: Listed,
  way: Way,
  stretch: Omit<Stretch, 'limit'>,
): Promise<Count> => {
  // As a sub-select: a plan that sees so high a number may read the whole of a table that is not large.
  const looks = sql`(SELECT ${raw(String(mostCounted + 1))})`
  const along = stretchOf(listed, way, { ...stretch, limit: mostCounted })
  const matches = way.match.length > 0 ? sql`(${join([...way.match], ' AND ')})` : sql`true`
  const [row] = await db.$queryRaw<{ count: number; looked: number }[]>(sql`${head(way, { ...stretch, limit: 0 })},
  looked AS MATERIALIZED (
    SELECT ${matches} AS matches FROM (
      SELECT r.* FROM lane l CROSS JOIN LATERAL (SELECT r.* ${along} LIMIT ${looks}) r
      ${each(way.besides ?? [], (where) => sql`UNION ALL (SELECT r.* FROM ${listed.table} WHERE ${where} LIMIT ${looks})`)}
      LIMIT ${looks}
    ) r
  )
  SELECT count(*)::float8 AS looked, (count(*) FILTER (WHERE matches))::float8 AS count FROM looked`)
  const { count = 0, looked = 0 } = row ?? {}
  return { count: Math.min(count, mostCounted), atLeast: looked > mostCounted }
}

const each = (parts: readonly Fragment[], write: (part: Fragment) => Fragment): Fragment =>
  parts.reduce((before, part) => sql`${before} ${write(part)}`, empty)

/**
 * The first way that is gone to the end of the page. What an index serves is answered whatever there is; where several
 * filters have none together, one serves and the others are looked for among a bounded number of its rows.
 *
 * @throws LapseError `too_broad`, naming the filters
 */
export const listAlong = async <Row extends { readonly id: string }>(
  db: Sql,
  listed: Listed,
  ways: readonly Way[],
  stretch: Stretch,
  filters: object,
  advice: string,
): Promise<Row[]> => {
  for (const way of ways) {
    const { rows, stoppedAt } = await follow<Row>(db, listed, way, stretch)
    if (stoppedAt === null) return rows
  }
  throw tooBroad(filters, advice)
}

/** The exact number, or the largest that is certain. */
export const countAlongAny = async (
  db: Sql,
  listed: Listed,
  ways: readonly Way[],
  stretch: Omit<Stretch, 'limit'>,
): Promise<Count> => {
  let best: Count = { count: 0, atLeast: true }
  for (const way of ways) {
    const found = await countAlong(db, listed, way, stretch)
    if (!found.atLeast) return found
    if (found.count > best.count) best = found
  }
  return best
}

/** @throws LapseError `too_broad` where it is not known exactly */
export const exactly = ({ count, atLeast }: Count): number => {
  if (!atLeast) return count
  throw new LapseError('too_broad', {
    detail: `There are ${count} or more: counting stops after ${mostCounted} rows. Narrow the filter, or ask for the tally, which says how many there are at least.`,
  })
}

/** `filters`: by the names that their callers know, with what was asked for. */
const tooBroad = (filters: object, advice: string): LapseError => {
  const names = Object.entries(filters).flatMap(([name, value]) => (value === undefined ? [] : [snake(name)]))
  return new LapseError('too_broad', {
    ...(names[0] !== undefined && { field: names[0] }),
    detail: `No index has ${names.join(' and ')} together, and what matches is not among the ${mostLooked} rows that one answer looks at. ${advice}`,
  })
}

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
