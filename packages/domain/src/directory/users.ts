import { cascade } from '../cascade.ts'
import { isRefusal, type Sql } from '../database.ts'
import { LapseError } from '../errors.ts'
import type { Ground, Work } from '../ground.ts'
import { type By, manual } from '../input.ts'
import { lineOf } from '../line.ts'
import type { Page } from '../resources.ts'
import { empty, type Fragment, now, sql } from '../store/live.ts'
import { type Address, canonicalAddress } from './address.ts'
import { type Membership, membershipFields } from './membership-store.ts'
import { removeMember } from './memberships.ts'
import { isAnId, json, logged, named, referenceOf, where } from './shared.ts'

export interface User extends Address {
  readonly id: string
  /** The host application's own id. */
  readonly reference: string | null
  readonly name: string | null
  /** When they proved, or the host vouched, that mail to the address is read by them. */
  readonly verifiedAt: Date | null
  readonly createdAt: Date
  readonly changedAt: Date
}

export interface UserInput {
  readonly email: string
  readonly name?: string | undefined
  readonly reference?: string | undefined
  /** The host application vouches for the address. */
  readonly verified?: boolean | undefined
}

export interface UserChanges {
  /** Unless `verified` comes with it, another address has yet to be verified. */
  readonly email?: string | undefined
  readonly name?: string | null | undefined
  readonly reference?: string | null | undefined
  readonly verified?: boolean | undefined
}

export interface UserFilter {
  readonly email?: string | undefined
  readonly reference?: string | undefined
}

