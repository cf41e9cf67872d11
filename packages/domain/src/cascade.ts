import { type Change, changeOf } from './change.ts'
import type { Sql } from './database.ts'
import type { Work } from './ground.ts'
import { HookError, runHooks } from './hooks.ts'
import { type By, manual } from './input.ts'
import type { Kind } from './kind.ts'
import { type Act, type CascadeVerb, cascadeResources, type Which } from './store/cascade.ts'
import { now, sql } from './store/live.ts'
import type { Cause } from './store/record.ts'
import type { TransitionRow } from './store/transition.ts'
import { storableStart } from './text.ts'

/** Rows in one batch. */
export const batchSize = 1_000

type Moved = Extract<TransitionRow, { readonly moved: true }>

/**
 * Does to all resources that `which` names what has befallen whom they belong to, in the same commit, each with its event
 * and its hooks. Returns how many. Whoever may issue such resources meanwhile has to be locked out first.
 */
export const cascade = async (work: Work, verb: CascadeVerb, which: Which, by: By): Promise<number> => {
  let count = 0
  for (let after: string | undefined; ; ) {
    const rows = await cascadeBatch(work, verb, which, after, by)
    count += rows.filter((row) => row.moved).length
    if (rows.length < batchSize) return count
    after = lastOf(rows)
  }
}

/** The first of them after `after`. */
export const cascadeBatch = async (
  work: Work,
  act: Act,
  which: Which,
  after: string | undefined,
  by: By,
): Promise<TransitionRow[]> => {
  const { registry, tx, changes } = work
  const cause = { ...manual(by), trigger: 'cascade' } as const
  const rows = await cascadeResources(tx, registry, act, which, { after, limit: batchSize }, cause)
  const moved = rows.filter((row) => row.moved)
  for (const kind of registry.all) {
    const own = moved.filter((row) => row.kind === kind.name)
    if (own.some((row) => kind.hooks[row.type])) await hooksOf(work, kind, own, cause)
  }
  changes.push(...moved.map((row): Change => changeOf(row, registry)))
  return rows
}

/** Where the next batch begins. */
export const lastOf = (rows: readonly { readonly id: string }[]): string =>
  rows.reduce((last, { id }) => (id > last ? id : last), '')

/**
 * A hook that throws is undone and written down. It does not keep an organization from being blocked, and neither does one
 * that hangs: it is called no more when it has exceeded its deadline, or the hooks together their budget.
 */
const hooksOf = async (
  { tx, registry, hookBudget }: Work,
  kind: Kind,
  rows: readonly Moved[],
  cause: Cause,
): Promise<void> => {
  const leftMs = hookBudget.leftMs(kind)
  if (leftMs === 0)
    return void (await recordFailure(tx, rows, 'not called: the hooks before it have used up their time', cause))
  await tx.$executeRaw(sql`SAVEPOINT lapse_hooks`)
  try {
    await runHooks(tx, registry, kind, rows, leftMs)
  } catch (error) {
    if (!(error instanceof HookError)) throw error
    hookBudget.failed(kind, error)
    await tx.$executeRaw(sql`ROLLBACK TO SAVEPOINT lapse_hooks`)
    await recordFailure(tx, rows, storableStart(error.message, 500), cause)
  }
  await tx.$executeRaw(sql`RELEASE SAVEPOINT lapse_hooks`)
}

const recordFailure = (db: Sql, rows: readonly Moved[], reason: string, cause: Cause) =>
  db.$executeRaw(sql`
  INSERT INTO event (resource_id, kind, type, version, at, from_status, to_status, trigger, actor, reason)
  SELECT id, kind, 'hook-failed', version, ${now}, status, status, ${cause.trigger}::lapse_trigger,
    ${cause.actor ?? null}::text, ${reason}
  FROM resource WHERE id = ANY (${rows.map((row) => row.id)}::uuid[])`)
