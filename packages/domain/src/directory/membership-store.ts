import type { Sql } from '../database.ts'
import { LapseError } from '../errors.ts'
import { type By, manual } from '../input.ts'
import { empty, type Fragment, now, sql } from '../store/live.ts'
import type { Cause } from '../store/record.ts'
import type { Role } from './role.ts'
import { json, logged } from './shared.ts'

export interface Membership {
  readonly id: string
  readonly organizationId: string
  readonly userId: string
  readonly role: Role
  readonly joinedAt: Date
}

export const membershipFields = sql`id, organization_id AS "organizationId", user_id AS "userId", role, joined_at AS "joinedAt"`

/** With `hold` nobody takes the role away before the commit. */
export const findMembership = async (
  db: Sql,
  organizationId: string,
  userId: string,
  hold?: 'hold',
): Promise<Membership | undefined> => {
  const [row] = await db.$queryRaw<Membership[]>(sql`
    SELECT ${membershipFields} FROM directory_membership
    WHERE organization_id = ${organizationId}::uuid AND user_id = ${userId}::uuid ${hold ? sql`FOR SHARE` : empty}`)
  return row
}

/** Only under the organization's lock does it stay so. */
export const countMembers = async (db: Sql, organizationId: string): Promise<number> => {
  const [row] = await db.$queryRaw<{ n: number }[]>(
    sql`SELECT count(*)::int AS n FROM directory_membership WHERE organization_id = ${organizationId}::uuid`,
  )
  return row?.n ?? 0
}

/**
 * The organization is locked, and its seats counted, by the caller.
 *
 * @throws LapseError `already_a_member`, `unknown_user`
 */
export const insertMembership = async (
  tx: Sql,
  { organizationId, userId, role }: { organizationId: string; userId: string; role: Role },
  by: By,
): Promise<Membership> => {
  const data = json({ organization_id: organizationId, user_id: userId, after: { role } })
  const [row] = await tx.$queryRaw<Membership[]>(sql`
    WITH person AS MATERIALIZED (
      SELECT id FROM directory_user WHERE id = ${userId}::uuid FOR KEY SHARE
    ), changed AS (
      INSERT INTO directory_membership (organization_id, user_id, role, joined_at)
      SELECT ${organizationId}::uuid, id, ${role}::lapse_role, ${now} FROM person
      ON CONFLICT DO NOTHING
      RETURNING *, joined_at AS at
    ), ${logged('membership', 'joined', manual(by), data)}
    SELECT ${membershipFields} FROM changed`)
  if (row) return row
  if (await findMembership(tx, organizationId, userId)) throw alreadyAMember()
  throw new LapseError('unknown_user', { field: 'user', detail: 'Create the user first.' })
}

export const alreadyAMember = (): LapseError =>
  new LapseError('already_a_member', { field: 'user', detail: 'Change the role of the membership instead.' })

/** Members whom one statement removes: it has to end before the timeout of statements. */
const membersBatch = 1_000

/** Takes away the memberships that fulfil `condition`, each with its event, batch after batch in the caller's transaction. */
export const deleteMembers = async (tx: Sql, condition: Fragment, cause: Cause): Promise<void> => {
  const data = sql`jsonb_build_object('organization_id', c.organization_id, 'user_id', c.user_id,
    'before', jsonb_build_object('role', c.role))`
  for (let removed = membersBatch; removed === membersBatch; ) {
    const [row] = await tx.$queryRaw<{ n: number }[]>(sql`
      WITH batch AS MATERIALIZED (
        SELECT id FROM directory_membership WHERE ${condition} ORDER BY id LIMIT ${membersBatch}::int FOR UPDATE
      ), changed AS (
        DELETE FROM directory_membership m USING batch WHERE m.id = batch.id RETURNING m.*, ${now} AS at
      ), ${logged('membership', 'removed', cause, data)}
      SELECT count(*)::int AS n FROM changed`)
    removed = row?.n ?? 0
  }
}