export class Users {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /** @throws LapseError `invalid`, `address_taken`, `reference_taken` */
  async create(input: UserInput, by: By = {}): Promise<User> {
    const person = personOf(input)
    const { value } = await this.#ground.commit(async ({ tx }) => {
      const user = await insert(tx, person, by)
      if (user) return user
      await refuseTaken(tx, person)
      // Whoever stood in the way has gone in between.
      return existing(await insert(tx, person, by))
    })
    return value
  }

  /** @throws LapseError `not_found` */
  async get(idOrReference: string): Promise<User> {
    return getUser(this.#ground.sql, idOrReference)
  }

  /** By the address, however it is spelled. @throws LapseError `invalid` */
  async find({ email }: { email: string }): Promise<User | undefined> {
    return findUser(this.#ground.sql, canonicalAddress('email', email).canonical)
  }

  /** Newest first. @throws LapseError `invalid` */
  async list({ email, reference }: UserFilter = {}, page: Page = {}): Promise<User[]> {
    return this.#ground.sql.$queryRaw<User[]>(sql`
      SELECT ${fields} FROM directory_user ${where([
        email !== undefined && sql`canonical = ${canonicalAddress('email', email).canonical}`,
        reference !== undefined && sql`reference = ${reference}`,
        page.before !== undefined && sql`id < ${page.before}::uuid`,
      ])}
      ORDER BY id DESC LIMIT ${page.limit ?? 50}::int`)
  }

  /**
   * Another address takes the place of the old one, and with it ends what was sent there to prove it.
   *
   * @throws LapseError `invalid`, `not_found`, `address_taken`, `reference_taken`
   */
  async update(idOrReference: string, changes: UserChanges, by: By = {}): Promise<User> {
    const { email, name, reference, verified } = changes
    const address = email === undefined ? undefined : canonicalAddress('email', email)
    const { value } = await this.#ground.locking(idOrReference).commit(async (work) => {
      const was = existing(await read(work.tx, named(idOrReference), forUpdate))
      const moves = address !== undefined && address.canonical !== was.canonical
      const is = await change(
        work,
        was,
        {
          ...(address ?? { email: was.email, canonical: was.canonical }),
          name: name === undefined ? was.name : nameOf(name),
          reference: reference === undefined ? was.reference : referenceOf(reference),
          verified: verified ?? (was.verifiedAt !== null && !moves),
        },
        by,
      )
      // What was sent to either would prove it for somebody else now.
      if (moves)
        for (const subject of [was.canonical, is.canonical])
          await cascade(work, 'revoke', { kind: 'verification', subject }, by)
      return is
    })
    return value
  }

  /**
   * Removes their memberships with all that goes with them, signs them out everywhere, and forgets name and address. What
   * the audit keeps is their id. What was sent to them, or by them, names them until it is purged.
   *
   * @throws LapseError `not_found`
   */
  async delete(idOrReference: string, by: By = {}): Promise<User> {
    const { value } = await this.#ground.locking(idOrReference).commit(async (work) => {
      const { tx } = work
      const { id } = existing(await read(tx, named(idOrReference)))
      await lockOrganizationsOf(tx, id)
      const user = existing(await read(tx, sql`id = ${id}::uuid`, forUpdate))
      // For what they have joined in between. From here on they join nothing more.
      await lockOrganizationsOf(tx, id)
      for (let more = true; more; ) {
        const memberships = await tx.$queryRaw<Membership[]>(sql`
          SELECT ${membershipFields} FROM directory_membership WHERE user_id = ${id}::uuid ORDER BY id LIMIT ${atATime}::int`)
        for (const membership of memberships)
          await removeMember(work, membership, { ...manual(by), trigger: 'cascade' }, by)
        more = memberships.length === atATime
      }
      await cascade(work, 'revoke', { kind: 'session', subject: id }, by)
      for (const kind of ['verification', 'invite'])
        await cascade(work, 'revoke', { kind, subject: user.canonical }, by)
      await tx.$queryRaw(sql`
        WITH changed AS (DELETE FROM directory_user WHERE id = ${id}::uuid RETURNING id, ${now} AS at),
        ${logged('user', 'deleted', manual(by), json({ before: traceOf(user) }))}
        SELECT id FROM changed`)
      return user
    })
    return value
  }
}

/** @throws LapseError `not_found` */
export const getUser = async (db: Sql, idOrReference: string): Promise<User> =>
  existing(await read(db, named(idOrReference)))

export const findUser = (db: Sql, canonical: string): Promise<User | undefined> =>
  read(db, sql`canonical = ${canonical}`)

/** By the id alone, for what says who somebody is. */
export const userOfId = (db: Sql, id: string): Promise<User | undefined> => read(db, sql`id = ${id}::uuid`)

/** A host's account whose address nobody has proven yet: whoever has the address may not be whoever has the account. */
export const isClaimed = (user: User): boolean => user.verifiedAt === null && user.reference !== null

/** Waits for whoever changes this user, and keeps them from being changed before the commit. */
export const holdUser = (tx: Sql, id: string): Promise<User | undefined> =>
  read(tx, sql`id = ${id}::uuid`, sql`FOR SHARE`)

/**
 * The user with this address, who is made if there is none. What the directory knows already is kept: a name and a
 * reference are only added.
 *
 * @throws LapseError `invalid`, `reference_taken`, `address_taken` when they have another reference
 */
export const ensureUser = async (work: Work, input: UserInput, by: By): Promise<User> => {
  const { tx } = work
  const person = personOf(input)
  const known = () => read(tx, sql`canonical = ${person.canonical}`, forUpdate)
  let was = await known()
  if (!was) {
    const user = await insert(tx, person, by)
    if (user) return user
    was = await known()
  }
  if (!was) {
    await refuseTaken(tx, person)
    return existing(await insert(tx, person, by))
  }
  if (person.reference !== null && was.reference !== null && person.reference !== was.reference)
    throw new LapseError('address_taken', { field: 'reference', detail: 'The user with this address has another one.' })
  const { email, canonical } = was
  const [name, reference] = [was.name ?? person.name, was.reference ?? person.reference]
  return change(
    work,
    was,
    { email, canonical, name, reference, verified: person.verified || was.verifiedAt !== null },
    by,
  )
}

/** They have shown to read mail sent to this address. Locks them, for what else follows from it. */
export const verifyUser = async (work: Work, canonical: string, by: By): Promise<User | undefined> => {
  const was = await read(work.tx, sql`canonical = ${canonical}`, forUpdate)
  return was && change(work, was, { ...was, verified: true }, by)
}

interface Person extends Address {
  readonly name: string | null
  readonly reference: string | null
  readonly verified: boolean
}

const personOf = ({ email, name, reference, verified = false }: UserInput): Person => ({
  ...canonicalAddress('email', email),
  name: nameOf(name ?? null),
  reference: referenceOf(reference),
  verified,
})

const nameOf = (name: string | null): string | null => (name === null ? null : lineOf('name', name, 200))

const fields = sql`id, reference, email, canonical, name, verified_at AS "verifiedAt", created_at AS "createdAt",
  changed_at AS "changedAt"`

const forUpdate = sql`FOR UPDATE`

const read = async (db: Sql, condition: Fragment, lock: Fragment = empty): Promise<User | undefined> => {
  const [user] = await db.$queryRaw<User[]>(sql`SELECT ${fields} FROM directory_user WHERE ${condition} ${lock}`)
  return user
}

const existing = (user: User | undefined): User => {
  if (!user) throw new LapseError('not_found', { detail: 'There is no such user.' })
  return user
}

/** Nothing when the address or the reference is taken. */
const insert = async (tx: Sql, person: Person, by: By): Promise<User | undefined> => {
  const { email, canonical, name, reference, verified } = person
  const [user] = await tx.$queryRaw<User[]>(sql`
    WITH changed AS (
      INSERT INTO directory_user (reference, email, canonical, name, verified_at, created_at, changed_at)
      SELECT ${reference}::text, ${email}, ${canonical}, ${name}::text, CASE WHEN ${verified} THEN c.at END, c.at, c.at
      FROM (SELECT ${now} AS at) c
      WHERE NOT ${isAnId(sql`directory_user`, reference)}
      ON CONFLICT DO NOTHING
      RETURNING *, changed_at AS at
    ), ${logged('user', 'created', manual(by), json({ after: { reference, verified } }))}
    SELECT ${fields} FROM changed`)
  return user
}

/**
 * Writes what is different, if anything is. An address that is verified now may have been claimed before by somebody else:
 * whoever was signed in until then is signed out.
 */
const change = async (work: Work, was: User, is: Person, by: By): Promise<User> => {
  const { tx } = work
  const changed = (['email', 'name', 'reference'] as const).filter((field) => is[field] !== was[field])
  const verifies = is.verified !== (was.verifiedAt !== null)
  // A new address that comes verified has been verified anew.
  const renews = is.verified && is.canonical !== was.canonical
  if (changed.length === 0 && !verifies) return was
  await refuseTaken(tx, is, was.id)
  const type = changed.length === 0 && is.verified ? 'verified' : 'updated'
  const before = traceOf(was)
  const data = json({ changed, before, after: { reference: is.reference, verified: is.verified } })
  const keeps = is.verified && !verifies && !renews
  const [user] = await tx
    .$queryRaw<User[]>(sql`
    WITH changed AS (
      UPDATE directory_user u SET email = ${is.email}, canonical = ${is.canonical}, name = ${is.name},
        reference = ${is.reference}, changed_at = c.at,
        verified_at = CASE WHEN ${keeps} THEN u.verified_at WHEN ${is.verified} THEN c.at END
      FROM (SELECT ${now} AS at) c
      WHERE u.id = ${was.id}::uuid RETURNING u.*, c.at
    ), ${logged('user', type, manual(by), data)}
    SELECT ${fields} FROM changed`)
    .catch((error) => {
      // Somebody has taken it since we looked.
      throw isRefusal(error) ? takenError(error.message.includes('reference') ? 'reference' : 'email') : error
    })
  if (is.verified && !keeps)
    await cascade(work, 'revoke', { kind: 'session', subject: was.id }, { ...by, reason: 'address verified' })
  return existing(user)
}

/** @throws LapseError `address_taken`, `reference_taken` */
const refuseTaken = async (tx: Sql, { canonical, reference }: Person, exceptId?: string): Promise<void> => {
  const [holder] = await tx.$queryRaw<{ address: boolean }[]>(sql`
    SELECT canonical = ${canonical} AS address FROM directory_user
    WHERE (canonical = ${canonical} ${reference === null ? empty : sql`OR ${named(reference)}`})
      ${exceptId === undefined ? empty : sql`AND id <> ${exceptId}::uuid`}
    ORDER BY address DESC LIMIT 1`)
  if (holder) throw takenError(holder.address ? 'email' : 'reference')
}

const takenError = (field: 'email' | 'reference'): LapseError =>
  field === 'email'
    ? new LapseError('address_taken', { field, detail: 'Find that user by the address, and use or change them.' })
    : new LapseError('reference_taken', { field, detail: 'Another user has it.' })

/** Memberships that are held in memory while they are removed. */
const atATime = 500

const lockOrganizationsOf = (tx: Sql, userId: string) =>
  tx.$executeRaw(sql`
    SELECT count(*) FROM (
      SELECT id FROM directory_organization
      WHERE id IN (SELECT organization_id FROM directory_membership WHERE user_id = ${userId}::uuid)
      ORDER BY id FOR UPDATE
    ) AS held`)

/** What the audit may keep. */
const traceOf = (user: User) => ({ reference: user.reference, verified: user.verifiedAt !== null })
