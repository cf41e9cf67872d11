import type { Sql } from '../database.ts'
import { now, sql } from '../store/live.ts'
import { type Owed, subscribed } from '../store/record.ts'

/** How often an invite to this address has been sent again within the hour, and when that will be one less. */
export const recentResends = async (db: Sql, reference: string): Promise<{ count: number; retryAfter: number }> => {
  const [row] = await db.$queryRaw<{ count: number; retryAfter: number | null }[]>(sql`
    SELECT count(*)::int AS count,
      ceil(extract(epoch FROM min(issued_at) + interval '1 hour' - ${now}))::int AS "retryAfter"
    FROM resource
    WHERE kind = 'invite' AND reference = ${reference} AND payload ? 'resendOf' AND issued_at > ${now} - interval '1 hour'`)
  return { count: row?.count ?? 0, retryAfter: Math.max(1, row?.retryAfter ?? 1) }
}

/**
 * Writes down, once for each invite, that a new one is asked for, and owes the inviter a mail about it, if there is one who
 * is still a member of an active organization. Not about an invite whose mails the host application sends. Webhook
 * endpoints are told as of everything.
 */
export const notify = async (db: Sql, id: string): Promise<Owed[]> => {
  // Locked, so that of many who ask at once one is the first.
  await db.$queryRaw(sql`SELECT id FROM resource WHERE id = ${id}::uuid FOR UPDATE`)
  return db.$queryRaw<Owed[]>(sql`
  WITH moved AS MATERIALIZED (
    SELECT r.*, 'requested' AS type, ${now} AS at FROM resource r
    WHERE id = ${id}::uuid AND NOT EXISTS (SELECT 1 FROM event e WHERE e.resource_id = r.id AND e.type = 'requested')
  ), logged AS (
    INSERT INTO event (resource_id, kind, type, version, at, from_status, to_status, trigger)
    SELECT id, kind, type, version, at, status, status, 'manual' FROM moved
    RETURNING id, resource_id
  ), inviter AS (
    SELECT r.id, 'email'::lapse_channel AS channel, u.email AS target
    FROM moved r
    JOIN directory_organization o ON o.id = r.organization_id AND o.status = 'active'
    JOIN directory_membership m ON m.organization_id = o.id AND m.user_id::text = r.payload #>> '{inviter,id}'
    JOIN directory_user u ON u.id = m.user_id
    WHERE (r.payload ->> 'mail')::boolean
  )
  INSERT INTO delivery (organization_id, resource_id, kind, version, event, event_id, channel, target, next_attempt_at, created_at)
  SELECT CASE WHEN e.channel = 'webhook' THEN (SELECT organization_id FROM webhook_endpoint WHERE id = e.target::uuid) ELSE m.organization_id END,
    m.id, m.kind, m.version, m.type, l.id, e.channel, e.target, m.at, m.at
  FROM moved m
  JOIN logged l ON l.resource_id = m.id
  JOIN (SELECT id, channel, target FROM inviter UNION ALL SELECT id, channel, target FROM (${subscribed}) s) e ON e.id = m.id
  RETURNING id, channel`)
}
