import type { Sql } from '../database.ts'
import type { Channel } from '../kind.ts'
import { eraseEnclosed } from '../store/enclosed.ts'
import { empty, type Fragment, milliseconds, now, sql } from '../store/live.ts'
import { suppressing } from '../suppressions.ts'
import { storableStart } from '../text.ts'
import { breakerOf, breakerThreshold, probeDelay, shareOf } from './lanes.ts'

/** What the receiver answered to an attempt: HTTP's or SMTP's code, and the beginning of the text, without secrets. */
export interface Answer {
  readonly code?: number | undefined
  readonly answer?: string | undefined
}

/** What an attempt says of the receiver, for its circuit breaker; nothing when it failed before the receiver was asked. */
export interface Health {
  /** `holdMs`: the receiver wants to be left alone for so long. */
  readonly receiver?: 'up' | { readonly down: true; readonly holdMs?: number } | undefined
}

export type AttemptOutcome = Answer &
  Health &
  (
    | { readonly status: 'sent' }
    /** `ours`: it failed before the receiver was asked. */
    | { readonly status: 'failed'; readonly error: string; readonly retryInMs: number; readonly ours?: boolean }
    /** `bounced`: the address of a mail that does not exist, and gets no more mail. */
    | { readonly status: 'dead'; readonly error: string; readonly ours?: boolean; readonly bounced?: string }
    /** Sent whole, and no answer came. Without `retryInMs` it is not repeated by itself. */
    | { readonly status: 'unknown'; readonly error: string; readonly retryInMs?: number | undefined }
    /** By the end of its process, or because its turn did not come: no try, and due again at once. */
    | { readonly status: 'interrupted'; readonly error: string }
  )

/**
 * Extends the lease right before the last byte of a message goes out, and records that it does. `false` when the lease is
 * lost, or the delivery was cancelled meanwhile: then nothing may be sent. A process that is paused after this, for less than
 * `answerMs`, gets no second copy sent by another; one that dies leaves an attempt whose outcome is unknown.
 */
export const beginSending = async (db: Sql, id: string, attempt: number, answerMs: number): Promise<boolean> => {
  const sending = await db.$queryRaw<object[]>(sql`
  WITH mine AS (
    UPDATE delivery SET leased_until = greatest(leased_until, ${now} + ${milliseconds(answerMs)})
    WHERE id = ${id}::uuid AND attempts = ${attempt}::int AND status IN ('pending', 'failed') AND leased_until > ${now}
    RETURNING id
  )
  UPDATE delivery_attempt a SET status = 'sending' FROM mine WHERE a.delivery_id = mine.id AND a.number = ${attempt}::int
  RETURNING 1 AS one`)
  return sending.length > 0
}

/**
 * Writes down how an attempt ended, and answers what was tried. An attempt that has lost its lease to a later one changes
 * nothing but the log. The sealed request of a call is erased with its success; an endpoint with a success fails no more.
 * Its circuit breaker counts what the attempt says of the receiver in the same commit.
 */
