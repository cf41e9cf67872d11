import { type Database, isRefusal, type Sql } from './database.ts'
import type { HookSlots } from './hook-slots.ts'
import { HookError, hookDeadlineMs, runHooks } from './hooks.ts'
import type { Kind } from './kind.ts'
import type { Timer } from './lifecycle.ts'
import type { Registry } from './registry.ts'
import { type AdvancedRow, advanceResources, postpone } from './store/advance.ts'
import { sql } from './store/live.ts'
import { type PendingRow, readDue } from './store/read.ts'
import type { Cause } from './store/record.ts'
import { freeReferences } from './store/references.ts'
import { storableStart } from './text.ts'

/** What one wake-up has done. */
export interface Advanced {
  readonly rows: readonly AdvancedRow[]
  /** Whether there may be more: some batch was full. */
  readonly more: boolean
  /** Resources whose hook threw: they stay denied and are tried again later. */
  readonly refused: readonly Refused[]
}

export interface Refused {
  readonly id: string
  readonly error: Error
  /** When it is tried again; nothing when it has changed meanwhile. */
  readonly timer: Timer | undefined
}

export interface AdvanceOptions {
  /** Rows a statement; 500 unless said otherwise. */
  readonly limit?: number | undefined
  readonly ids?: readonly string[] | undefined
  readonly kinds?: readonly Kind[] | undefined
  /** What has become due last comes first. */
  readonly latestFirst?: boolean | undefined
  /**
   * The transaction the caller is in. Kinds without hooks are advanced inside it, and kinds with hooks not at all: to wait
   * for a second connection while holding one could use the pool up.
   */
  readonly within?: Sql | undefined
  /** Leaves kinds with hooks alone unless their turn is now. */
  readonly unlessBusy?: boolean | undefined
  /** When it is aborted no new transaction begins; what is left is for others. */
  readonly signal?: AbortSignal | undefined
}

/** Rows a statement. */
const batchLimit = 500

/**
 * How long one call goes on narrowing a batch down to the rows at fault. Enough for a hook that hangs to be given up twice,
 * so that the half without the bad row is done; what is left is for the next call, and what was moved is reported.
 */
const narrowMs = 25_000

type Group = Registry['groups'][number]

interface Batch {
  readonly limit: number
  readonly ids: readonly string[] | undefined
  readonly latestFirst: boolean
}

type Attempt = (batch: Batch) => Promise<readonly AdvancedRow[]>

const nothing: Advanced = { rows: [], more: false, refused: [] }

/** Advances what is due. Safe to call at any time, from anywhere, as often as one likes. */
export class Advancer {
  readonly #database: Database
  /** For what waits for no lock and runs no hook. */
  readonly #upkeep: Database
  readonly #registry: Registry
  readonly #slots: HookSlots
  /** Rows that a batch of a group may have, after one that could not be narrowed down in time. */
  readonly #limits = new Map<Group, number>()

  constructor(database: Database, registry: Registry, slots: HookSlots) {
    this.#database = database
    this.#upkeep = database.on('upkeep')
    this.#registry = registry
    this.#slots = slots
  }

