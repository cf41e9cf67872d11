import { withDeadline } from './deadline.ts'
import type { Prisma } from './generated/prisma/client.ts'
import { openHookTransaction } from './hook-transaction.ts'
import type { EventType, Kind } from './kind.ts'
import type { Registry } from './registry.ts'
import { resourceOf } from './seen.ts'
import { type ResourceRow, sql } from './store/live.ts'
import type { Recorded } from './store/record.ts'
import { wordsOf } from './text.ts'

/** A hook threw; the transaction it ran in is undone. */
export class HookError extends Error {
  /** The resources whose transition is undone. */
  readonly ids: readonly string[]

  constructor(kind: string, type: EventType, ids: readonly string[], cause: unknown) {
    super(`the ${type} hook of ${kind} threw: ${wordsOf(cause)}`, { cause })
    this.name = 'HookError'
    this.ids = ids
  }
}

/** Below the transaction's own time-out, which ends the transaction but not what waits for the hook. */
export const hookDeadlineMs = 10_000

/**
 * Runs the kind's hooks for what has just happened to these rows, one call for each type of event; all of them together have
 * `deadlineMs`.
 */
export const runHooks = async (
  tx: Prisma.TransactionClient,
  registry: Registry,
  kind: Kind,
  rows: readonly (ResourceRow & Pick<Recorded, 'type' | 'from' | 'eventAt'>)[],
  deadlineMs = hookDeadlineMs,
): Promise<void> => {
  const until = performance.now() + deadlineMs
  for (const type of new Set(rows.map((row) => row.type))) {
    const hook = kind.hooks[type]
    if (!hook) continue
    const batch = rows.filter((row) => row.type === type)
    const happenings = batch.map((row) => ({
      type,
      resource: resourceOf(row, registry),
      at: row.eventAt,
      from: row.from as ResourceRow['status'] | null,
      to: row.status,
    }))
    const own = openHookTransaction(tx)
    const over = (how: string) =>
      `the ${type} hook of ${kind.name} ${how}: its tx takes no more statements. Await each one inside the hook.`
    try {
      await withDeadline(callOf(hook, own.tx, happenings), Math.max(0, until - performance.now()), deadlineMs)
      await own.close(over('has returned'))
      // A hook may have caught the error of its own statement. PostgreSQL has given the transaction up then, and would
      // answer the commit with a quiet rollback; this makes it say so.
      await tx.$queryRaw(sql`SELECT 1`)
    } catch (error) {
      await own.close(over('was given up'))
      throw new HookError(
        kind.name,
        type,
        rows.map(({ id }) => id),
        error,
      )
    }
  }
}

/** A hook that throws before its first `await` is no different from one that throws later. */
const callOf = async (hook: NonNullable<Kind['hooks'][EventType]>, ...args: Parameters<typeof hook>): Promise<void> =>
  hook(...args)
