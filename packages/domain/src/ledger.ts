import { validate as isUuid } from 'uuid'
import { lastOf } from './cascade.ts'
import type { Sql } from './database.ts'
import { LapseError } from './errors.ts'
import type { Channel } from './kind.ts'
import { probed } from './outbox/circuits.ts'
import { shareOf } from './outbox/lanes.ts'
import { belongsTo, deliveryConditions, deliveryFields } from './store/delivery-list.ts'
import { eraseEnclosed } from './store/enclosed.ts'
import { empty, type Fragment, join, now, sql } from './store/live.ts'
import type { Owed } from './store/record.ts'
import { leastId } from './store/uuid-time.ts'

export const deliveryStatuses = ['pending', 'sent', 'failed', 'dead', 'cancelled'] as const
export type DeliveryStatus = (typeof deliveryStatuses)[number]

export { countDeliveries, listDeliveries } from './store/delivery-list.ts'

/** One side effect to one target. */
export interface Delivery {
  /** The idempotency key. */
  readonly id: string
  /** `null`: of no resource, but a notice. */
  readonly resourceId: string | null
  readonly kind: string
  readonly version: number
  /** The event's type, numbered where it may happen twice: `reminded:86400`. */
  readonly event: string
  readonly channel: Channel
  readonly target: string
  readonly status: DeliveryStatus
  readonly attempts: number
  readonly nextAttemptAt: Date | null
  readonly lastError: string | null
  readonly createdAt: Date
  readonly settledAt: Date | null
}

const fields = deliveryFields(sql`d`)

export const attemptStatuses = ['started', 'sending', 'sent', 'failed', 'dead', 'unknown', 'interrupted'] as const
export type AttemptStatus = (typeof attemptStatuses)[number]

/** One attempt at a delivery; `durationMs` is `null` while it runs, or when its process died. */
export interface Attempt {
  readonly number: number
  readonly at: Date
  readonly durationMs: number | null
  /**
   * `sending`: the last byte may be out, and no answer has come; `unknown`: none came. `interrupted`: its process stopped, or
   * its turn did not come; that counts as no try.
   */
  readonly status: AttemptStatus
  readonly error: string | null
  readonly code: number | null
  readonly answer: string | null
  /** When it was to be tried again. */
  readonly nextAt: Date | null
}

export interface DeliveryFilter {
  readonly status?: DeliveryStatus | undefined
  readonly channel?: Channel | undefined
  readonly kind?: string | undefined
  /** The event's type, whatever its number: `reminded`. */
  readonly event?: string | undefined
  /** An address, an endpoint's id, a handler's name. */
  readonly target?: string | undefined
  readonly resourceId?: string | undefined
  /** By its id: of what was issued in it; webhooks of its own endpoints. */
  readonly organizationId?: string | undefined
  /** Written down at this instant or later. */
  readonly since?: Date | undefined
  /** Written down before this instant. */
  readonly until?: Date | undefined
}

const where = (conditions: readonly Fragment[]): Fragment =>
  conditions.length > 0 ? sql`WHERE ${join([...conditions], ' AND ')}` : empty

/** The calls that these resources make. */
export const callsOf = (db: Sql, resourceIds: readonly string[]): Promise<Delivery[]> =>
  db.$queryRaw(sql`
    SELECT ${fields} FROM delivery d WHERE d.resource_id = ANY (${resourceIds}::uuid[]) AND d.channel = 'call'`)

/** @throws LapseError `not_found` */
export const readDelivery = async (db: Sql, id: string): Promise<Delivery & { log: Attempt[] }> => {
  const [delivery] = isUuid(id)
    ? await db.$queryRaw<Delivery[]>(sql`SELECT ${fields} FROM delivery d WHERE d.id = ${id}::uuid`)
    : []
  if (!delivery) throw new LapseError('not_found', { detail: 'There is no delivery with this id.' })
  const log = await db.$queryRaw<Attempt[]>(sql`
    SELECT number, at, duration_ms AS "durationMs", status, error, code, answer, next_at AS "nextAt" FROM delivery_attempt
    WHERE delivery_id = ${id}::uuid ORDER BY number`)
  return { ...delivery, log }
}

