import { isUnavailable, type Sql } from './database.ts'
import { type Secrets, sealPrefixLength } from './secret.ts'
import { type Fragment, now, sql } from './store/live.ts'

interface Place {
  readonly what: string
  readonly table: Fragment
  readonly column: Fragment
  /** What the sealed bytes are bound to. */
  readonly boundTo: Fragment
}

/**
 * Everything in the database that a key has sealed. Whatever is sealed elsewhere would be lost with its key: a test compares
 * this with the columns that there are.
 */
const places: readonly Place[] = [
  { what: 'mails that wait', table: sql`delivery`, column: sql`sealed`, boundTo: sql`resource_id` },
  { what: 'webhook endpoints', table: sql`webhook_endpoint`, column: sql`sealed`, boundTo: sql`id` },
  { what: 'calls', table: sql`resource`, column: sql`enclosed`, boundTo: sql`id` },
]

export const sealedColumns: readonly string[] = ['delivery.sealed', 'webhook_endpoint.sealed', 'resource.enclosed']

const prefixOf = (column: Fragment): Fragment => sql`substring(${column} from 1 for 4)`
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytesOf = (text: string): Fragment => sql`decode(${text}, 'hex')`

/** Below are those of version 1, which do not name their key. */
const named = `02${'00'.repeat(sealPrefixLength - 1)}`
const mostKeys = 50
/** Of those that do not name their key so many are opened, to see whose they are. */
const sample = 20

interface SealedRow {
  id: string
  boundTo: string
  bytes: Uint8Array
}

/** What a key is needed for. */
export interface KeyUse {
  /** Its place in `LAPSE_SECRET`, 0 for the first; `undefined` when it is not there. */
  readonly place: number | undefined
  readonly what: string
  /** Of what it has signed: until then. What it has sealed is sealed anew instead. */
  readonly until?: Date
}

/** Which keys are needed, and by what; a few index entries for each key. */
export const keyUses = async (db: Sql, secrets: Secrets): Promise<KeyUse[]> => {
  const placeOf = (prefix: string) => {
    const found = secrets.keys.findIndex((key) => hex(key.prefix) === prefix)
    return found < 0 ? undefined : found
  }
  const uses: KeyUse[] = []
  for (const place of places) {
    const { what } = place
    for (const prefix of await prefixesIn(db, place)) uses.push({ place: placeOf(prefix), what })
    const unnamed = await rowsBetween(db, place, { from: '', id: '', to: named, limit: sample })
    const whose = new Set(unnamed.map(({ boundTo, bytes }) => secrets.tryOpen(boundTo, bytes)?.place))
    for (const index of whose) uses.push({ place: index, what })
  }
  const signed = await db.$queryRaw<{ id: string; until: Date }[]>(
    sql`SELECT id, needed_until AS until FROM secret_key WHERE needed_until > ${now} ORDER BY id LIMIT ${mostKeys}::int`,
  )
  for (const { id, until } of signed) {
    const found = secrets.keys.findIndex(({ signerId }) => signerId === id)
    uses.push({ place: found < 0 ? undefined : found, what: 'JWTs and codes that were mailed', until })
  }
  return uses
}

/** The prefixes that stand there, each found by one look into the index. */
const prefixesIn = async (db: Sql, { table, column }: Place): Promise<string[]> => {
  const least = (after: Fragment) => sql`(SELECT ${prefixOf(column)} FROM ${table}
    WHERE ${column} IS NOT NULL AND ${prefixOf(column)} ${after} ORDER BY 1 LIMIT 1)`
  const rows = await db.$queryRaw<{ prefix: string }[]>(sql`
    WITH RECURSIVE found AS (
      SELECT ${least(sql`>= ${bytesOf(named)}`)} AS prefix
      UNION ALL SELECT ${least(sql`> f.prefix`)} FROM found f WHERE f.prefix IS NOT NULL
    )
    SELECT encode(prefix, 'hex') AS prefix FROM found WHERE prefix IS NOT NULL LIMIT ${mostKeys}::int`)
  return rows.map(({ prefix }) => prefix)
}

interface Span {
  /** Begins after this prefix and id; hex. */
  readonly from: string
  readonly id: string
  /** Ends before this prefix. */
  readonly to: string
  readonly limit: number
}

const nobody = '00000000-0000-0000-0000-000000000000'

const rowsBetween = (db: Sql, { table, column, boundTo }: Place, { from, id, to, limit }: Span): Promise<SealedRow[]> =>
  db.$queryRaw(sql`
    SELECT id::text, ${boundTo}::text AS "boundTo", ${column} AS bytes FROM ${table}
    WHERE ${column} IS NOT NULL AND (${prefixOf(column)}, id) > (${bytesOf(from)}, ${id || nobody}::uuid)
      AND ${prefixOf(column)} < ${bytesOf(to)}
    ORDER BY ${prefixOf(column)}, id LIMIT ${limit}::int`)

