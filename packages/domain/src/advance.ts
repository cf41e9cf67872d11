import type { Database, Sql } from './database.ts'
import { HookError, runHooks } from './hooks.ts'
import type { Kind } from './kind.ts'
import type { Timer } from './lifecycle.ts'
import type { Registry } from './registry.ts'
import { type AdvancedRow, advanceResources, postpone } from './store/advance.ts'
import type { PendingRow } from './store/read.ts'
import type { Cause } from './store/record.ts'

/** What one wake-up has done. */
export interface Advanced {
  readonly rows: readonly AdvancedRow[]
  /** Whether there may be more: some batch was full. */
  readonly more: boolean
  /** Resources whose hook threw: they stay denied and are tried again later. */
  readonly refused: readonly { readonly id: string; readonly error: Error }[]
}

export interface AdvanceOptions {
  /** Rows a statement; 500 unless said otherwise. */
  readonly limit?: number | undefined
  readonly ids?: readonly string[] | undefined
  readonly kinds?: readonly Kind[] | undefined
  /**
   * The transaction somebody is in. Kinds without hooks are advanced inside it: to wait for a second connection while
   * holding one could use the pool up.
   */
  readonly within?: Sql | undefined
}

/** Advances what is due, one batch for each group of kinds. Safe to call at any time, from anywhere, as often as one likes. */
export const advanceDue = async (
  database: Database,
  registry: Registry,
  cause: Cause,
  { limit = 500, ids, kinds, within = database }: AdvanceOptions = {},
): Promise<Advanced> => {
  const groups = registry.groups
    .map((group) => ({ ...group, kinds: group.kinds.filter((kind) => !kinds || kinds.includes(kind)) }))
    .filter((group) => group.kinds.length > 0)
  const results = await Promise.all(
    groups.map(({ kinds: [first, ...rest], hooked }) =>
      hooked && first
        ? advanceHooked(database, registry, first, { limit, ids }, cause)
        : advancePlain(within, registry, [first as Kind, ...rest], { limit, ids }, cause),
    ),
  )
  return {
    rows: results.flatMap((result) => result.rows),
    more: results.some((result) => result.more),
    refused: results.flatMap((result) => result.refused),
  }
}

type Batch = { limit: number; ids: readonly string[] | undefined }

const advancePlain = async (
  db: Sql,
  registry: Registry,
  kinds: readonly Kind[],
  batch: Batch,
  cause: Cause,
): Promise<Advanced> => {
  const rows = await advanceResources(db, kinds, { ...batch, whole: false }, cause, registry)
  return { rows, more: rows.length >= batch.limit, refused: [] }
}

const advanceHooked = async (
  database: Database,
  registry: Registry,
  kind: Kind,
  batch: Batch,
  cause: Cause,
): Promise<Advanced> => {
  try {
    const rows = await database.transaction(async (tx) => {
      const moved = await advanceResources(tx, [kind], { ...batch, whole: true }, cause, registry)
      await runHooks(tx, registry, kind, moved)
      return moved
    })
    return { rows, more: rows.length >= batch.limit, refused: [] }
  } catch (error) {
    if (!(error instanceof HookError)) throw error
    // One bad row must not hold up its batch: the rows go one by one, and only those that fail alone are put off.
    const [only, ...others] = error.ids
    if (only && others.length === 0) {
      await postpone(database, only, error.message.slice(0, 500), cause)
      return { rows: [], more: true, refused: [{ id: only, error }] }
    }
    const single: Advanced[] = []
    for (const id of error.ids)
      single.push(await advanceHooked(database, registry, kind, { limit: 1, ids: [id] }, cause))
    return { rows: single.flatMap((one) => one.rows), more: true, refused: single.flatMap((one) => one.refused) }
  }
}

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