/** Due at once, for one `d`. */
export const again = sql`status = 'pending', tries = 0, round = d.round + 1, next_attempt_at = ${now}, settled_at = NULL, ready = true`

/** Makes one that gave up, or waits for its next try, due at once. Nothing comes of one that somebody is at. */
export const retryDelivery = async (db: Sql, id: string): Promise<(Owed & { round: number })[]> => {
  if (!isUuid(id)) return []
  // A person asks for it: of a lane whose circuit breaker is open, it may be the next probe.
  return db.$queryRaw(sql`
    WITH retried AS (
      UPDATE delivery d SET ${again}
      WHERE d.id = ${id}::uuid AND d.status IN ('dead', 'failed') AND (d.leased_until IS NULL OR d.leased_until <= ${now})
      RETURNING d.id, d.channel, d.round, d.lane, ${shareOf(sql`d`)} AS share
    ), probing AS (${probed(sql`retried`)})
    SELECT id, channel, round FROM retried`)
}

export interface Retried {
  readonly deliveries: (Owed & { round: number })[]
  /** Where to go on; `null` when that was all. */
  readonly after: string | null
}

/**
 * Makes up to `limit` that have given up due at once, in the order of their ids. Whoever goes on after those meets none
 * twice, though it may have given up again by then. Those that somebody else is retrying are passed by.
 *
 * @throws LapseError `invalid`
 */
export const retryDead = async (
  db: Sql,
  filter: Omit<DeliveryFilter, 'status'>,
  { after, limit }: { after?: string | undefined; limit: number },
): Promise<Retried> => {
  if (after !== undefined && !isUuid(after))
    throw new LapseError('invalid', { field: 'after', detail: 'Take it from the answer before.' })
  const { since, until, ...rest } = filter
  const conditions = [
    ...deliveryConditions(sql`d`, { ...rest, status: 'dead' }, belongsTo),
    ...(since === undefined ? [] : [sql`d.id >= ${leastId(since)}::uuid`]),
    ...(until === undefined ? [] : [sql`d.id < ${leastId(until)}::uuid`]),
    ...(after === undefined ? [] : [sql`d.id > ${after}::uuid`]),
  ]
  const deliveries = await db.$queryRaw<Retried['deliveries']>(sql`
    WITH found AS MATERIALIZED (
      SELECT d.id FROM delivery d ${where(conditions)} ORDER BY d.id LIMIT ${limit}::int FOR UPDATE SKIP LOCKED
    )
    UPDATE delivery d SET ${again} FROM found WHERE d.id = found.id AND d.status = 'dead'
    RETURNING d.id, d.channel, d.round`)
  return { deliveries, after: deliveries.length < limit ? null : (lastOf(deliveries) ?? null) }
}

/** Calls off one that is outstanding, and says whether it was. One that is being made right now is not. */
export const cancelDelivery = async (db: Sql, id: string): Promise<boolean> => {
  if (!isUuid(id)) return false
  const cancelled = await db.$queryRaw<object[]>(sql`
  WITH settled AS (
    UPDATE delivery d SET status = 'cancelled', settled_at = ${now}, next_attempt_at = NULL, leased_until = NULL, sealed = NULL,
      last_error = 'called off by hand'
    WHERE d.id = ${id}::uuid AND d.status IN ('pending', 'failed') AND (d.leased_until IS NULL OR d.leased_until <= ${now})
    RETURNING d.resource_id, d.channel, d.status
  ), erased AS (${eraseEnclosed(sql`settled`)})
  SELECT status FROM settled`)
  return cancelled.length > 0
}

/** Deletes up to `limit` notices that were settled 30 days ago, and says how many: what belongs to a resource goes with it. */
export const purgeNotices = (db: Sql, limit: number): Promise<number> =>
  db.$executeRaw(sql`
  WITH old AS MATERIALIZED (
    SELECT id FROM delivery WHERE resource_id IS NULL AND settled_at < (SELECT ${now}) - interval '30 days'
    ORDER BY settled_at LIMIT ${limit}::int
    FOR UPDATE SKIP LOCKED
  )
  DELETE FROM delivery d USING old WHERE d.id = old.id`)
