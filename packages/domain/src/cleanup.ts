import type { Sql } from './database.ts'
import { purgeAnswers } from './idempotency.ts'
import { purgeNotices } from './ledger.ts'
import { purgeLanes } from './outbox/circuits.ts'
import { fillOwners } from './store/delivery-owners.ts'
import { purgeDependents, purgeResources } from './store/purge.ts'
import type { Cause } from './store/record.ts'

export interface CleanupOptions {
  /** Rows at most, in each table; 10,000 unless said otherwise. */
  readonly limit?: number | undefined
  /** Begins no new batch after so long; a minute unless said otherwise. */
  readonly timeMs?: number | undefined
}

export interface Cleaned {
  /** Resources, by kind. */
  readonly removed: Readonly<Record<string, number>>
  /** Answers that were kept for their Idempotency-Key. */
  readonly answers: number
  /** Tests of endpoints, and alerts, that were told long ago. */
  readonly notices: number
  /** Whether that was all. */
  readonly done: boolean
}

const batchSize = 500

/**
 * Removes what is past its retention. Several processes may do it at once: each takes other rows, and what one has in
 * hand is none of the others' business.
 */
export const cleanUp = async (
  db: Sql,
  { limit = 10_000, timeMs = 60_000 }: CleanupOptions,
  cause: Cause,
): Promise<Cleaned> => {
  const until = performance.now() + timeMs
  const removed: Record<string, number> = {}
  while ((await purgeDependents(db)) > 0 && performance.now() < until) {}
  const resources = await batches(limit, until, async (most) => {
    const rows = await purgeResources(db, most, cause)
    for (const { kind } of rows) removed[kind] = (removed[kind] ?? 0) + 1
    return rows.length
  })
  const answers = await batches(limit, until, (most) => purgeAnswers(db, most))
  const notices = await batches(limit, until, (most) => purgeNotices(db, most))
  const lanes = await batches(limit, until, (most) => purgeLanes(db, most))
  const owners = await fillOwners(db, until)
  const done = resources.done && answers.done && notices.done && lanes.done && owners
  return { removed, answers: answers.count, notices: notices.count, done }
}

/** Until a batch is not full: what it left out is nobody's, or somebody else's. */
const batches = async (limit: number, until: number, remove: (most: number) => Promise<number>) => {
  for (let count = 0; ; ) {
    const most = Math.min(batchSize, limit - count)
    if (most <= 0) return { count, done: false }
    const gone = await remove(most)
    count += gone
    if (gone < most) return { count, done: true }
    if (performance.now() >= until) return { count, done: false }
  }
}
