import { validate as isUuid } from 'uuid'
import { cascade } from '../cascade.ts'
import type { Sql } from '../database.ts'
import { LapseError } from '../errors.ts'
import type { Ground, Work } from '../ground.ts'
import { type By, manual } from '../input.ts'
import type { Page } from '../resources.ts'
import { now, sql } from '../store/live.ts'
import type { Cause } from '../store/record.ts'
import {
  alreadyAMember,
  countMembers,
  deleteMembers,
  findMembership,
  insertMembership,
  type Membership,
  membershipFields,
} from './membership-store.ts'
import { lockOrganization } from './organizations.ts'
import { type Role, roleRank, roles } from './role.ts'
import { json, logged, named, where } from './shared.ts'

export { countMembers, findMembership, insertMembership, type Membership }

export interface MembershipInput {
  /** Its id, or the host application's own. */
  readonly organization: string
  /** The user's id, or the host application's own. */
  readonly user: string
  readonly role: Role
}

export interface MembershipFilter {
  readonly organization?: string | undefined
  readonly user?: string | undefined
}

/** How a member's role is changed or taken away. */
export interface MembershipOptions extends By {
  /** Refuses what would leave the organization without an owner. Default: false. */
  readonly keepOwner?: boolean | undefined
}

/** Who belongs to which organization, and as what. The organization is locked before any of it changes. */
export class Memberships {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /**
   * @throws LapseError `invalid`, `unknown_organization`, `organization_not_active`, `unknown_user`, `already_a_member`,
   *   `seats_taken`
   */
  async add({ organization, user, role }: MembershipInput, by: By = {}): Promise<Membership> {
    checkRole(role)
    const { value } = await this.#ground.locking(organization).commit(async (work) => {
      const { tx } = work
      const { id: organizationId, seatLimit } = await lockOrganization(tx, organization)
      // Not locked yet: whoever deletes this user wants the organizations they are a member of, and we hold one.
      const [person] = await tx.$queryRaw<{ id: string }[]>(sql`SELECT id FROM directory_user WHERE ${named(user)}`)
      if (!person)
        throw new LapseError('unknown_user', { field: 'user', detail: 'Create the user first, or invite them.' })
      if (await findMembership(tx, organizationId, person.id)) throw alreadyAMember()
      if (seatLimit !== null && (await countMembers(tx, organizationId)) >= seatLimit)
        throw new LapseError('seats_taken', {
          field: 'organization',
          detail: `It has ${seatLimit}. Remove a member, or raise its seat_limit.`,
        })
      const membership = await insertMembership(tx, { organizationId, userId: person.id, role }, by)
      // What would have made them a member must not do it again after they were removed.
      await revokeInviteTo(work, membership, by)
      return membership
    })
    return value
  }

  /** @throws LapseError `not_found` */
  async get(id: string): Promise<Membership> {
    return readMembership(this.#ground.sql, id)
  }

  find(organizationId: string, userId: string): Promise<Membership | undefined> {
    return findMembership(this.#ground.sql, organizationId, userId)
  }

  /** Newest first; of an organization, or of a user, by their ids or the host application's own. */
  list({ organization, user }: MembershipFilter = {}, page: Page = {}): Promise<Membership[]> {
    return this.#ground.sql.$queryRaw<Membership[]>(sql`
      SELECT ${membershipFields} FROM directory_membership ${where([
        organization !== undefined &&
          sql`organization_id = (SELECT id FROM directory_organization WHERE ${named(organization)})`,
        user !== undefined && sql`user_id = (SELECT id FROM directory_user WHERE ${named(user)})`,
        page.before !== undefined && sql`id < ${page.before}::uuid`,
      ])}
      ORDER BY ${organization !== undefined && user !== undefined ? sql`organization_id, user_id` : sql`id DESC`} LIMIT ${page.limit ?? 50}::int`)
  }

  /**
   * One who falls takes along what they have invited to above their new role.
   *
   * @throws LapseError `invalid`, `not_found`, `last_owner`
   */
  async setRole(id: string, role: Role, { keepOwner, ...by }: MembershipOptions = {}): Promise<Membership> {
    checkRole(role)
    const { value } = await this.#ground.locking(id).commit(async (work) => {
      const was = await lockMembership(work.tx, id)
      if (was.role === role) return was
      if (keepOwner) await refuseLastOwner(work.tx, was)
      const { organizationId, userId } = was
      const data = { organization_id: organizationId, user_id: userId, before: { role: was.role }, after: { role } }
      await work.tx.$executeRaw(sql`
        WITH changed AS (
          UPDATE directory_membership SET role = ${role}::lapse_role WHERE id = ${id}::uuid RETURNING id, ${now} AS at
        ), ${logged('membership', 'role-changed', manual(by), json(data))}
        SELECT id FROM changed`)
      const above = roles.filter((one) => roleRank(one) > roleRank(role))
      if (roleRank(role) < roleRank(was.role))
        await cascade(work, 'revoke', { kind: 'invite', organizationId, inviterId: userId, roles: above }, by)
      return { ...was, role }
    })
    return value
  }

  /** Also ends what they have invited to, and what they could come back by. @throws LapseError `not_found`, `last_owner` */
  async remove(id: string, { keepOwner, ...by }: MembershipOptions = {}): Promise<Membership> {
    const { value } = await this.#ground.locking(id).commit(async (work) => {
      const membership = await lockMembership(work.tx, id)
      if (keepOwner) await refuseLastOwner(work.tx, membership)
      await removeMember(work, membership, manual(by), by)
      return membership
    })
    return value
  }
}

/** The organization is locked by the caller. An old link must not let them back in. */
export const removeMember = async (work: Work, membership: Membership, cause: Cause, by: By): Promise<void> => {
  const { id, organizationId, userId } = membership
  await deleteMembers(work.tx, sql`id = ${id}::uuid`, cause)
  await cascade(work, 'revoke', { kind: 'invite', organizationId, inviterId: userId }, by)
  await revokeInviteTo(work, membership, by)
}

const revokeInviteTo = async (work: Work, { organizationId, userId }: Membership, by: By): Promise<void> => {
  const [user] = await work.tx.$queryRaw<{ canonical: string }[]>(
    sql`SELECT canonical FROM directory_user WHERE id = ${userId}::uuid`,
  )
  if (user) await cascade(work, 'revoke', { kind: 'invite', reference: `${organizationId}:${user.canonical}` }, by)
}

/** The organization is locked by the caller, so that of two owners who leave at once the second is the last. */
const refuseLastOwner = async (tx: Sql, { id, organizationId, role }: Membership): Promise<void> => {
  if (role !== 'owner') return
  const [other] = await tx.$queryRaw<{ id: string }[]>(sql`
    SELECT id FROM directory_membership
    WHERE organization_id = ${organizationId}::uuid AND role = 'owner' AND id <> ${id}::uuid LIMIT 1`)
  if (!other) throw new LapseError('last_owner', { detail: 'Make another member an owner first.' })
}

/** And its organization before it, whatever the state of that is. */
const lockMembership = async (tx: Sql, id: string): Promise<Membership> => {
  const { organizationId } = await readMembership(tx, id)
  await tx.$queryRaw(sql`SELECT id FROM directory_organization WHERE id = ${organizationId}::uuid FOR UPDATE`)
  return readMembership(tx, id, 'lock')
}

const readMembership = async (db: Sql, id: string, lock?: 'lock'): Promise<Membership> => {
  const [membership] = isUuid(id)
    ? await db.$queryRaw<Membership[]>(
        sql`SELECT ${membershipFields} FROM directory_membership WHERE id = ${id}::uuid ${lock ? sql`FOR UPDATE` : sql``}`,
      )
    : []
  if (!membership) throw new LapseError('not_found', { detail: 'There is no such membership.' })
  return membership
}

const checkRole = (role: Role): void => {
  if (!roles.includes(role)) throw new LapseError('invalid', { field: 'role', detail: `One of: ${roles.join(', ')}.` })
}
