import { validate as isUuid, v7 as uuidv7 } from 'uuid'
import type { TimerState } from '../change.ts'
import type { Sql } from '../database.ts'
import { canonicalAddress } from '../directory/address.ts'
import { countMembers, findMembership, insertMembership, type Membership } from '../directory/memberships.ts'
import { lockOrganization, type Organization, type Organizations } from '../directory/organizations.ts'
import { type Role, roleRank } from '../directory/role.ts'
import { ensureUser, findUser, getUser, holdUser, type User } from '../directory/users.ts'
import { LapseError } from '../errors.ts'
import type { Ground, Work } from '../ground.ts'
import type { By, End } from '../input.ts'
import type { Resource } from '../kind.ts'
import type { InvitePayload } from '../kinds/invite.ts'
import { newToken } from '../secret.ts'
import { resourceOf } from '../seen.ts'
import type { ProvableRow } from '../store/read.ts'
import { readProvable } from '../store/read.ts'
import { actorOf } from './actor.ts'
import { notify, recentResends } from './invite-store.ts'
import { type Proven, prove } from './prove.ts'
import { recordRefusal } from './refusals.ts'

export type Invite = Resource<InvitePayload>

export interface InviteInput extends End {
  /** Its id, or the host application's own. */
  readonly organization: string
  readonly email: string
  readonly role: Role
  /** The user who invites, by id or the host's own; nobody may invite to a role above one's own. Without: the host itself. */
  readonly invitedBy?: string | undefined
  readonly message?: string | undefined
  /** `mail` unless said otherwise; `return` gives the token back, and sends no mail about this invite. */
  readonly deliver?: 'mail' | 'return' | undefined
}

export type Resent = { readonly [F in 'email' | 'role' | 'message' | 'deliver']?: InviteInput[F] | undefined }

export interface Invited {
  readonly invite: Invite
  /** Shown once. */
  readonly token: string | undefined
  readonly timer: TimerState
}

/** What a page may show to whoever opens a link. */
export type Looked =
  | { readonly state: 'denied' | 'signed-out' | 'other-address' | 'unverified' }
  | { readonly state: 'member'; readonly organization: Organization }
  | { readonly state: 'open'; readonly invite: Invite; readonly organization: Organization; readonly full: boolean }
  | { readonly state: 'expired'; readonly invite: Invite; readonly organization: Organization }

export type Accepted =
  | {
      readonly status: 'joined' | 'already-member'
      readonly organization: Organization
      readonly membership: Membership
    }
  | { readonly status: 'full'; readonly organization: Organization }
  | { readonly status: 'denied' | 'other-address' | 'unverified' }

export type Declined = { readonly status: 'declined' | 'denied' | 'other-address' | 'unverified' }

/** By the token that the mail bore, or, for the signed-in, by its id: reading the mailbox is what proves the right to it. */
export type WhichInvite = { readonly token: string } | { readonly id: string }

const resendsAnHour = 3

/** Invites in their own words. The organization is locked first, always: it is what seats and sending are counted by. */
export class Invites {
  readonly #ground: Ground
  readonly #organizations: Organizations

  constructor(ground: Ground, organizations: Organizations) {
    this.#ground = ground
    this.#organizations = organizations
  }