  /** One batch for each group of kinds. */
  async advance(
    cause: Cause,
    { limit = batchLimit, ids, kinds, latestFirst = false, within, unlessBusy, signal }: AdvanceOptions = {},
  ): Promise<Advanced> {
    const batch = { limit, ids, latestFirst }
    const results = await Promise.all(
      this.#registry.groups.map((group): Promise<Advanced> | Advanced => {
        const own = group.kinds.filter((kind) => !kinds || kinds.includes(kind))
        if (own.length === 0) return nothing
        if (within) return group.hooked ? nothing : this.#advanceWithin(within, own, batch, cause)
        const [kind] = own as [Kind, ...Kind[]]
        if (!group.hooked) return this.#advanceBatch(group, own, batch, cause, signal, this.#plain(own, cause))
        if (unlessBusy && !this.#slots.isFree(kind.name)) return nothing
        return this.#advanceBatch(group, own, batch, cause, signal, this.#hooked(kind, cause, signal))
      }),
    )
    return {
      rows: results.flatMap((result) => result.rows),
      more: results.some((result) => result.more),
      refused: results.flatMap((result) => result.refused),
    }
  }

  #plain(kinds: readonly Kind[], cause: Cause): Attempt {
    return (batch) => advanceResources(this.#upkeep, kinds, { ...batch, whole: false }, cause, this.#registry)
  }

  #hooked(kind: Kind, cause: Cause, signal: AbortSignal | undefined): Attempt {
    const act = (batch: Batch) => async () => {
      // The transaction keeps its rows locked for as long as the hook takes, and an issue with one of their references
      // would wait for it.
      if (this.#slots.isSlow(kind.name)) await freeReferences(this.#upkeep, await readDue(this.#upkeep, [kind], batch))
      return this.#database.transaction(async (tx) => {
        // Who waits for a statement of a hook that has run out of time waits no longer than for the hook itself.
        await tx.$queryRaw(sql`SELECT set_config('statement_timeout', ${String(hookDeadlineMs)}, true)`)
        const moved = await advanceResources(tx, [kind], { ...batch, whole: true }, cause, this.#registry)
        await runHooks(tx, this.#registry, kind, moved)
        return moved
      }, hookTransactionMs)
    }
    return (batch) => this.#slots.run(kind.name, act(batch), signal)
  }

  /** Inside the caller's transaction: what PostgreSQL refuses is undone by itself, and left to the sweep. */
  async #advanceWithin(tx: Sql, kinds: readonly Kind[], batch: Batch, cause: Cause): Promise<Advanced> {
    await tx.$executeRaw(sql`SAVEPOINT lapse_advance`)
    try {
      const rows = await advanceResources(tx, kinds, { ...batch, whole: false }, cause, this.#registry)
      await tx.$executeRaw(sql`RELEASE SAVEPOINT lapse_advance`)
      return { rows, more: rows.length >= batch.limit, refused: [] }
    } catch (error) {
      if (!isTheRows(error)) throw error
      await tx.$executeRaw(sql`ROLLBACK TO SAVEPOINT lapse_advance`)
      return nothing
    }
  }

  async #advanceBatch(
    group: Group,
    kinds: readonly Kind[],
    wanted: Batch,
    cause: Cause,
    signal: AbortSignal | undefined,
    attempt: Attempt,
  ): Promise<Advanced> {
    const narrowed = this.#limits.get(group) ?? batchLimit
    const limit = Math.min(wanted.limit, narrowed)
    const batch = { ...wanted, limit }
    try {
      const rows = await attempt(batch)
      if (limit === narrowed) this.#widen(group, limit * 2)
      return { rows, more: rows.length >= limit, refused: [] }
    } catch (error) {
      if (signal?.aborted) return { ...nothing, more: true }
      if (!isTheRows(error)) throw error
      const ids = error instanceof HookError ? error.ids : (batch.ids ?? (await readDue(this.#upkeep, kinds, batch)))
      // What is over does not keep its reference while its hooks fail.
      await freeReferences(this.#upkeep, ids)
      const [id, ...others] = ids
      if (id !== undefined && others.length === 0)
        return { rows: [], more: true, refused: [await this.#postpone(id, error, cause)] }
      const narrowed = await this.#narrow(group, halves(ids), cause, signal, attempt)
      return { ...narrowed, more: ids.length > 0 }
    }
  }

  #widen(group: Group, limit: number): void {
    if (limit < batchLimit) this.#limits.set(group, limit)
    else this.#limits.delete(group)
  }

  /**
   * A bad row, whose hook throws or which PostgreSQL refuses, must not hold up its batch: it would come first in every one,
   * and nothing would ever end again. The batch is halved, and so is each half that fails, until the bad rows stand alone
   * and are put off. All halves of one size come before the smaller ones: so a hook that hangs for one row delays most of
   * the others by one deadline, and not by all of them.
   */
  async #narrow(
    group: Group,
    slices: (readonly string[])[],
    cause: Cause,
    signal: AbortSignal | undefined,
    attempt: Attempt,
  ): Promise<Advanced> {
    const until = performance.now() + narrowMs
    const rows: AdvancedRow[] = []
    const refused: Refused[] = []
    for (let slice = slices.shift(); slice; slice = slices.shift()) {
      if (signal?.aborted || performance.now() >= until) {
        this.#limits.set(group, slice.length)
        break
      }
      try {
        rows.push(...(await attempt({ limit: slice.length, ids: slice, latestFirst: false })))
      } catch (error) {
        if (signal?.aborted) continue
        if (!isTheRows(error)) throw error
        const [id, ...others] = slice as [string, ...string[]]
        if (others.length > 0) slices.push(...halves(slice))
        else refused.push(await this.#postpone(id, error, cause))
      }
    }
    return { rows, more: true, refused }
  }

  async #postpone(id: string, error: Error, cause: Cause): Promise<Refused> {
    const type = error instanceof HookError ? 'hook-failed' : 'step-failed'
    const [row] = await postpone(this.#upkeep, id, type, storableStart(error.message, 500), cause)
    return { id, error, timer: row && nextTimer(row) }
  }
}

const halves = (ids: readonly string[]): (readonly string[])[] => {
  const middle = Math.ceil(ids.length / 2)
  return [ids.slice(0, middle), ids.slice(middle)].filter((half) => half.length > 0)
}

/** Whether it is a row's own fault, and not that of the statement or of the database. */
const isTheRows = (error: unknown): error is Error => error instanceof HookError || isRefusal(error)

/** Longer than the hooks have, and a statement of theirs that runs when they are given up. */
const hookTransactionMs = 3 * hookDeadlineMs

/** The timer for a row's next step; none when it only waits to be purged. */
export const nextTimer = (
  row: Pick<PendingRow, 'id' | 'kind' | 'version' | 'nextStep' | 'dueAt' | 'expiresAt'>,
): Timer | undefined => {
  const { id, kind, version, nextStep: step } = row
  if (step === 'purge') return undefined
  const dueAt = row.dueAt.getTime()
  if (step !== 'remind') return { id, kind, version, step, dueAt }
  return { id, kind, version, step, dueAt, offset: Math.round((row.expiresAt.getTime() - dueAt) / 1000) }
}
