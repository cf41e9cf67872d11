import type { Sql } from '../database.ts'
import { columns, isLive, now, sql } from '../store/live.ts'
import type { ProvableRow } from '../store/read.ts'

/** How many wrong codes it takes to lock one. */
export const wrongCodes = 5

/** Whoever wants a verification with this reference waits here for whoever was first, until the commit. */
export const queueFor = (db: Sql, reference: string) =>
  db.$queryRaw(sql`SELECT pg_advisory_xact_lock(hashtextextended(${`verification\n${reference}`}, 0))::text`)

/** The newest with this reference, locked: of many who guess at once, each is judged after the one before. */
export const lockNewest = async (db: Sql, reference: string): Promise<ProvableRow | undefined> => {
  const [row] = await db.$queryRaw<ProvableRow[]>(sql`
    WITH locked AS MATERIALIZED (
      SELECT * FROM resource WHERE kind = 'verification' AND reference = ${reference}
      ORDER BY status IN ('active', 'grace') DESC, id DESC LIMIT 1
      FOR UPDATE
    ), looked AS MATERIALIZED (
      SELECT *, ${now} AS at FROM locked
    )
    SELECT ${columns(sql`r`, sql`r.at`)}, ${isLive(sql`r`, sql`r.at`)} AS live, r.verifier, r.attempts FROM looked r`)
  return row
}

/** One wrong code more; answers how many there were. Of nothing there are none. */
export const countWrong = async (db: Sql, id: string | null): Promise<number> => {
  const [row] = await db.$queryRaw<{ attempts: number }[]>(sql`
    UPDATE resource SET attempts = attempts + 1 WHERE id = ${id}::uuid AND attempts < ${wrongCodes}::int
    RETURNING attempts`)
  return row?.attempts ?? 0
}

/** How many wrong codes an address may be tried with in an hour, whatever number of codes was sent to it. */
export const guessesAnHour = 25

export const recentGuesses = async (db: Sql, reference: string): Promise<number> => {
  const [row] = await db.$queryRaw<{ guesses: number }[]>(sql`
    SELECT coalesce(sum(attempts), 0)::int AS guesses FROM resource
    WHERE kind = 'verification' AND reference = ${reference} AND issued_at > ${now} - interval '1 hour'`)
  return row?.guesses ?? 0
}