  /**
   * @throws LapseError `invalid`, `unknown_organization`, `organization_not_active`, `unknown_user`, `role_too_high`,
   *   `already_a_member`, `invite_live`, `lifetime_too_short`, `lifetime_too_long`, `not_configured`
   */
  async create(input: InviteInput, by: By = {}): Promise<Invited> {
    const { value, timer } = await this.#ground
      .locking(input.organization)
      .commit((work) => this.#issue(work, input, by))
    return { ...value, timer }
  }

  /**
   * A new invite with a new token, and perhaps another role or address; the old one is dead.
   *
   * @throws LapseError `not_found`, `already_ended`, `too_soon` after three in an hour, and as `create`
   */
  async resend(id: string, changes: Resent = {}, by: By = {}): Promise<Invited> {
    const { value, timer } = await this.#ground.locking(id).commit(async (work) => {
      const { organizationId } = await read(work.tx, id)
      const organization = await lockOrganization(work.tx, organizationId ?? '')
      // Read under the lock: of two who resend the same one, the second finds it superseded.
      const old = await read(work.tx, id)
      if (old.seen === 'consumed' || old.seen === 'revoked')
        throw new LapseError('already_ended', { detail: 'Create a new one.' })
      const { payload } = resourceOf(old, this.#ground.registry) as Invite
      const email = changes.email ?? payload.email
      const { canonical } = canonicalAddress('email', email)
      const recent = await recentResends(work.tx, referenceOf(organization.id, canonical))
      if (recent.count >= resendsAnHour)
        throw new LapseError('too_soon', { detail: 'Three an hour for one address.', retryAfter: recent.retryAfter })
      work.changes.push(await work.resources.revoke('invite', id, { ...by, reason: 'superseded' }))
      const { inviter, role, message, mail } = payload
      const again = {
        organization: organization.id,
        email,
        role: changes.role ?? role,
        invitedBy: inviter?.id,
        message: changes.message ?? message,
        deliver: changes.deliver ?? (mail ? ('mail' as const) : ('return' as const)),
      }
      return this.#issue(work, again, by, id)
    })
    return { ...value, timer }
  }

