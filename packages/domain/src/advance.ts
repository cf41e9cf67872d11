import { type Database, isRefusal, type Sql } from './database.ts'
import { HookError, runHooks } from './hooks.ts'
import type { Kind } from './kind.ts'
import type { Timer } from './lifecycle.ts'
import type { Registry } from './registry.ts'
import { type AdvancedRow, advanceResources, postpone } from './store/advance.ts'
import { type PendingRow, readDue } from './store/read.ts'
import type { Cause } from './store/record.ts'
import { storableStart } from './text.ts'

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
  /** What has become due last comes first. */
  readonly latestFirst?: boolean | undefined
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
  { limit = 500, ids, kinds, latestFirst = false, within = database.on('upkeep') }: AdvanceOptions = {},
): Promise<Advanced> => {
  const groups = registry.groups
    .map((group) => ({ ...group, kinds: group.kinds.filter((kind) => !kinds || kinds.includes(kind)) }))
    .filter((group) => group.kinds.length > 0)
  const results = await Promise.all(
    groups.map(({ kinds: own, hooked }) => {
      const attempt = (batch: Batch) =>
        hooked
          ? advanceHooked(database, registry, own, batch, cause)
          : advancePlain(within, registry, own, batch, cause)
      return advanceBatch(database.on('upkeep'), own, { limit, ids, latestFirst }, cause, attempt)
    }),
  )
  return {
    rows: results.flatMap((result) => result.rows),
    more: results.some((result) => result.more),
    refused: results.flatMap((result) => result.refused),
  }
}

interface Batch {
  readonly limit: number
  readonly ids: readonly string[] | undefined
  readonly latestFirst: boolean
}

/**
 * One bad row, whose hook throws or which PostgreSQL refuses, must not hold up its batch: it would come first in every
 * one, and nothing would ever end again. Then the rows go one by one, and those that fail alone are put off.
 */
const advanceBatch = async (
  db: Sql,
  kinds: readonly Kind[],
  batch: Batch,
  cause: Cause,
  attempt: (batch: Batch) => Promise<readonly AdvancedRow[]>,
): Promise<Advanced> => {
  try {
    const rows = await attempt(batch)
    return { rows, more: rows.length >= batch.limit, refused: [] }
  } catch (error) {
    if (!isTheRows(error)) throw error
    const rows: AdvancedRow[] = []
    const refused: Advanced['refused'][number][] = []
    for (const id of await readDue(db, kinds, batch)) {
      try {
        rows.push(...(await attempt({ ...batch, limit: 1, ids: [id] })))
      } catch (own) {
        if (!isTheRows(own)) throw own
        const type = own instanceof HookError ? 'hook-failed' : 'step-failed'
        await postpone(db, id, type, storableStart(own.message, 500), cause)
        refused.push({ id, error: own })
      }
    }
    return { rows, more: true, refused }
  }
}

/** Whether it is a row's own fault, and not that of the statement or of the database. */
const isTheRows = (error: unknown): error is Error => error instanceof HookError || isRefusal(error)

const advancePlain = (db: Sql, registry: Registry, kinds: readonly Kind[], batch: Batch, cause: Cause) =>
  advanceResources(db, kinds, { ...batch, whole: false }, cause, registry)

const advanceHooked = (database: Database, registry: Registry, kinds: readonly Kind[], batch: Batch, cause: Cause) =>
  database.transaction(async (tx) => {
    const moved = await advanceResources(tx, kinds, { ...batch, whole: true }, cause, registry)
    for (const kind of kinds) await runHooks(tx, registry, kind, moved)
    return moved
  })

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
