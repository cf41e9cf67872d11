import { cascade } from '../cascade.ts'
import type { TimerState } from '../change.ts'
import { LapseError } from '../errors.ts'
import type { Ground, Work } from '../ground.ts'
import type { By } from '../input.ts'
import type { Page } from '../resources.ts'
import { resourceOf } from '../seen.ts'
import { type Count, exactly } from '../store/listing.ts'
import type { SeenRow } from '../store/live.ts'
import { checkTriple, type Grant, grantOf, type Triple } from './grant.ts'
import {
  countGrants,
  type GrantFilter,
  listGrants,
  placeOf,
  readStanding,
  readStandings,
  type Standing,
  walkGrants,
} from './grant-store.ts'
import { type GrantChanges, type WatchOptions, watchGrants } from './watch.ts'
import { type GrantInput, type GrantUpdate, type Path, type Written, writeGrants } from './write.ts'

/** In which organization, by its id or the host application's own; in none without. */
export interface Place {
  readonly organization?: string | undefined
}

export type DeleteFilter = { readonly [F in keyof (Triple & Place)]?: string | undefined }

export type Granted = Grant & { readonly timer: TimerState }

/** `until`: when the last of those ends that stand for it now. */
export interface GrantVerdict {
  readonly allowed: boolean
  readonly until: Date | null
}

const most = 1_000
const mostChecks = 100

/** There may be very many of one side. */
const longestMs = 5 * 60_000

/**
 * Who may do what to which, until it ends by itself. A triple means something within its organization: what one
 * organization grants is nothing to another, nor to what belongs to none.
 */
export class AccessGrants {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /**
   * @throws LapseError `invalid`, `grant_live`, `lifetime_too_short`, `lifetime_too_long`, `unknown_organization`,
   *   `organization_not_active`
   */
  create({ organization, ...input }: GrantInput & Place, by: By = {}): Promise<Granted> {
    return this.#writeOne({ ...input, op: 'create' }, { ...by, organization })
  }

  /** Gives it this end if it stands, an earlier one too; else grants it anew. @throws LapseError as `create`, but for `grant_live` */
  touch({ organization, ...input }: GrantInput & Place, by: By = {}): Promise<Granted> {
    return this.#writeOne({ ...input, op: 'touch' }, { ...by, organization })
  }

