import type { Sql } from './database.ts'
import { Prisma } from './generated/prisma/client.ts'

/**
 * No statement waits longer for a lock. In every session, for a statement of its own has no transaction to set it in. Less than
 * half of the four seconds that are promised: whoever is not the first to wait for a row waits twice, for their turn and then
 * for the row, and PostgreSQL counts each wait for itself.
 */
export const lockTimeoutMs = 1_500

/**
 * What our statements, and whatever parses their answers, rely on, as PostgreSQL shows it. `ALTER ROLE … SET` and `ALTER DATABASE … SET`
 * may have said otherwise, so each session is given these when it begins: instants that cannot be read are an error after the
 * commit, and another isolation turns every guard into a conflict.
 */
const needed = {
  // The Prisma adapter stores wrong instants in any other zone.
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  array_nulls: 'on',
  standard_conforming_strings: 'on',
  transform_null_equals: 'off',
  // Guards are conditions of statements that see what has been committed before them.
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
} as const

/** As startup options: they win over what a role or a database is set to. */
export const sessionOptions = (searchPath: string | undefined, waitMs = lockTimeoutMs): string => {
  // None of our statements profits from a plan for its values, and planning costs more than the work.
  const wanted = { plan_cache_mode: 'force_generic_plan', lock_timeout: `${waitMs}` }
  return Object.entries({ ...needed, ...wanted, ...(searchPath !== undefined && { search_path: searchPath }) })
    .map(([name, value]) => `-c ${name}=${value.replace(/[\\ ]/g, '\\$&')}`)
    .join(' ')
}

/**
 * Why instants and guards could not be relied on in such a session, each with what to do: it was begun by a pooler that passes no
 * options on. Triggers are checked beside it: the audit's protection is one.
 */
export const sessionProblems = async (db: Sql): Promise<string[]> => {
  const expected = { ...needed, session_replication_role: 'origin' }
  const rows = await db.$queryRaw<{ name: string; value: string }[]>(Prisma.sql`
    SELECT n AS name, current_setting(n) AS value FROM unnest(${Object.keys(expected)}::text[]) AS n`)
  return rows.flatMap(({ name, value }) => {
    const right = expected[name as keyof typeof expected]
    return value === right ? [] : [problemOf(name, value, right)]
  })
}

const problemOf = (name: string, value: string, right: string): string =>
  `PostgreSQL sessions run with ${name} = '${value}', and Lapse relies on '${right}'. A pooler in between has to pass the startup options on; where it cannot, run: ALTER ROLE <the application's> SET ${name} = '${right}'.`

/** An instant, a fraction, bytes and an empty place: read back as they were written, by whatever reads the answers here. */
export const readBack = async (db: Sql): Promise<string[]> => {
  const sent = { instant: new Date(Date.UTC(2024, 5, 1, 12, 0, 0, 123)), bytes: Buffer.from([0, 92, 255]) }
  const [got] = await db.$queryRaw<
    { instant: unknown; seconds: unknown; bytes: unknown; places: unknown }[]
  >(Prisma.sql`
    SELECT ${sent.instant}::timestamptz(3) AS instant, extract(epoch FROM ${sent.instant}::timestamptz)::float8 AS seconds,
      ${sent.bytes}::bytea AS bytes, '{a,NULL}'::text[] AS places`)
  const { instant, seconds, bytes, places } = got ?? {}
  const isRight = {
    'an instant': instant instanceof Date && instant.getTime() === sent.instant.getTime(),
    'a fraction of a second': seconds === sent.instant.getTime() / 1_000,
    bytes: bytes instanceof Uint8Array && sent.bytes.equals(bytes),
    'an empty place of an array': Array.isArray(places) && places[1] === null,
  }
  return Object.entries(isRight).flatMap(([what, right]) =>
    right
      ? []
      : [
          `PostgreSQL's answers are read wrongly here: ${what} comes back as something else. See docs/deploy.md, "Poolers".`,
        ],
  )
}
