import type { Prisma } from './generated/prisma/client.ts'
import type { EventType, Kind } from './kind.ts'
import type { Registry } from './registry.ts'
import { resourceOf } from './seen.ts'
import { type ResourceRow, sql } from './store/live.ts'
import type { Recorded } from './store/record.ts'

/** A hook threw; the transaction it ran in is undone. `ids` are the resources it was given. */
export class HookError extends Error {
  readonly ids: readonly string[]

  constructor(kind: string, type: EventType, ids: readonly string[], cause: unknown) {
    super(`the ${type} hook of ${kind} threw: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    this.name = 'HookError'
    this.ids = ids
  }
}

/** Below the transaction's own time-out, which ends the transaction but not what waits for the hook. */
const deadlineMs = 10_000

const withinDeadline = async (running: Promise<void> | void): Promise<void> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it did not finish within ${deadlineMs / 1000} seconds`)), deadlineMs)
  })
  await Promise.race([running, late]).finally(() => clearTimeout(timer))
}

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
      await withinDeadline(hook(tx, happenings))
      // A hook may have caught the error of its own statement. PostgreSQL has given the transaction up then, and would
      // answer the commit with a quiet rollback; this makes it say so.
      await tx.$queryRaw(sql`SELECT 1`)
    } catch (error) {
      throw new HookError(
        kind.name,
        type,
        batch.map((row) => row.id),
        error,
      )
    }
  }
}
