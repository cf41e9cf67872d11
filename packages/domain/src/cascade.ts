import { type Change, changeOf } from './change.ts'
import type { Sql } from './database.ts'
import type { Work } from './ground.ts'
import { HookError, runHooks } from './hooks.ts'
import { type By, manual } from './input.ts'
import type { Kind } from './kind.ts'
import { now, sql } from './store/live.ts'
import type { Cause } from './store/record.ts'
import { type CascadeVerb, cascadeResources, type TransitionRow, type Which } from './store/transition.ts'

const batch = 1_000

type Moved = Extract<TransitionRow, { readonly moved: true }>

/**
 * Does to all resources that `which` names what has befallen whom they belong to, in the same commit, each with its event
 * and its hooks. Returns how many. Whoever may issue such resources meanwhile has to be locked out first.
 */
export const cascade = async (work: Work, verb: CascadeVerb, which: Which, by: By): Promise<number> => {
  const { registry, tx, changes } = work
  const cause = { ...manual(by), trigger: 'cascade' } as const
  let count = 0
  for (let after: string | undefined; ; ) {
    const rows = await cascadeResources(tx, registry, verb, which, { after, limit: batch }, cause)
    const moved = rows.filter((row) => row.moved)
    for (const kind of registry.all) {
      const own = moved.filter((row) => row.kind === kind.name)
      if (own.some((row) => kind.hooks[row.type])) await hooksOf(work, kind, own, cause)
    }
    changes.push(...moved.map((row): Change => changeOf(row, registry)))
    count += moved.length
    if (rows.length < batch) return count
    after = rows.reduce((last, row) => (row.id > last ? row.id : last), '')
  }
}

/** A hook that throws is undone and written down. It does not keep an organization from being blocked. */
const hooksOf = async ({ tx, registry }: Work, kind: Kind, rows: readonly Moved[], cause: Cause): Promise<void> => {
  await tx.$executeRaw(sql`SAVEPOINT lapse_hooks`)
  try {
    await runHooks(tx, registry, kind, rows)
  } catch (error) {
    if (!(error instanceof HookError)) throw error
    await tx.$executeRaw(sql`ROLLBACK TO SAVEPOINT lapse_hooks`)
    await recordFailure(tx, rows, error.message.slice(0, 500), cause)
  }
  await tx.$executeRaw(sql`RELEASE SAVEPOINT lapse_hooks`)
}

const recordFailure = (db: Sql, rows: readonly Moved[], reason: string, cause: Cause) =>
  db.$executeRaw(sql`
  INSERT INTO event (resource_id, kind, type, version, at, from_status, to_status, trigger, actor, reason)
  SELECT id, kind, 'hook-failed', version, ${now}, status, status, ${cause.trigger}::lapse_trigger,
    ${cause.actor ?? null}::text, ${reason}
  FROM resource WHERE id = ANY (${rows.map((row) => row.id)}::uuid[])`)
