import { cascade } from '../cascade.ts'
import type { Sql } from '../database.ts'
import { LapseError } from '../errors.ts'
import type { Ground } from '../ground.ts'
import { type By, manual } from '../input.ts'
import { lineOf } from '../line.ts'
import type { Page } from '../resources.ts'
import type { CascadeVerb } from '../store/cascade.ts'
import { greatestUuid, type Listed, leastUuid, listAlong, type Way } from '../store/listing.ts'
import { among, empty, type Fragment, now, sql } from '../store/live.ts'
import { deleteMembers } from './membership-store.ts'
import { isAnId, json, logged, named, referenceOf } from './shared.ts'

export type OrganizationStatus = 'active' | 'suspended' | 'deleted'

/** Whom resources are issued in; what happens to it happens to them. */
export interface Organization {
  readonly id: string
  /** The host application's own id. */
  readonly reference: string | null
  readonly name: string
  readonly status: OrganizationStatus
  readonly plan: string | null
  /** `null`: any number of members. */
  readonly seatLimit: number | null
  readonly createdAt: Date
  readonly changedAt: Date
}

export interface OrganizationInput {
  readonly name: string
  readonly reference?: string | undefined
  readonly plan?: string | undefined
  readonly seatLimit?: number | undefined
}

export interface OrganizationChanges {
  readonly name?: string | undefined
  readonly plan?: string | null | undefined
  /** Members beyond it stay; nobody joins. */
  readonly seatLimit?: number | null | undefined
}

export interface OrganizationFilter {
  readonly status?: OrganizationStatus | undefined
  readonly reference?: string | undefined
}

/** What became of an organization, and how many resources it befell. */
export interface Befallen {
  readonly organization: Organization
  readonly affected: number
}

interface Act {
  readonly type: 'suspended' | 'restored' | 'deleted'
  readonly to: OrganizationStatus
  readonly cascade: CascadeVerb
}

const acts = {
  suspend: { type: 'suspended', to: 'suspended', cascade: 'suspend' },
  // What a deletion has revoked has ended: of a deleted organization nothing comes back.
  restore: { type: 'restored', to: 'active', cascade: 'restore' },
  delete: { type: 'deleted', to: 'deleted', cascade: 'revoke' },
} as const satisfies Record<string, Act>

export class Organizations {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /** @throws LapseError `invalid`, `reference_taken` */
  async create(input: OrganizationInput, by: By = {}): Promise<Organization> {
    const name = nameOf(input.name)
    const reference = referenceOf(input.reference)
    const [plan, seatLimit] = [planOf(input.plan ?? null), seatLimitOf(input.seatLimit ?? null)]
    const data = json({ after: { reference, name, plan, seat_limit: seatLimit } })
    const { value } = await this.#ground.commit(({ tx }) =>
      tx.$queryRaw<Organization[]>(sql`
      WITH changed AS (
        INSERT INTO directory_organization (reference, name, plan, seat_limit, created_at, changed_at)
        SELECT ${reference}::text, ${name}::text, ${plan}::text, ${seatLimit}::int, c.at, c.at FROM (SELECT ${now} AS at) c
        WHERE NOT ${isAnId(sql`directory_organization`, reference)}
        ON CONFLICT DO NOTHING
        RETURNING *, changed_at AS at
      ), ${logged('organization', 'created', manual(by), data)}
      SELECT ${fields} FROM changed`),
    )
    const [organization] = value
    if (!organization)
      throw new LapseError('reference_taken', { field: 'reference', detail: 'Another organization has it.' })
    return organization
  }

  /** Deleted ones too. @throws LapseError `not_found` */
  async get(idOrReference: string): Promise<Organization> {
    return existing(await read(this.#ground.sql, idOrReference))
  }

  /** Those of these ids that there are, deleted ones too, by their ids: one statement for all. */
  async getAll(ids: readonly string[]): Promise<ReadonlyMap<string, Organization>> {
    const found = new Map<string, Organization>()
    for (let from = 0; from < ids.length; from += readTogether) {
      const rows = await this.#ground.sql.$queryRaw<Organization[]>(
        sql`SELECT ${fields} FROM directory_organization WHERE ${among(ids.slice(from, from + readTogether))}`,
      )
      for (const row of rows) found.set(row.id, row)
    }
    return found
  }

  /** Newest first. */
  list(filter: OrganizationFilter = {}, page: Page = {}): Promise<Organization[]> {
    return listOrganizations(this.#ground.sql, filter, page)
  }

  /** @throws LapseError `invalid`, `not_found`, `organization_not_active` for a deleted one */
  async update(idOrReference: string, changes: OrganizationChanges, by: By = {}): Promise<Organization> {
    const wanted = {
      ...(changes.name !== undefined && { name: nameOf(changes.name) }),
      ...(changes.plan !== undefined && { plan: planOf(changes.plan) }),
      ...(changes.seatLimit !== undefined && { seatLimit: seatLimitOf(changes.seatLimit) }),
    }
    const { value } = await this.#ground.locking(idOrReference).commit(async ({ tx }) => {
      const was = existing(await lock(tx, idOrReference))
      if (was.status === 'deleted')
        throw new LapseError('organization_not_active', { detail: 'Restore the organization first.' })
      const is = { ...was, ...wanted }
      if (is.name === was.name && is.plan === was.plan && is.seatLimit === was.seatLimit) return was
      const data = json({ before: termsOf(was), after: termsOf(is) })
      const [organization] = await tx.$queryRaw<Organization[]>(sql`
        WITH changed AS (
          UPDATE directory_organization
          SET name = ${is.name}, plan = ${is.plan}, seat_limit = ${is.seatLimit}::int, changed_at = ${now}
          WHERE id = ${was.id}::uuid RETURNING *, changed_at AS at
        ), ${logged('organization', 'updated', manual(by), data)}
        SELECT ${fields} FROM changed`)
      return existing(organization)
    })
    return value
  }

  /**
   * Blocks everything in it until it is restored; time goes on for it meanwhile. Quiet when it is suspended already.
   *
   * @throws LapseError `not_found`, `organization_not_active` for a deleted one
   */
  suspend(idOrReference: string, by: By = {}): Promise<Befallen> {
    return this.#befall(idOrReference, acts.suspend, by)
  }

  /**
   * Makes it active again, and with it what a suspension has blocked and what is still in date. A deleted one begins anew:
   * its resources stay revoked, and it has no members. Quiet when it is active.
   *
   * @throws LapseError `not_found`
   */
  restore(idOrReference: string, by: By = {}): Promise<Befallen> {
    return this.#befall(idOrReference, acts.restore, by)
  }

  /** Revokes everything in it for good, and removes its members. Quiet when it is deleted. @throws LapseError `not_found` */
  delete(idOrReference: string, by: By = {}): Promise<Befallen> {
    return this.#befall(idOrReference, acts.delete, by)
  }

  /** The lock comes first: whoever issues in it holds it too, and so either is found by the cascade or sees the new status. */
  async #befall(idOrReference: string, act: Act, by: By): Promise<Befallen> {
    const { value } = await this.#ground.locking(idOrReference).commit(async (work) => {
      const was = existing(await lock(work.tx, idOrReference))
      if (was.status === act.to) return { organization: was, affected: 0 }
      if (was.status === 'deleted' && act !== acts.restore)
        throw new LapseError('organization_not_active', { detail: 'It is deleted; what is deleted is not suspended.' })
      const data = json({ before: { status: was.status }, after: { status: act.to } })
      const [organization] = await work.tx.$queryRaw<Organization[]>(sql`
        WITH changed AS (
          UPDATE directory_organization SET status = ${act.to}::lapse_organization_status, changed_at = ${now}
          WHERE id = ${was.id}::uuid RETURNING *, changed_at AS at
        ), ${logged('organization', act.type, manual(by), data)}
        SELECT ${fields} FROM changed`)
      const affected = await cascade(work, act.cascade, { organizationId: was.id }, by)
      if (act === acts.delete)
        await deleteMembers(work.tx, sql`organization_id = ${was.id}::uuid`, { ...manual(by), trigger: 'cascade' })
      return { organization: existing(organization), affected }
    }, patient)
    return value
  }
}

