import { withDeadline } from './deadline.ts'
import type { Prisma } from './generated/prisma/client.ts'
import type { EventType, Kind } from './kind.ts'
import type { Registry } from './registry.ts'
import { resourceOf } from './seen.ts'
import { type ResourceRow, sql } from './store/live.ts'
import type { Recorded } from './store/record.ts'
import { wordsOf } from './text.ts'

/** A hook threw; the transaction it ran in is undone. */
export class HookError extends Error {
  constructor(kind: string, type: EventType, cause: unknown) {
    super(`the ${type} hook of ${kind} threw: ${wordsOf(cause)}`, { cause })
    this.name = 'HookError'
  }
}

/** Below the transaction's own time-out, which ends the transaction but not what waits for the hook. */
const deadlineMs = 10_000

/** Runs the kind's hooks for what has just happened to these rows, one call for each type of event. */
export const runHooks = async (
  tx: Prisma.TransactionClient,
  registry: Registry,
  kind: Kind,
  rows: readonly (ResourceRow & Pick<Recorded, 'type' | 'from' | 'eventAt'>)[],
): Promise<void> => {
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
    try {
      await withDeadline(hook(tx, happenings), deadlineMs)
      // A hook may have caught the error of its own statement. PostgreSQL has given the transaction up then, and would
      // answer the commit with a quiet rollback; this makes it say so.
      await tx.$queryRaw(sql`SELECT 1`)
    } catch (error) {
      throw new HookError(kind.name, type, error)
    }
  }
}
