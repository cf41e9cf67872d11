import { validate as isUuid } from 'uuid'
import type { Sql } from './database.ts'
import { canonicalAddress } from './directory/address.ts'
import { LapseError } from './errors.ts'
import { empty, type Fragment, now, sql } from './store/live.ts'
import { storableStart } from './text.ts'

/** `unsubscribed`: gets no reminders; `bounced`: gets no mail at all. */
export type SuppressionReason = 'unsubscribed' | 'bounced'

/** An address that is not to be written to. */
export interface Suppression {
  readonly id: string
  /** As addresses are compared. */
  readonly address: string
  readonly reason: SuppressionReason
  readonly detail: string | null
  readonly at: Date
}

const fields = sql`s.id, s.address, s.reason, s.detail, s.at`

/** As addresses are compared, and as people write it who use letters that DNS does not have. */
const formsOf = (address: string): { address: string; spelled: string } => {
  try {
    const { email, canonical } = canonicalAddress('address', address)
    return { address: canonical, spelled: email.toLowerCase() }
  } catch {
    // A kind may write to what is no address of the internet, such as root@localhost.
    const folded = address.trim().toLowerCase()
    return { address: folded, spelled: folded }
  }
}

/** For a delivery `row`: whether it must not go out, and why, in the column `why`. The graver reason first. */
export const suppressionOf = (row: Fragment): Fragment => sql`
  LATERAL (SELECT s.reason, CASE s.reason WHEN 'bounced'
      THEN 'its address has bounced (' || coalesce(s.detail, 'no detail') || '): lift that with DELETE /v1/mail-suppressions/' || s.id || ', and retry'
      ELSE 'its address is unsubscribed from reminders' END AS why
    FROM mail_suppression s
    WHERE ${row}.channel = 'email' AND lower(${row}.target) IN (s.address, s.spelled)
      AND (s.reason = 'bounced' OR ${row}.event LIKE 'reminded:%')
    ORDER BY s.reason LIMIT 1)`

/** The same address for the same reason is written down once. */
export const suppress = async (
  db: Sql,
  address: string,
  reason: SuppressionReason,
  detail: string | undefined,
): Promise<void> => {
  await db.$executeRaw(suppressing(address, reason, detail, sql`(VALUES (true)) AS always`))
}

/** The statement that does so if there is a row in `source`. */
export const suppressing = (
  address: string,
  reason: SuppressionReason,
  detail: string | undefined,
  source: Fragment,
): Fragment => {
  const forms = formsOf(address)
  return sql`
    INSERT INTO mail_suppression (address, spelled, reason, detail, at)
    SELECT ${forms.address}, ${forms.spelled}, ${reason}, ${detail === undefined ? null : storableStart(detail, 500)}, ${now}
    FROM ${source} LIMIT 1
    ON CONFLICT (address, reason) DO NOTHING`
}

/**
 * A mail has come back: it is dead, and nobody writes to its address again until somebody lifts that. Whoever is sending it
 * at this moment changes nothing any more. `false` when it is no mail.
 */
export const bounceDelivery = async (db: Sql, id: string, detail: string | undefined): Promise<boolean> => {
  if (!isUuid(id)) return false
  const [bounced] = await db.$queryRaw<{ target: string }[]>(sql`
    UPDATE delivery SET status = 'dead', settled_at = coalesce(settled_at, ${now}), next_attempt_at = NULL,
      leased_until = NULL, last_error = ${storableStart(`bounced${detail === undefined ? '' : `: ${detail}`}`, 500)}
    WHERE id = ${id}::uuid AND channel = 'email' RETURNING target`)
  if (bounced) await suppress(db, bounced.target, 'bounced', detail)
  return bounced !== undefined
}

/** Why no mail would reach this address, if so. */
export const findBounce = async (db: Sql, address: string): Promise<Suppression | undefined> => {
  const [found] = await db.$queryRaw<Suppression[]>(sql`
    SELECT ${fields} FROM mail_suppression s WHERE s.address = ${formsOf(address).address} AND s.reason = 'bounced'`)
  return found
}

export interface SuppressionFilter {
  readonly address?: string | undefined
}

/** Newest first. */
export const listSuppressions = (
  db: Sql,
  { address }: SuppressionFilter,
  { before, limit }: { before?: string | undefined; limit: number },
): Promise<Suppression[]> =>
  db.$queryRaw(sql`
    SELECT ${fields} FROM mail_suppression s WHERE true
      ${address === undefined ? empty : sql`AND s.address = ${formsOf(address).address}`}
      ${before === undefined ? empty : sql`AND s.id < ${before}::uuid`}
    ORDER BY s.id DESC LIMIT ${limit}::int`)

/** It may be written to again. @throws LapseError `not_found` */
export const liftSuppression = async (db: Sql, id: string): Promise<Suppression> => {
  const [lifted] = isUuid(id)
    ? await db.$queryRaw<Suppression[]>(
        sql`DELETE FROM mail_suppression s WHERE s.id = ${id}::uuid RETURNING ${fields}`,
      )
    : []
  if (!lifted) throw new LapseError('not_found', { detail: 'There is no such suppression; it may have been lifted.' })
  return lifted
}
