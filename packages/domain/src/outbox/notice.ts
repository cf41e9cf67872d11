import type { Sql } from '../database.ts'
import type { Letter } from '../kind.ts'
import { noticeKind } from '../registry.ts'
import { now, sql } from '../store/live.ts'
import type { Owed } from '../store/record.ts'
import { priorities } from './lanes.ts'

/** A message that belongs to no resource: a test, an alert. Carries no secret. */
export interface Notice {
  /** As a webhook's receiver knows it. */
  readonly type: string
  /** For webhooks. */
  readonly data: Readonly<Record<string, unknown>>
  /** For mails. */
  readonly letter: Letter
}

/** Where a notice goes. `organizationId`: whose a mail is; the host's own without. A webhook is its endpoint's. */
export interface NoticeTarget {
  readonly channel: 'email' | 'webhook'
  readonly target: string
  readonly organizationId?: string | null | undefined
}

/** Writes a notice into the outbox, once for each target. */
export const oweNotice = (db: Sql, notice: Notice, to: readonly NoticeTarget[]): Promise<Owed[]> =>
  db.$queryRaw(sql`
  WITH clock AS MATERIALIZED (SELECT ${now} AS at)
  INSERT INTO delivery (kind, version, event, channel, target, notice, next_attempt_at, created_at, priority, organization_id, lane)
  SELECT ${noticeKind}, 1, ${notice.type}, t.channel::lapse_channel, t.target, ${JSON.stringify(notice)}::jsonb, c.at, c.at,
    ${priorities.notice}::smallint,
    CASE t.channel WHEN 'webhook' THEN (SELECT w.organization_id FROM webhook_endpoint w WHERE w.id = t.target::uuid)
      ELSE t.organization::uuid END,
    CASE t.channel WHEN 'email' THEN ${`${noticeKind}:${notice.type}`} ELSE t.target END
  FROM clock c, unnest(${to.map((t) => t.channel)}::text[], ${to.map((t) => t.target)}::text[],
    ${to.map((t) => t.organizationId ?? null)}::text[]) AS t(channel, target, organization)
  RETURNING id, channel`)
