import { setTimeout as sleep } from 'node:timers/promises'
import { validate as isUuid } from 'uuid'
import type { Advanced, Advancer } from './advance.ts'
import { type Lane, unabortable } from './caller.ts'
import { type Change, changeOf, unchanged } from './change.ts'
import type { Database, Sql } from './database.ts'
import { LapseError } from './errors.ts'
import type { Prisma } from './generated/prisma/client.ts'
import { runHooks } from './hooks.ts'
import {
  type By,
  draftOf,
  type End,
  endField,
  endOf,
  issueError,
  lifetimeError,
  manual,
  type ProvenInput,
} from './input.ts'
import { issuedTogether } from './issued-together.ts'
import type { EventType, Kind, Resource } from './kind.ts'
import { hasEnded, type LifetimeRefusal } from './lifecycle.ts'
import type { Registry } from './registry.ts'
import { resourceOf } from './seen.ts'
import {
  batchesOf,
  type Draft,
  type IssuedRow,
  insertResources,
  issuedBatch,
  type MaybeIssuedRow,
} from './store/issue.ts'
import { type Count, exactly } from './store/listing.ts'
import type { SeenRow } from './store/live.ts'
import { readByReference, readWholeResource, resourcesById, type Selector } from './store/read.ts'
import { freeReferences, readDeadHolders } from './store/references.ts'
import { countResources, listResources, type ResourceFilter } from './store/resource-list.ts'
import {
  consumeResource,
  expireResource,
  renewResource,
  revokeResource,
  type TransitionRow,
} from './store/transition.ts'
import { storableText } from './text.ts'

export type Denial = 'unknown' | 'expired' | 'revoked' | 'consumed' | 'suspended' | 'scheduled'

/** The answer to "may it be used now?". */
export type CheckResult =
  | { readonly allowed: true; readonly phase: 'active' | 'grace'; readonly resource: Resource }
  | { readonly allowed: false; readonly reason: Denial; readonly resource?: Resource }

export type ConsumeResult =
  | ({ readonly consumed: true } & Change)
  | {
      readonly consumed: false
      /** `used_up`: as often as this holder may. */
      readonly reason: Denial | 'used_up'
      readonly resource?: Resource
    }

export interface Page {
  readonly before?: string | undefined
  /** 1 to 200; 50 unless said otherwise. */
  readonly limit?: number | undefined
}

/** The verbs on resources. `db` is the database, or a transaction that something else must commit with. */
export class Resources {
  readonly #database: Database
  readonly #tx: Prisma.TransactionClient | undefined
  readonly #registry: Registry
  readonly #advancer: Advancer
  readonly #onLapsed: (advanced: Advanced) => void
  readonly #byId: ReturnType<typeof resourcesById>
  readonly #together: (draft: Draft, by: By) => Promise<IssuedRow | undefined>

  constructor(
    database: Database,
    registry: Registry,
    advancer: Advancer,
    onLapsed: (advanced: Advanced) => void,
    tx?: Prisma.TransactionClient,
  ) {
    this.#database = database
    this.#registry = registry
    this.#advancer = advancer
    this.#onLapsed = onLapsed
    this.#tx = tx
    this.#byId = resourcesById(this.#checks)
    this.#together = issuedTogether<IssuedRow | undefined>(async (drafts, by) => {
      const rows = await insertResources(this.#db, drafts, manual(by), registry, 'each')
      return rows.map((row, i) => this.#issuedOf(row, drafts[i] as Draft, ''))
    })
  }

