import type { Database, Sql } from '../database.ts'
import { type Notice, oweNotice } from '../outbox/notice.ts'
import { instant, now, sql } from '../store/live.ts'
import type { Owed } from '../store/record.ts'
import {
  type AlertLimits,
  type AlertName,
  alertNames,
  alerts,
  type Condition,
  examine,
  type Observation,
} from './conditions.ts'

/** Something that an operator should look at. */
export interface Alert {
  readonly name: AlertName
  readonly raised: boolean
  /** When it last was; `null`: never. */
  readonly raisedAt: Date | null
  readonly clearedAt: Date | null
  /** What was last found, in words. */
  readonly detail: string | null
  /** In its own measure: a number, or seconds. */
  readonly value: number | null
  /** What to do about it. */
  readonly advice: string
}

export interface WatchOptions {
  readonly limits?: AlertLimits | undefined
  /** Who is told by mail. */
  readonly operatorEmail?: string | undefined
}

interface Row {
  readonly name: AlertName
  readonly raisedAt: Date
  readonly seenAt: Date
  readonly toldAt: Date
  readonly clearedAt: Date | null
  readonly detail: string
  readonly value: number
}

/** Only then is it over: what comes and goes is raised all the while. */
const calmMs = 5 * 60_000
const tellAgainMs = 60 * 60_000

const readRows = (db: Sql): Promise<Row[]> =>
  db.$queryRaw(sql`
  SELECT name, raised_at AS "raisedAt", seen_at AS "seenAt", told_at AS "toldAt", cleared_at AS "clearedAt", detail, value
  FROM alert`)

/** All there are, raised or not. */
export const listAlerts = async (db: Sql): Promise<Alert[]> => {
  const rows = new Map((await readRows(db)).map((row) => [row.name, row]))
  return alertNames.map((name) => {
    const { raisedAt = null, clearedAt = null, detail = null, value = null } = rows.get(name) ?? {}
    const { advice } = alerts[name]
    return { name, raised: raisedAt !== null && clearedAt === null, raisedAt, clearedAt, detail, value, advice }
  })
}

/**
 * Looks at how everything is, raises and clears alerts, and writes down in the same commit who is to be told. Any process
 * may do it at any time: of several at once one looks, and the others leave it to that one.
 */
export const watch = (database: Database, { limits = {}, operatorEmail }: WatchOptions): Promise<Owed[]> =>
  database.transaction(async (tx) => {
    const [turn] = await tx.$queryRaw<[{ mine: boolean; at: Date }]>(sql`
      SELECT pg_try_advisory_xact_lock(${turnKey}) AS mine, ${now} AS at`)
    if (!turn.mine) return []
    return settleAll(tx, await examine(tx, limits), turn.at, operatorEmail)
  })

/** Raises at once what a process has seen itself. It waits for its turn: no other process has seen it. */
export const report = (
  database: Database,
  { operatorEmail }: Pick<WatchOptions, 'operatorEmail'>,
  observation: Observation,
): Promise<Owed[]> =>
  database.transaction(async (tx) => {
    await tx.$executeRaw(sql`SELECT pg_advisory_xact_lock(${turnKey})`)
    const [clock] = await tx.$queryRaw<[{ at: Date }]>(sql`SELECT ${now} AS at`)
    return settleAll(tx, [{ ...observation, isSo: true }], clock.at, operatorEmail)
  })

const turnKey = sql`hashtextextended(current_schema() || '.alert', 0)`

const settleAll = async (
  tx: Sql,
  conditions: readonly Condition[],
  at: Date,
  operatorEmail: string | undefined,
): Promise<Owed[]> => {
  const rows = new Map((await readRows(tx)).map((row) => [row.name, row]))
  const owed: Owed[] = []
  for (const condition of conditions) {
    const notice = await settle(tx, condition, rows.get(condition.name), at)
    if (notice) owed.push(...(await oweNotice(tx, notice, await whom(tx, operatorEmail))))
  }
  return owed
}

/** What becomes of one alert, and what is to be told of that. */
const settle = async (db: Sql, condition: Condition, row: Row | undefined, at: Date): Promise<Notice | undefined> => {
  const { name, isSo, value, detail, repeats } = condition
  const since = (then: Date) => at.getTime() - then.getTime()
  const raised = row?.clearedAt === null ? row : undefined
  if (!isSo) {
    if (!raised || since(raised.seenAt) < calmMs) return undefined
    await db.$executeRaw(sql`UPDATE alert SET cleared_at = ${instant(at.getTime())} WHERE name = ${name}`)
    return clearedNotice(raised, at)
  }
  const raisedAt = raised?.raisedAt ?? at
  const tells = !raised || (repeats && since(raised.toldAt) >= tellAgainMs)
  const toldAt = tells ? at : raised.toldAt
  await db.$executeRaw(sql`
    INSERT INTO alert (name, raised_at, seen_at, told_at, detail, value)
    VALUES (${name}, ${instant(raisedAt.getTime())}, ${instant(at.getTime())}, ${instant(toldAt.getTime())}, ${detail}, ${value}::float8)
    ON CONFLICT (name) DO UPDATE SET raised_at = excluded.raised_at, seen_at = excluded.seen_at, told_at = excluded.told_at,
      cleared_at = NULL, detail = excluded.detail, value = excluded.value`)
  return tells ? raisedNotice(condition, raisedAt) : undefined
}

const raisedNotice = ({ name, detail, value }: Condition, raisedAt: Date): Notice => {
  const { title, advice } = alerts[name]
  return {
    type: 'lapse.alert.raised',
    data: { name, title, detail, value, advice, raised_at: raisedAt, cleared_at: null },
    letter: { subject: `Lapse: ${title}`, lines: [detail, `It is so since ${spelled(raisedAt)}.`, advice, why] },
  }
}

const clearedNotice = ({ name, detail, value, raisedAt }: Row, at: Date): Notice => {
  const { title, calm, advice } = alerts[name]
  const was = `The alert "${title}" was raised at ${spelled(raisedAt)} and is over since ${spelled(at)}.`
  return {
    type: 'lapse.alert.cleared',
    data: { name, title: calm, detail, value, advice, raised_at: raisedAt, cleared_at: at },
    letter: { subject: `Lapse: ${calm}`, lines: [was, `The last that was found: ${detail}`, why] },
  }
}

const why = 'You get this because you are its operator: LAPSE_OPERATOR_EMAIL is your address.'

/** `2026-11-21 17:06:00 UTC` */
const spelled = (at: Date): string => `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`

/** The operator, and endpoints that ask for alerts by name, unless they are one organization's. */
const whom = async (db: Sql, operatorEmail: string | undefined) => {
  const endpoints = await db.$queryRaw<{ id: string }[]>(sql`
    SELECT id FROM webhook_endpoint WHERE status = 'enabled' AND organization_id IS NULL AND 'alert' = ANY (events)`)
  return [
    ...(operatorEmail === undefined ? [] : [{ channel: 'email' as const, target: operatorEmail }]),
    ...endpoints.map(({ id }) => ({ channel: 'webhook' as const, target: id })),
  ]
}