export const completeDelivery = async (
  db: Sql,
  id: string,
  attempt: number,
  durationMs: number,
  outcome: AttemptOutcome,
): Promise<{ readonly channel: Channel; readonly target: string } | undefined> => {
  if (outcome.status === 'interrupted') {
    await giveBackDelivery(db, id, attempt, durationMs, outcome.error)
    return undefined
  }
  const error = outcome.status === 'sent' ? null : storableStart(outcome.error, 500)
  const again = outcome.status === 'failed' || outcome.status === 'unknown'
  const retryInMs = again ? (outcome.retryInMs ?? null) : null
  const answer = outcome.answer === undefined ? null : storableStart(outcome.answer, 1_000)
  const status = outcome.status !== 'unknown' ? outcome.status : retryInMs === null ? 'dead' : 'failed'
  const [tried] = await db.$queryRaw<{ channel: Channel; target: string }[]>(sql`
  WITH attempt AS (
    UPDATE delivery_attempt SET status = ${outcome.status}, duration_ms = ${Math.round(durationMs)}::int, error = ${error},
      code = ${outcome.code ?? null}::int, answer = ${answer}, next_at = ${now} + ${retryInMs}::float8 * interval '1 millisecond'
    WHERE delivery_id = ${id}::uuid AND number = ${attempt}::int
    RETURNING at
  ), settled AS (
    UPDATE delivery d SET status = ${status}::lapse_delivery_status, last_error = ${error}, leased_until = NULL, ready = false,
      sealed = CASE WHEN ${status} = 'sent' THEN NULL ELSE sealed END,
      next_attempt_at = ${now} + ${retryInMs}::float8 * interval '1 millisecond',
      settled_at = CASE WHEN ${retryInMs}::float8 IS NULL THEN ${now} END
    WHERE id = ${id}::uuid AND status IN ('pending', 'failed') AND attempts = ${attempt}::int
    RETURNING resource_id, channel, target, status, lane, ${shareOf(sql`d`)} AS share
  ), erased AS (${eraseEnclosed(sql`settled`)}), ${counted(outcome)} ${suppressed(outcome)} recovered AS (
    UPDATE webhook_endpoint w SET failing_since = NULL FROM settled s
    WHERE s.status = 'sent' AND w.id = CASE s.channel WHEN 'webhook' THEN s.target::uuid END
      AND w.status = 'enabled' AND w.failing_since IS NOT NULL
  )
  SELECT channel, target FROM settled`)
  return tried
}

/** An attempt that has lost its lease says nothing of its address either. */
const suppressed = (outcome: AttemptOutcome): Fragment =>
  outcome.status === 'dead' && outcome.bounced !== undefined
    ? sql`suppressed AS (${suppressing(outcome.bounced, 'bounced', outcome.answer ?? outcome.error, sql`settled`)}),`
    : empty

const key = breakerOf(sql`s.channel`, sql`s.share`, sql`s.lane`)

/**
 * The circuit breaker: closed by any attempt that found the receiver up. Of those that were under way when it opened none
 * counts again, or the first probe would wait as long as after many.
 */
const counted = ({ receiver }: Health): Fragment => {
  if (receiver === undefined) return empty
  if (receiver === 'up')
    return sql`closed AS (
      UPDATE outbox_lane b SET failures = 0, opened_at = NULL, next_probe_at = NULL, changed_at = ${now} FROM settled s
      WHERE b.channel = s.channel AND b.lane = ${key} AND (b.failures > 0 OR b.opened_at IS NOT NULL)
    ),`
  const failures = sql`b.failures + 1`
  const hold = receiver.holdMs ?? 0
  const opens = (count: Fragment) => sql`(${count} >= ${breakerThreshold}::int OR ${hold}::float8 > 0)`
  const probe = (count: Fragment) => sql`${now} + greatest(${probeDelay(count)}, ${milliseconds(hold)})`
  return sql`opened AS (
    INSERT INTO outbox_lane AS b (channel, lane, failures, opened_at, next_probe_at, changed_at)
    SELECT s.channel, ${key}, 1, CASE WHEN ${opens(sql`1`)} THEN ${now} END, CASE WHEN ${opens(sql`1`)} THEN ${probe(sql`1`)} END, ${now}
    FROM settled s
    ON CONFLICT (channel, lane) DO UPDATE SET failures = ${failures}, changed_at = excluded.changed_at,
      opened_at = CASE WHEN ${opens(failures)} THEN coalesce(b.opened_at, excluded.changed_at) END,
      next_probe_at = CASE WHEN ${opens(failures)} THEN ${probe(failures)} END
    WHERE b.opened_at IS NULL OR (SELECT at FROM attempt) >= b.opened_at
  ),`
}

/** For another attempt, as if there had been none: its lease ends, and it has been due since before. */
const giveBackDelivery = async (db: Sql, id: string, attempt: number, durationMs: number, error: string) => {
  await db.$executeRaw(sql`
  WITH attempt AS (
    UPDATE delivery_attempt SET status = 'interrupted', duration_ms = ${Math.round(durationMs)}::int, error = ${error}
    WHERE delivery_id = ${id}::uuid AND number = ${attempt}::int
  )
  UPDATE delivery SET tries = tries - 1, leased_until = NULL, ready = true
  WHERE id = ${id}::uuid AND status IN ('pending', 'failed') AND attempts = ${attempt}::int`)
}