  /** The same verbs inside a transaction. */
  within(tx: Prisma.TransactionClient): Resources {
    return new Resources(this.#database, this.#registry, this.#advancer, this.#onLapsed, tx)
  }

  /** The same verbs by the connections of this lane. */
  on(lane: Lane): Resources {
    return new Resources(this.#database.on(lane), this.#registry, this.#advancer, this.#onLapsed, this.#tx)
  }

  /** Where resources of this kind are issued and used, when that is not here. */
  verbsOf(kindName: string): string | undefined {
    return this.#registry.find(kindName)?.verbs
  }

  /**
   * @throws LapseError `invalid`, `unknown_kind`, `lifetime_too_short`, `lifetime_too_long`, `reference_taken`,
   *   `unknown_organization`, `organization_not_active`
   */
  async issue(input: ProvenInput, by: By = {}): Promise<Change> {
    const kind = this.#registry.get(input.kind)
    const draft = draftOf(kind, input, '')
    for (let tries = 0; ; tries++) {
      const insert = () => this.#insert([kind], [draft], by, () => '')
      const locks = this.#tx ? undefined : draft.organization
      const [issued] = this.#waitsForNobody(kind, draft)
        ? [await this.#together(draft, by)]
        : await this.#database.locks.run(locks, insert)
      if (issued) return changeOf(issued, this.#registry)
      // The reference is taken. If its holder is over by the clock it makes room; else it is live.
      const { organization = undefined, reference = '' } = input
      const holder = await readByReference(this.#db, kind.name, { reference, organization })
      if ((holder && !hasEnded(holder.seen)) || tries === 2)
        throw new LapseError('reference_taken', {
          field: 'reference',
          ...(holder && { detail: `It belongs to ${holder.id}.` }),
        })
      if (holder) await this.#makeRoom(kind, [holder.id])
    }
  }

  /**
   * Issues all, or none.
   *
   * @throws LapseError as `issue`; `field` begins with the index of the one at fault
   */
  async issueAll(inputs: readonly ProvenInput[], by: By = {}): Promise<Change[]> {
    const kinds = inputs.map((input, i) => this.#registry.get(input.kind, `${i}.kind`))
    const drafts = inputs.map((input, i) => draftOf(kinds[i] as Kind, input, `${i}.`))
    const insert = async (tx?: Prisma.TransactionClient) => {
      const issued: (IssuedRow | undefined)[] = new Array(drafts.length)
      for (const places of batchesOf(drafts)) {
        const batch = places.map((place) => drafts[place] as Draft)
        const own = [...new Set(places.map((place) => kinds[place] as Kind))]
        const rows = await this.#insert(own, batch, by, (i) => `${places[i]}.`, tx)
        for (const [i, place] of places.entries()) issued[place] = rows[i]
      }
      const taken = issued.indexOf(undefined)
      if (taken >= 0) throw new LapseError('reference_taken', { field: `${taken}.reference` })
      return (issued as IssuedRow[]).map((row) => changeOf(row, this.#registry))
    }
    // Where nothing can be taken the one statement is all or none by itself, and a transaction would only cost time.
    const isOne = drafts.length <= issuedBatch
    if (isOne && inputs.every(({ id, reference }) => id === undefined && reference === undefined))
      return insert(this.#tx)
    const dead: Awaited<ReturnType<typeof readDeadHolders>> = []
    for (const places of batchesOf(drafts))
      dead.push(
        ...(await readDeadHolders(
          this.#db,
          places.map((place) => drafts[place] as Draft),
        )),
      )
    for (const kind of new Set(kinds))
      await this.#makeRoom(
        kind,
        dead.filter((holder) => holder.kind === kind.name).map(({ id }) => id),
      )
    return this.#atomically(insert)
  }

  /** Answers by the database's clock. What is over is denied, and then lapsed if nobody has done it yet. */
  async check(kindName: string, selector: Selector): Promise<CheckResult> {
    const kind = this.#registry.get(kindName)
    const row = await this.#read(kindName, selector)
    if (!row) return { allowed: false, reason: 'unknown' }
    const resource = this.#seen(row)
    if (row.seen === 'active' || row.seen === 'grace') return { allowed: true, phase: row.seen, resource }
    // The denial stands whatever becomes of this: the sweep does it otherwise.
    if (hasEnded(row.seen) && !hasEnded(row.status)) await this.#lapseQuietly(kind, row.id)
    return { allowed: false, reason: row.seen as Denial, resource }
  }

  /**
   * Uses it once, if it is live; the last use ends it. `holder`: whose use it is, where each may use it only so often.
   *
   * @throws LapseError `invalid` without a holder where there has to be one
   */
  async consume(
    kindName: string,
    selector: Selector,
    { holder, ...by }: By & { readonly holder?: string | undefined } = {},
  ): Promise<ConsumeResult> {
    const kind = this.#registry.get(kindName)
    const id = await this.#idOf(kindName, selector)
    if (id === undefined) return { consumed: false, reason: 'unknown' }
    const row = await this.#act(kind, id, ['used', 'consumed'], (db) =>
      consumeResource(db, kind, id, manual(by), this.#registry, storableText('holder', holder)),
    )
    if (!row) return { consumed: false, reason: 'unknown' }
    if (row.moved) return { consumed: true, ...changeOf(row, this.#registry) }
    if (row.refusal === 'no-holder')
      throw new LapseError('invalid', { field: 'holder', detail: 'Each may use it only so often: say who does.' })
    const reason = row.refusal === 'used-up' ? 'used_up' : (row.seen as Denial)
    return { consumed: false, reason, resource: this.#seen(row) }
  }

  /**
   * Gives it a later or an earlier end; with `laterByMs`, only one that is later by more than that.
   *
   * @throws LapseError `not_found`, `already_ended`, `suspended`, `lifetime_too_short`, `lifetime_too_long`, `not_later`
   */
  async renew(
    kindName: string,
    selector: Selector,
    end: End & { readonly laterByMs?: number },
    by: By = {},
  ): Promise<Change> {
    const kind = this.#registry.get(kindName)
    const until = { ...endOf(end, ''), laterByMs: end.laterByMs ?? null }
    const id = await this.#existing(kindName, selector)
    const row = await this.#act(kind, id, ['renewed'], (db) =>
      renewResource(db, kind, id, until, manual(by), this.#registry),
    )
    if (!row) throw new LapseError('not_found')
    if (row.moved) return changeOf(row, this.#registry)
    if (row.refusal === 'ended')
      throw new LapseError('already_ended', {
        detail: `It is ${this.#registry.word(kind.name, row.seen)}. Issue a new one.`,
      })
    if (row.refusal === 'suspended') throw new LapseError('suspended', { detail: 'Restore the organization first.' })
    if (row.refusal === 'not-later')
      throw new LapseError('not_later', {
        field: endField(until),
        detail: `It ends at ${row.expiresAt.toISOString()} already.`,
      })
    throw lifetimeError(kind, row.refusal as LifetimeRefusal, endField(until), row)
  }

  /** Ends it at once. Quiet when it has ended already: the answer says how. @throws LapseError `not_found` */
  async revoke(kindName: string, selector: Selector, by: By = {}): Promise<Change> {
    const kind = this.#registry.get(kindName)
    const id = await this.#existing(kindName, selector)
    return this.#end(
      await this.#act(kind, id, ['revoked'], (db) => revokeResource(db, kind, id, manual(by), this.#registry)),
    )
  }

  /** Expires it at once, without grace. Quiet when it has ended already. @throws LapseError `not_found` */
  async expire(kindName: string, selector: Selector, by: By = {}): Promise<Change> {
    const kind = this.#registry.get(kindName)
    const id = await this.#existing(kindName, selector)
    return this.#end(
      await this.#act(kind, id, ['expired'], (db) => expireResource(db, kind, id, manual(by), this.#registry)),
    )
  }

  /** @throws LapseError `not_found` */
  async get(id: string): Promise<Resource> {
    const row = await this.#read(undefined, id)
    if (!row) throw new LapseError('not_found')
    return this.#seen(row)
  }

  /** Newest first. @throws LapseError `too_broad` */
  async list(filter: ResourceFilter, page: Page = {}): Promise<Resource[]> {
    const rows = await listResources(this.#db, filter, { before: page.before, limit: page.limit ?? 50 })
    return rows.map((row) => this.#seen(row))
  }

  /** How many there are. @throws LapseError `too_broad` where `tally` does not know exactly */
  async count(filter: ResourceFilter): Promise<number> {
    return exactly(await this.tally(filter))
  }

  /** The same, or how many there are at least: so many rows are looked at and no more. */
  tally(filter: ResourceFilter): Promise<Count> {
    return countResources(this.#db, filter)
  }

  /** `path` begins the names of a draft's fields. `tx`: a transaction that the hooks have to share, when there is one. */
  async #insert(
    kinds: readonly Kind[],
    drafts: readonly Draft[],
    by: By,
    path: (index: number) => string,
    tx?: Prisma.TransactionClient,
  ) {
    const insert = async (db: Sql) => {
      const rows = await insertResources(db, drafts, manual(by), this.#registry)
      const issued = rows.map((row, i) => this.#issuedOf(row, drafts[i] as Draft, path(i)))
      for (const one of issued) if (one instanceof Error) throw one
      return issued as (IssuedRow | undefined)[]
    }
    if (!kinds.some((kind) => kind.hooks.issued)) return insert(tx ?? this.#db)
    const withHooks = async (own: Prisma.TransactionClient) => {
      const rows = await insert(own)
      const issued = rows.filter((row) => row !== undefined)
      for (const kind of kinds)
        await runHooks(
          own,
          this.#registry,
          kind,
          issued.filter((row) => row.kind === kind.name),
        )
      return rows
    }
    return tx ? withHooks(tx) : this.#atomically(withHooks)
  }

  /** Nothing when its reference is taken. */
  #issuedOf(row: MaybeIssuedRow, draft: Draft, path: string): IssuedRow | LapseError | undefined {
    if (row.refusal) return issueError(this.#registry.get(draft.kind), draft, row.refusal, path)
    return row.id === null ? undefined : (row as IssuedRow)
  }

  /** For another who has the reference, for an organization that is being changed, or for a hook. */
  #waitsForNobody(kind: Kind, { reference, organization }: Draft): boolean {
    return !this.#tx && reference === null && organization === null && !kind.hooks.issued
  }

  /** One verb on one row, with its hook in the same transaction. What was over but not yet advanced is lapsed on the way. */
  async #act(kind: Kind, id: string, types: readonly EventType[], run: (db: Sql) => Promise<TransitionRow[]>) {
    const act = async () =>
      types.some((type) => kind.hooks[type])
        ? this.#atomically(async (tx) => {
            const rows = await run(tx)
            await runHooks(
              tx,
              this.#registry,
              kind,
              rows.filter((r) => r.moved),
            )
            return rows
          })
        : run(this.#db)
    const over = await this.#overBesideHooks(kind, id)
    // Inside a transaction it may hold what those before it wait for.
    const [row] = over ? [over] : this.#tx ? await act() : await this.#database.locks.run(id, act)
    if (row && !row.moved && row.refusal === 'ended' && !hasEnded(row.status)) await this.#lapseQuietly(kind, row.id)
    return row
  }

  /**
   * The row of a kind with hooks that is over and waits for its hook, which may keep it locked for ten seconds: refused
   * without waiting for that, as `check` would.
   */
  async #overBesideHooks(kind: Kind, id: string): Promise<(TransitionRow & { moved: false }) | undefined> {
    if (!this.#registry.hasAdvanceHooks(kind)) return undefined
    const row = await readWholeResource(this.#db, id)
    if (row?.kind !== kind.name || !hasEnded(row.seen) || hasEnded(row.status)) return undefined
    return { ...row, moved: false, refusal: 'ended' }
  }

  #end(row: TransitionRow | undefined): Change {
    if (!row) throw new LapseError('not_found')
    return row.moved ? changeOf(row, this.#registry) : unchanged(row, this.#registry)
  }

  get #db(): Sql {
    return this.#tx ?? this.#database
  }

  /** For reads of a few rows by an index, which everybody waits for. */
  get #checks(): Sql {
    return this.#tx ?? this.#database.on('checks')
  }

  #atomically<T>(act: (tx: Prisma.TransactionClient) => Promise<T>): Promise<T> {
    return this.#tx ? act(this.#tx) : this.#database.transaction(act)
  }

  /** At most 500. A kind with hooks is lapsed only outside a transaction, and only if its turn is now. */
  async #lapse(kind: Kind, ids: readonly string[]): Promise<void> {
    const only = { kinds: [kind], ids, limit: ids.length === 1 ? 1 : 500, within: this.#tx, unlessBusy: true }
    // Not on behalf of the caller: what others wait for does not end when this request is given up.
    const advanced = await unabortable(() => this.#advancer.advance({ trigger: 'lazy' }, only))
    // Inside a transaction nobody may act on it yet: its side effects are found by the sweep.
    if (!this.#tx) this.#onLapsed(advanced)
  }

  /** The denial stands whatever becomes of this, and does not wait for a hook. */
  async #lapseQuietly(kind: Kind, id: string): Promise<void> {
    const lapsing = this.#lapse(kind, [id]).catch((error) => this.#database.report(error, 'lapse'))
    await (this.#tx ? lapsing : Promise.race([lapsing, sleep(500, undefined, { ref: false })]))
  }

  /**
   * Has the dead holders of references give them up, or waits for the transaction that ends them. Hooks are not run for it:
   * they may fail or take long, and the new resource has nothing to do with them.
   */
  async #makeRoom(kind: Kind, ids: readonly string[]): Promise<void> {
    for (let from = 0; from < ids.length; from += 500) {
      const batch = ids.slice(from, from + 500)
      if (!this.#registry.hasAdvanceHooks(kind)) await this.#lapse(kind, batch)
      await freeReferences(this.#db, batch, 'wait')
    }
  }

  async #idOf(kind: string, selector: Selector): Promise<string | undefined> {
    if (typeof selector === 'string') return isUuid(selector) ? selector : undefined
    return (await readByReference(this.#checks, kind, selector))?.id
  }

  /** What is no id belongs to nothing. */
  async #read(kind: string | undefined, selector: Selector) {
    if (typeof selector !== 'string') return readByReference(this.#checks, kind ?? '', selector)
    const row = isUuid(selector) ? await this.#byId(selector.toLowerCase()) : undefined
    return kind === undefined || row?.kind === kind ? row : undefined
  }

  async #existing(kind: string, selector: Selector): Promise<string> {
    const id = await this.#idOf(kind, selector)
    if (id === undefined) throw new LapseError('not_found')
    return id
  }

  #seen(row: SeenRow): Resource {
    return resourceOf(row, this.#registry)
  }
}
