import type { Sql } from './database.ts'
import type { Status } from './lifecycle.ts'
import { instant, isLive, milliseconds, now, seenStatus, sql } from './store/live.ts'
import type { PendingRow } from './store/read.ts'

/** An event that there has been. */
export interface Known {
  readonly eventId: string
  readonly resourceId: string
  /** Epoch milliseconds. */
  readonly at: number
}

/** A span of time of which PostgreSQL knows nothing any more: it was restored, or failed over to a server that lagged. */
export interface Loss {
  /** Of the newest event from before; the beginning of 1970 when there is none. */
  readonly since: Date
  readonly until: Date
}

/** The newest event there is; and what is lost when the one that was known is not there any more. One look at one state. */
export const recognize = async (
  db: Sql,
  known: Known | undefined,
): Promise<{ newest: Known | undefined; loss: Loss | undefined }> => {
  const knownAt = instant(known?.at ?? null)
  const [row] = await db.$queryRaw<
    { eventId: string | null; resourceId: string; at: number; holds: boolean; since: Date; until: Date }[]
  >(sql`
    WITH newest AS MATERIALIZED (SELECT id, resource_id, at FROM event ORDER BY id DESC LIMIT 1),
    held AS MATERIALIZED (SELECT EXISTS (SELECT FROM event WHERE id = ${known?.eventId ?? null}::bigint
      AND resource_id = ${known?.resourceId ?? null}::uuid AND at = ${knownAt}) AS holds)
    SELECT newest.id::text AS "eventId", newest.resource_id AS "resourceId",
      (extract(epoch FROM newest.at) * 1000)::float8 AS at, held.holds, ${knownAt} AS until,
      CASE WHEN NOT held.holds THEN coalesce((SELECT at FROM event WHERE at <= ${knownAt} ORDER BY event.id DESC LIMIT 1),
        to_timestamp(0)) END AS since
    FROM held LEFT JOIN newest ON true`)
  if (!row) throw new Error('PostgreSQL did not answer.')
  const { eventId, resourceId, at, holds, since, until } = row
  return {
    newest: eventId === null ? undefined : { eventId, resourceId, at },
    loss: known && !holds ? { since, until } : undefined,
  }
}

/** Live rows as the backup had them, whose last timer was armed before it: in pages, by id. */
export const untouched = (
  db: Sql,
  { until }: Loss,
  { after = '00000000-0000-0000-0000-000000000000', limit, horizonMs }: UntouchedPage,
): Promise<PendingRow[]> => {
  const end = sql`CASE r.status WHEN 'grace' THEN r.ends_at ELSE r.expires_at END`
  return db.$queryRaw(sql`
  SELECT r.id, r.kind, r.version, r.next_step AS "nextStep", r.due_at AS "dueAt", r.expires_at AS "expiresAt",
    r.ends_at AS "endsAt", c.at
  FROM resource r, (SELECT ${now} AS at) c
  WHERE r.id > ${after}::uuid AND r.status IN ('active', 'grace') AND r.changed_at <= ${instant(until.getTime())}
    AND ${end} > c.at ${horizonMs === undefined ? sql`` : sql`AND ${end} - r.changed_at <= ${milliseconds(horizonMs)}`}
  ORDER BY r.id LIMIT ${limit}::int`)
}

export interface UntouchedPage {
  readonly after?: string | undefined
  readonly limit: number
  /** Timers further ahead than this were not armed. */
  readonly horizonMs?: number | undefined
}

/** A resource that is as it was before the loss, and was not at its end. */
export interface Rewound {
  readonly id: string
  readonly was: 'ended' | 'renewed'
}

const reasons: Readonly<Record<Rewound['was'], string>> = {
  ended:
    'It had ended after the backup that PostgreSQL was restored from, for its timer was taken away. It is live again.',
  renewed: 'It was renewed after the backup that PostgreSQL was restored from. That renewal is lost.',
}

/** Events of one statement: with a loss that is known of a million resources it would run into its timeout otherwise. */
export const rewoundBatch = 1_000

/**
 * Writes down what is lost, and of which resources that is known, once. Batches commit on their own, and the loss itself comes
 * last: a process that dies in between leaves it to the next, which adds what is missing.
 */
export const recordLoss = async (db: Sql, loss: Loss, rewound: readonly Rewound[]): Promise<void> => {
  const [since, until] = [instant(loss.since.getTime()), instant(loss.until.getTime())]
  for (let from = 0; from < rewound.length; from += rewoundBatch) {
    const batch = rewound.slice(from, from + rewoundBatch)
    await db.$executeRaw(sql`
      INSERT INTO event (resource_id, kind, type, version, at, from_status, to_status, trigger, reason, data)
      SELECT r.id, r.kind, 'rewound', r.version, ${now}, r.status, r.status, 'sweep', w.reason, jsonb_build_object('was', w.was)
      FROM unnest(${batch.map(({ id }) => id)}::uuid[], ${batch.map(({ was }) => was)}::text[],
        ${batch.map(({ was }) => reasons[was])}::text[]) AS w(id, was, reason)
      JOIN resource r ON r.id = w.id
      WHERE NOT EXISTS (SELECT FROM event e WHERE e.resource_id = r.id AND e.type = 'rewound' AND e.at > ${until})`)
  }
  // Of two losses that have not been seen to: from the first to the last.
  await db.$executeRaw(sql`
    INSERT INTO pulse AS p (name, at) VALUES (${pulses.since}, ${since}), (${pulses.until}, ${until})
    ON CONFLICT (name) DO UPDATE SET at = CASE p.name WHEN ${pulses.since} THEN least(p.at, excluded.at)
      ELSE greatest(p.at, excluded.at) END`)
}

const pulses = { since: 'lost-since', until: 'lost-until' } as const

/** What is lost, until somebody has said that it has been seen to. */
export const readLoss = async (db: Sql): Promise<Loss | undefined> => {
  const [loss] = await db.$queryRaw<{ since: Date; until: Date }[]>(sql`
    SELECT a.at AS since, b.at AS until FROM pulse a, pulse b WHERE a.name = ${pulses.since} AND b.name = ${pulses.until}`)
  return loss
}

export const forgetLoss = async (db: Sql): Promise<void> => {
  await db.$executeRaw(sql`DELETE FROM pulse WHERE name IN (${pulses.since}, ${pulses.until})`)
}

export interface RewoundResource extends Rewound {
  readonly kind: string
  readonly reference: string | null
  readonly subject: string | null
  readonly status: Status
  /** Whether it can be used now. */
  readonly live: boolean
}

/** Whom a loss is known of, as they stand now; by id, in pages. */
export const listRewound = (
  db: Sql,
  { since }: Loss,
  { after = '00000000-0000-0000-0000-000000000000', limit }: { after?: string | undefined; limit: number },
): Promise<RewoundResource[]> =>
  db.$queryRaw(sql`
  SELECT DISTINCT ON (e.resource_id) r.id, r.kind, r.reference, r.subject, e.data ->> 'was' AS was,
    ${seenStatus(sql`r`, sql`c.at`)} AS status, ${isLive(sql`r`, sql`c.at`)} AS live
  FROM event e JOIN resource r ON r.id = e.resource_id, (SELECT ${now} AS at) c
  WHERE e.type = 'rewound' AND e.at > ${instant(since.getTime())} AND e.resource_id > ${after}::uuid
  ORDER BY e.resource_id, e.id DESC LIMIT ${limit}::int`)
