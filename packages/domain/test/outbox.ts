import { nowSql } from '@lapse/testkit'
import { v7 as uuidv7 } from 'uuid'
import type { Channel, ClaimRequest } from '../src/index.ts'
import { plain } from './kinds.ts'
import { everythingIn, testDomain } from './support.ts'

interface Waiting {
  readonly count?: number
  readonly organization?: string | null
  readonly priority?: number
  readonly kind?: string
  /** How long ago it became due. */
  readonly secondsAgo?: number
}

/** An outbox of this file's own. Call it at the top of a test file. */
export const testOutbox = async () => {
  const stage = await testDomain([plain])
  const { domain, sql } = stage
  return {
    ...stage,
    deliveries: domain.deliveries,
    /** Endpoints of an organization, or of the host. */
    endpoints: async (
      count: number,
      {
        organization = null,
        host = 'example.com',
        rate = null,
      }: { organization?: string | null; host?: string; rate?: number | null } = {},
    ): Promise<string[]> => {
      if (organization !== null)
        await sql(
          `INSERT INTO directory_organization (id, name, created_at, changed_at) VALUES ($1, 'An organization', ${nowSql}, ${nowSql}) ON CONFLICT DO NOTHING`,
          [organization],
        )
      const ids = Array.from({ length: count }, () => uuidv7())
      await sql(
        `INSERT INTO webhook_endpoint (id, organization_id, url, sealed, max_per_second, created_at, changed_at)
         SELECT id::uuid, $2, 'https://' || $3 || '/' || id, '', $4, ${nowSql}, ${nowSql} FROM unnest($1::text[]) AS id`,
        [ids, organization, host, rate],
      )
      return ids
    },
    /** Deliveries that wait for a lane; notices, since those need no resource. */
    waiting: async (channel: Channel, lane: string, about: Waiting = {}): Promise<string[]> => {
      const { count = 1, organization = null, priority = 2, kind = 'lapse', secondsAgo = 10 } = about
      const rows = await sql<{ id: string }>(
        `INSERT INTO delivery (kind, version, event, channel, target, notice, next_attempt_at, created_at, priority, organization_id, lane)
         SELECT $1, 1, 'lapse.test', $2::lapse_channel, $3, '{}', now() - $4::int * interval '1 second' + n * interval '1 millisecond', ${nowSql}, $5, $6, $3
         FROM generate_series(1, $7) AS n RETURNING id`,
        [kind, channel, lane, secondsAgo, priority, organization, count],
      )
      return rows.map(({ id }) => id)
    },
    /** The lanes of what is claimed, in order. */
    claim: async (channel: Channel, about: Partial<ClaimRequest> = {}) => {
      const batch = await domain.deliveries.claimDue({ ...everythingIn(channel), ...about })
      return { ...batch, lanes: batch.claims.map(({ delivery }) => delivery.lane) }
    },
    fresh: () => sql('TRUNCATE delivery, delivery_attempt, outbox_lane, webhook_endpoint CASCADE'),
  }
}

export const room = (
  each: Partial<ClaimRequest['rooms']['each']>,
  named: Partial<ClaimRequest['rooms']> = {},
): ClaimRequest['rooms'] => ({
  lanes: {},
  shares: {},
  hosts: {},
  spare: 0,
  ...named,
  each: { lane: 1_000, share: 1_000, host: 1_000, ...each },
})