  /** Ends what stands for this triple, of one source or of all, and says how many that were; quiet when there is none. */
  async delete(
    { organization, ...which }: Triple & Place & { source?: string | undefined },
    by: By = {},
  ): Promise<number> {
    const { value } = await writeGrants(this.#ground, [{ ...which, op: 'delete' }], { ...by, organization }, alone)
    const [written] = value
    return written?.outcome === 'deleted' ? written.count : 0
  }

  /**
   * Up to 1,000 updates, all or none.
   *
   * @throws LapseError as `create`; `field` begins with `updates` and the index of the one at fault
   */
  async write(
    updates: readonly GrantUpdate[],
    by: By & Place = {},
  ): Promise<{ readonly written: readonly Written[]; readonly timer: TimerState }> {
    atMost('updates', updates, most)
    const { value, timer } = await writeGrants(this.#ground, updates, by, (i) => `updates.${i}.`)
    return { written: value, timer }
  }

  /** Creates up to 1,000, all or none. @throws LapseError as `create`; `field` begins with `items` and an index */
  async import(inputs: readonly GrantInput[], by: By & Place = {}): Promise<Granted[]> {
    atMost('items', inputs, most)
    const updates = inputs.map((input) => ({ ...input, op: 'create' as const }))
    const { value, timer } = await writeGrants(this.#ground, updates, by, (i) => `items.${i}.`)
    return value.map((written) => ({ ...grantIn(written), timer }))
  }

  /**
   * Ends all that stand for a resource or for a subject, as when one of them is removed, and says how many: those of one
   * organization, or all of them.
   *
   * @throws LapseError `invalid`, `unknown_organization`
   */
  async deleteAll({ resource, relation, subject, organization }: DeleteFilter, by: By = {}): Promise<number> {
    checkTriple({ resource, relation, subject })
    if (resource === undefined && subject === undefined)
      throw new LapseError('invalid', { field: 'resource', detail: 'Say of which resource, or of which subject.' })
    const act = async (work: Work) => {
      const organizationId = organization === undefined ? undefined : await placeOf(work.tx, organization)
      const which = { kind: 'access-grant', scope: resource, relation, subject, organizationId }
      return cascade(work, 'revoke', which, by)
    }
    return (await this.#ground.locking(organization).commit(act, { timeoutMs: longestMs })).value
  }

  /** Whether it holds now, by the database's clock. One indexed read. @throws LapseError `invalid` */
  async check({ organization, ...triple }: Triple & Place): Promise<GrantVerdict> {
    checkTriple(triple)
    const standing = await readStanding(this.#ground.checks, triple, organization)
    await this.#lapse([standing])
    return verdictOf(standing)
  }

  /** Up to 100 at once, in their order. @throws LapseError `invalid`; `field` begins with `items` and an index */
  async checkMany(triples: readonly Triple[], { organization }: Place = {}): Promise<GrantVerdict[]> {
    atMost('items', triples, mostChecks)
    for (const [i, triple] of triples.entries()) checkTriple(triple, `items.${i}.`)
    const found = await readStandings(this.#ground.checks, triples, organization)
    await this.#lapse(found)
    return found.map(verdictOf)
  }

  /** Newest first. @throws LapseError `too_broad` */
  async list(filter: GrantFilter = {}, { before, limit = 50 }: Page = {}): Promise<Grant[]> {
    checkTriple(filter)
    return this.#seen(await listGrants(this.#ground.sql, filter, { before, limit }))
  }

  /** How many there are. @throws LapseError `too_broad` where `tally` does not know exactly */
  async count(filter: GrantFilter = {}): Promise<number> {
    return exactly(await this.tally(filter))
  }

  /** The same, or how many there are at least: so many rows are looked at and no more. */
  async tally(filter: GrantFilter = {}): Promise<Count> {
    checkTriple(filter)
    return countGrants(this.#ground.sql, filter)
  }

  /** All that hold, the oldest first, read page by page as they are asked for. */
  async *export(filter: Omit<GrantFilter, 'live'> = {}): AsyncGenerator<Grant[], void> {
    checkTriple(filter)
    for (let after: string | undefined; ; ) {
      const { rows, stoppedAt } = await walkGrants(this.#ground.sql, filter, { after, limit: most })
      if (rows.length > 0) yield this.#seen(rows)
      if (stoppedAt === null && rows.length < most) return
      after = stoppedAt ?? rows.at(-1)?.id
    }
  }

  /**
   * What has happened to grants since `cursor`, their expirations included, complete and in the order of the transactions.
   *
   * @throws LapseError `invalid`
   */
  async watch(options: WatchOptions = {}): Promise<GrantChanges> {
    checkTriple(options)
    return watchGrants(this.#ground.sql, options)
  }

  async #writeOne(update: GrantUpdate, where: By & Place): Promise<Granted> {
    const { value, timer } = await writeGrants(this.#ground, [update], where, alone)
    return { ...grantIn(value[0] as Written), timer }
  }

  #seen(rows: readonly SeenRow[]): Grant[] {
    return rows.map((row) => grantOf(resourceOf(row, this.#ground.registry)))
  }

  /** The first that are over are lapsed on the way; the answer stands whatever becomes of that. */
  async #lapse(standings: readonly Standing[]): Promise<void> {
    const { resources, report } = this.#ground
    const over = standings.flatMap((standing) => standing.over ?? []).slice(0, mostLapsed)
    const lapsing = over.map((id) => resources.check('access-grant', id).catch((error) => report(error, 'lapse')))
    await Promise.all(lapsing)
  }
}

/** As many as a check lapses: fewer than there are connections. The rest is denied all the same, and the sweep's. */
const mostLapsed = 5

const verdictOf = ({ until }: Standing): GrantVerdict => ({ allowed: until !== null, until })

const alone: Path = () => ''

const grantIn = (written: Written): Grant => {
  if (written.outcome === 'deleted') throw new Error('a grant was asked for, and deleted')
  return written.grant
}

const atMost = (field: string, list: readonly unknown[], count: number): void => {
  if (list.length < 1 || list.length > count)
    throw new LapseError('invalid', { field, detail: `From 1 to ${count} of them.` })
}
