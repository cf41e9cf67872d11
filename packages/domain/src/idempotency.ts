import type { Database, Sql } from './database.ts'
import { LapseError } from './errors.ts'
import type { Prisma } from './generated/prisma/client.ts'
import { now, raw, sql } from './store/live.ts'

/** A request that may come again. `fingerprint` is a hash of what was asked for, `owner` of who asked. */
export interface Request {
  readonly owner: string
  readonly key: string
  readonly fingerprint: string
  /** What it locks first, where that is known; see `LockQueue`. */
  readonly locks?: string | undefined
}

/**
 * Runs `act` once for each key and keeps its answer, in one transaction with what it does: a process that dies leaves
 * neither, and the request can come again.
 *
 * @throws LapseError `idempotency_running` while the first one runs, `idempotency_mismatch` for another request.
 */
export const once = <T extends object>(
  database: Database,
  request: Request,
  act: (tx: Prisma.TransactionClient) => Promise<T>,
): Promise<{ answer: T; replayed: boolean }> => database.locks.run(request.locks, () => onceIn(database, request, act))

const onceIn = <T extends object>(
  database: Database,
  request: Request,
  act: (tx: Prisma.TransactionClient) => Promise<T>,
): Promise<{ answer: T; replayed: boolean }> =>
  database.transaction(async (tx) => {
    const { owner, key, fingerprint } = request
    const [lock] = await tx.$queryRaw<{ mine: boolean }[]>(
      sql`SELECT pg_try_advisory_xact_lock(hashtextextended(${`${owner}\n${key}`}, 0)) AS mine`,
    )
    if (!lock?.mine) throw new LapseError('idempotency_running', { detail: 'Ask again in a moment.' })
    const [known] = await tx.$queryRaw<{ fingerprint: string; answer: T }[]>(
      sql`SELECT fingerprint, answer FROM idempotency_key WHERE owner = ${owner} AND key = ${key}`,
    )
    if (known && known.fingerprint !== fingerprint)
      throw new LapseError('idempotency_mismatch', { detail: 'Use a new key for a new request.' })
    if (known) return { answer: known.answer, replayed: true }
    const answer = await act(tx)
    await tx.$executeRaw(sql`
        INSERT INTO idempotency_key (owner, key, fingerprint, answer, created_at)
        VALUES (${owner}, ${key}, ${fingerprint}, ${JSON.stringify(answer)}::jsonb, ${now})`)
    return { answer, replayed: false }
  }, longestMs)

/** What is asked for decides; a large organization may take its time. */
const longestMs = 5 * 60_000

/** What became known only after the commit. */
export const amendAnswer = async (db: Sql, { owner, key }: Request, answer: object): Promise<void> => {
  await db.$executeRaw(
    sql`UPDATE idempotency_key SET answer = ${JSON.stringify(answer)}::jsonb WHERE owner = ${owner} AND key = ${key}`,
  )
}

/** Forgets up to `limit` answers that are older than a day, and says how many. */
export const purgeAnswers = (db: Sql, limit: number): Promise<number> =>
  db.$executeRaw(sql`
  WITH old AS MATERIALIZED (
    SELECT owner, key FROM idempotency_key WHERE created_at < (SELECT ${now}) - interval '1 day'
    ORDER BY created_at LIMIT ${raw(String(Math.trunc(limit)))}
    FOR UPDATE SKIP LOCKED
  )
  DELETE FROM idempotency_key k USING old WHERE k.owner = old.owner AND k.key = old.key`)