/** Ids in one parameter: more would only make one statement longer than others may take. */
const readTogether = 1_000

/**
 * A large organization takes its time; what must not wait for it gives up waiting. The answer says nothing of timers, so it does
 * not wait until some hundred thousand of them have been taken back.
 */
const patient = { timeoutMs: 5 * 60_000, tellLater: true }

/**
 * Held until the commit. Whoever counts its seats, or must not be overtaken by its suspension, begins with this.
 *
 * @throws LapseError `unknown_organization`, `organization_not_active`
 */
export const lockOrganization = async (tx: Sql, idOrReference: string): Promise<Organization> => {
  const organization = await lock(tx, idOrReference)
  if (!organization) throw new LapseError('unknown_organization', { field: 'organization', detail: 'Create it first.' })
  if (organization.status !== 'active')
    throw new LapseError('organization_not_active', {
      field: 'organization',
      detail: `It is ${organization.status}. Restore it first.`,
    })
  return organization
}

const fields = sql`id, reference, name, status, plan, seat_limit AS "seatLimit", created_at AS "createdAt",
  changed_at AS "changedAt"`

const listed: Listed = { table: sql`directory_organization r`, keys: [sql`r.id`], fields }

/** A reference is one organization's. */
const listOrganizations = (db: Sql, filter: OrganizationFilter, { before, limit = 50 }: Page) => {
  const { status, reference } = filter
  const state = sql`${status}::lapse_organization_status`
  const way: Way =
    reference !== undefined
      ? {
          columns: [],
          values: [],
          lanes: sql`(SELECT WHERE false)`,
          match: status === undefined ? [] : [sql`r.status = ${state}`],
          besides: [sql`r.reference = ${reference}`],
        }
      : status !== undefined
        ? { columns: [sql`r.status`], values: [state], match: [] }
        : { columns: [], values: [], match: [] }
  const below = [before === undefined ? greatestUuid : sql`${before}::uuid`]
  return listAlong<Organization>(db, listed, [way], { below, from: [leastUuid], limit }, filter, '')
}

const read = async (db: Sql, idOrReference: string, lock: Fragment = empty): Promise<Organization | undefined> => {
  const [row] = await db.$queryRaw<Organization[]>(
    sql`SELECT ${fields} FROM directory_organization WHERE ${named(idOrReference)} ${lock}`,
  )
  return row
}

const lock = (tx: Sql, idOrReference: string) => read(tx, idOrReference, sql`FOR UPDATE`)

const existing = (organization: Organization | undefined): Organization => {
  if (!organization) throw new LapseError('not_found', { detail: 'There is no such organization.' })
  return organization
}

const termsOf = ({ name, plan, seatLimit }: Organization) => ({ name, plan, seat_limit: seatLimit })

const nameOf = (name: string): string => lineOf('name', name, 200)

const planOf = (plan: string | null): string | null => (plan === null ? null : lineOf('plan', plan, 100))

const seatLimitOf = (seats: number | null): number | null => {
  if (seats !== null && !(Number.isInteger(seats) && seats >= 0 && seats < 2 ** 31))
    throw new LapseError('invalid', { field: 'seat_limit', detail: 'A whole number from 0 on, or null for no limit.' })
  return seats
}