  /** Quiet when it has ended already. @throws LapseError `not_found` */
  async revoke(id: string, by: By = {}): Promise<Invite> {
    const { value } = await this.#ground.locking(id).commit(async (work) => {
      const change = await work.resources.revoke('invite', id, by)
      work.changes.push(change)
      return change.resource
    })
    return value as Invite
  }

  /** What its link shows to this user, or to nobody in particular. Changes nothing. */
  async look(token: string, user?: User): Promise<Looked> {
    const { row } = await prove(this.#ground, 'invite', token)
    if (!row) return { state: 'denied' }
    const isTheirs = user !== undefined && user.canonical === row.subject && user.verifiedAt !== null
    if (!isTheirs) {
      if (!row.live) return { state: 'denied' }
      return { state: !user ? 'signed-out' : user.canonical === row.subject ? 'unverified' : 'other-address' }
    }
    const organization = await this.#organizations.get(row.organizationId ?? '')
    if (organization.status !== 'active') return { state: 'denied' }
    const invite = resourceOf(row, this.#ground.registry) as Invite
    const isMember = await findMembership(this.#ground.sql, organization.id, user.id)
    if (isMember) return { state: 'member', organization }
    if (row.live) return { state: 'open', invite, organization, full: await this.#isFull(organization) }
    return row.seen === 'expired' ? { state: 'expired', invite, organization } : { state: 'denied' }
  }

  /** Membership and use commit together, or neither does. A full organization leaves the invite as it was. */
  async accept(which: WhichInvite, user: User, by: By = {}): Promise<Accepted> {
    const { row, about, reason } = await this.#find(which)
    if (!row) return this.#refuse(about, reason, user)
    if (row.subject !== user.canonical) return this.#otherAddress(which, row, user)
    if (user.verifiedAt === null) return row.live ? { status: 'unverified' } : this.#refuse(row.id, row.seen, user)
    const held = ({ tx }: Work) => holdUser(tx, user.id)
    return this.#join(row, held, async (_, known) => known, by)
  }

  /** For a user whom the host application has signed in itself: it vouches that the address is theirs. */
  async acceptFor(
    token: string,
    person: { readonly email: string; readonly name?: string | undefined; readonly reference?: string | undefined },
    by: By = {},
  ): Promise<Accepted> {
    const { canonical } = canonicalAddress('email', person.email)
    const { row, about, reason } = await this.#find({ token })
    if (!row) return this.#refuse(about, reason, by)
    if (row.subject !== canonical) return this.#otherAddress({ token }, row, by)
    const known = ({ tx }: Work) => findUser(tx, canonical)
    return this.#join(row, known, (work) => ensureUser(work, { ...person, verified: true }, by), by)
  }

  async decline(which: WhichInvite, user: User, by: By = {}): Promise<Declined> {
    const { row, about, reason } = await this.#find(which)
    if (!row) return this.#refuse(about, reason, user)
    if (row.subject !== user.canonical) return this.#otherAddress(which, row, user)
    if (!row.live) return this.#refuse(row.id, row.seen, user)
    if (user.verifiedAt === null) return { status: 'unverified' }
    const { value } = await this.#ground.locking(row.id).commit(async (work): Promise<string | undefined> => {
      const held = await holdUser(work.tx, user.id)
      if (held?.canonical !== row.subject || held.verifiedAt === null) return 'other-address'
      const change = await work.resources.revoke('invite', row.id, { actor: actorOf(user), ...by, reason: 'declined' })
      // Accepted, or withdrawn, since we looked.
      if (!change.moved) return change.resource.status
      work.changes.push(change)
      return undefined
    })
    return value === undefined ? { status: 'declined' } : this.#refuse(row.id, value, user)
  }

  /**
   * Writes `requested` down, once for each invite, and tells the inviter, if there is one, that its link is wanted again.
   * Says nothing to whoever asks.
   */
  async requestNew(token: string): Promise<void> {
    const { row } = await prove(this.#ground, 'invite', token)
    if (!row || row.live || row.seen === 'consumed' || row.seen === 'suspended') return
    await this.#ground.commit(async ({ tx, changes }) => {
      const owed = await notify(tx, row.id)
      if (owed.length > 0) changes.push({ timers: [], stale: [], owed })
    })
  }

  /** What waits for this user, newest first; nothing for one whose address is not verified. */
  async mine(user: User): Promise<{ invite: Invite; organization: Organization }[]> {
    if (user.verifiedAt === null) return []
    const invites = await this.#ground.resources.list(
      { kind: 'invite', subject: user.canonical, live: true },
      { limit: 200 },
    )
    const organizations = await this.#organizations.getAll(invites.map((invite) => invite.organizationId ?? ''))
    return invites.flatMap((invite) => {
      const organization = organizations.get(invite.organizationId ?? '')
      return organization ? [{ invite: invite as Invite, organization }] : []
    })
  }

  async #issue(work: Work, input: InviteInput, by: By, resendOf?: string) {
    const { email, canonical } = canonicalAddress('email', input.email)
    const organization = await lockOrganization(work.tx, input.organization)
    const inviter = input.invitedBy === undefined ? null : await this.#inviter(work, organization, input)
    const known = await findUser(work.tx, canonical)
    if (known && (await findMembership(work.tx, organization.id, known.id)))
      throw new LapseError('already_a_member', { field: 'email', detail: 'There is nothing to invite them to.' })
    const { deliver = 'mail', role } = input
    const { token, ...proof } = newToken('invite')
    const id = uuidv7()
    const sealed = deliver === 'mail' ? this.#ground.secrets.seal(id, { token }) : undefined
    const payload: InvitePayload = {
      email,
      role,
      organization: organization.name,
      inviter,
      ...(input.message !== undefined && { message: input.message }),
      ...(resendOf !== undefined && { resendOf }),
      mail: deliver === 'mail',
    }
    const change = await work.resources
      .issue(
        {
          ...{ kind: 'invite', id, organization: organization.id, scope: organization.id, subject: canonical },
          ...{ reference: referenceOf(organization.id, canonical), payload, proof, sealed },
          ...{ expiresAt: input.expiresAt, expiresInMs: input.expiresInMs },
        },
        inviter ? { ...by, actor: actorOf(inviter) } : by,
      )
      .catch((error) => {
        throw error instanceof LapseError && error.code === 'reference_taken'
          ? new LapseError('invite_live', { field: 'email', detail: 'Send it again, or withdraw it first.' })
          : error
      })
    work.changes.push(change)
    return { invite: change.resource as Invite, token: deliver === 'return' ? token : undefined }
  }

  /** Held until the commit: whoever loses the role meanwhile finds this invite and takes it along. */
  async #inviter({ tx }: Work, organization: Organization, { invitedBy = '', role }: InviteInput) {
    const user = await getUser(tx, invitedBy).catch((error) => {
      throw error instanceof LapseError && error.code === 'not_found'
        ? new LapseError('unknown_user', { field: 'invited_by', detail: 'Create the user first.' })
        : error
    })
    const membership = await findMembership(tx, organization.id, user.id, 'hold')
    if (!membership)
      throw new LapseError('role_too_high', { field: 'invited_by', detail: 'They are no member of the organization.' })
    if (roleRank(membership.role) < roleRank(role))
      throw new LapseError('role_too_high', { field: 'role', detail: `Theirs is ${membership.role}.` })
    return { id: user.id, name: user.name, email: user.email }
  }

  /** `find` answers who it is, as they are now; `make` who joins, whom the host vouches for being made if need be. */
  async #join(
    row: ProvableRow,
    find: (work: Work) => Promise<User | undefined>,
    make: (work: Work, known: User | undefined) => Promise<User | undefined>,
    by: By,
  ): Promise<Accepted> {
    const ground = this.#ground.locking(row.organizationId)
    const { value } = await ground.commit(async (work): Promise<Accepted | { refusal: string; by: By }> => {
      const organization = await lockOrganization(work.tx, row.organizationId ?? '').catch((error) => {
        if (error instanceof LapseError) return undefined
        throw error
      })
      if (!organization) return { refusal: row.seen === 'revoked' ? 'revoked' : 'suspended', by }
      const known = await find(work)
      const isTheirs = known?.canonical === row.subject
      const membership = isTheirs ? await findMembership(work.tx, organization.id, known.id) : undefined
      const use = async (own: By) => {
        const used = await work.resources.consume('invite', row.id, own)
        if (used.consumed) work.changes.push(used)
        return used
      }
      // Whoever is a member is told so, whatever became of the invite; a live one is used up by it.
      if (membership) {
        if (row.live) await use({ actor: actorOf({ id: membership.userId }), ...by })
        return { status: 'already-member', organization, membership }
      }
      if (!row.live) return { refusal: row.seen, by }
      if (await this.#isFull(organization, work)) return { status: 'full', organization }
      const user = await make(work, known)
      // Gone, or moved to another address, since they were asked who they are.
      if (user?.canonical !== row.subject || user.verifiedAt === null) return { refusal: 'other-address', by }
      const own = { actor: actorOf(user), ...by }
      const used = await use(own)
      if (!used.consumed) return { refusal: used.reason, by: own }
      const { role } = row.payload as InvitePayload
      const joined = await insertMembership(work.tx, { organizationId: organization.id, userId: user.id, role }, own)
      return { status: 'joined', organization, membership: joined }
    })
    return 'refusal' in value ? this.#refuse(row.id, value.refusal, value.by) : value
  }

  async #isFull(organization: Organization, work?: Work): Promise<boolean> {
    if (organization.seatLimit === null) return false
    return (await countMembers(work?.tx ?? this.#ground.sql, organization.id)) >= organization.seatLimit
  }

  async #find(which: WhichInvite): Promise<Omit<Proven, 'reason'> & { reason: string }> {
    if ('token' in which) return prove(this.#ground, 'invite', which.token)
    const row = isUuid(which.id) ? await readProvable(this.#ground.sql, 'invite', which) : undefined
    return { row, about: undefined, reason: 'unknown' }
  }

  /** By an id, which is no secret, nobody learns that there is such an invite. */
  async #otherAddress(which: WhichInvite, row: ProvableRow, by: User | By) {
    const denied = await this.#refuse(row.id, row.live ? 'other-address' : row.seen, by)
    return 'token' in which && row.live ? { status: 'other-address' as const } : denied
  }

  async #refuse(resourceId: string | undefined, reason: string, by: User | By) {
    const actor = 'canonical' in by ? actorOf(by) : by.actor
    await recordRefusal(this.#ground.sql, { kind: 'invite', resourceId, reason, actor })
    return { status: 'denied' as const }
  }
}

const read = async (db: Sql, id: string): Promise<ProvableRow> => {
  const row = isUuid(id) ? await readProvable(db, 'invite', { id }) : undefined
  if (!row) throw new LapseError('not_found')
  return row
}

const referenceOf = (organizationId: string, canonical: string): string => `${organizationId}:${canonical}`