export interface Resealed {
  /** So many are sealed by the first key now. */
  readonly resealed: number
  /** So many are sealed by a key that is not in `LAPSE_SECRET`. */
  readonly unreadable: number
}

export interface ResealOptions {
  /** Rows in a statement. Default: 500. */
  readonly batch?: number
  readonly signal?: AbortSignal
  /** Waited for after each batch. */
  readonly onBatch?: () => Promise<void>
}

/** Reasons not to start: what stands in the database could not be opened, and would fail when its time comes. */
export const missingKeys = async (db: Sql, secrets: Secrets): Promise<string[]> => {
  // A table that is locked for long, as by a migration, is no reason not to start.
  const uses = await keyUses(db, secrets).catch((error) => {
    if (isUnavailable(error)) return []
    throw error
  })
  const missing = [...new Set(uses.flatMap(({ place, what, until }) => (place === undefined && !until ? [what] : [])))]
  if (missing.length === 0) return []
  return [
    `LAPSE_SECRET lacks a key that sealed ${missing.join(' and ')}: they could not be sent. Put the old key behind the new one, LAPSE_SECRET=new,old, until "lapse secrets rotate" has sealed them anew.`,
  ]
}

/**
 * Seals under the first key what another has sealed, in batches. Others may do the same, and what is sealed may change meanwhile: a row
 * that is no longer as it was read is left as it is.
 *
 * @throws LapseError `not_configured`
 */
export const resealAll = async (
  db: Sql,
  secrets: Secrets,
  { batch = 500, signal, onBatch }: ResealOptions = {},
): Promise<Resealed> => {
  secrets.mustHaveKey()
  const [current] = secrets.keys.map(({ prefix }) => hex(prefix))
  const sum = { resealed: 0, unreadable: 0 }
  for (const place of places)
    for (const [first, to] of [
      ['', current ?? ''],
      [`${current}`, 'ff'.repeat(sealPrefixLength + 1)],
    ] as const) {
      // Past all rows of the first key itself.
      let after = { from: first, id: first === '' ? '' : 'ffffffff-ffff-ffff-ffff-ffffffffffff' }
      for (;;) {
        if (signal?.aborted) return sum
        const rows = await rowsBetween(db, place, { ...after, to, limit: batch })
        const last = rows.at(-1)
        if (!last) break
        const done = await reseal(db, secrets, place, rows)
        sum.resealed += done.resealed
        sum.unreadable += done.unreadable
        after = { from: hex(last.bytes.subarray(0, sealPrefixLength)), id: last.id }
        await onBatch?.()
      }
    }
  return sum
}

const reseal = async (
  db: Sql,
  secrets: Secrets,
  { table, column }: Place,
  rows: readonly SealedRow[],
): Promise<Resealed> => {
  const opened = rows.flatMap(({ id, boundTo, bytes }) => {
    const said = secrets.tryOpen(boundTo, bytes)
    return said ? [{ id, was: hex(bytes), is: hex(secrets.seal(boundTo, said.secrets)) }] : []
  })
  const resealed = await db.$executeRaw(sql`
    UPDATE ${table} t SET ${column} = decode(n.is_now, 'hex')
    FROM unnest(${opened.map(({ id }) => id)}::uuid[], ${opened.map(({ was }) => was)}::text[], ${opened.map((one) => one.is)}::text[])
      AS n(id, was, is_now)
    WHERE t.id = n.id AND t.${column} = decode(n.was, 'hex')`)
  return { resealed, unreadable: rows.length - opened.length }
}

/**
 * Writes down that the first key has signed something that is good until then; of a code, for a day. To the hour, so that it is written
 * once an hour at most, whatever is signed meanwhile: where it is known already no lock is taken.
 */
export const noteSigned = async (db: Sql, secrets: Secrets, what: { until: Date } | 'code'): Promise<void> => {
  const { id } = secrets.signer
  const end =
    what === 'code' ? sql`${now} + interval '1 day'` : sql`to_timestamp(${what.until.getTime()}::float8 / 1000)`
  const at = sql`date_trunc('hour', ${end} + interval '1 hour')`
  await db.$executeRaw(sql`
    INSERT INTO secret_key AS k (id, needed_until)
    SELECT ${id}, ${at} WHERE NOT EXISTS (SELECT FROM secret_key WHERE id = ${id} AND needed_until >= ${at})
    ON CONFLICT (id) DO UPDATE SET needed_until = greatest(k.needed_until, excluded.needed_until)`)
}
