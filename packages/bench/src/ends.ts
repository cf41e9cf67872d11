import type { Ground } from './ground.ts'
import { sleep, times } from './measure.ts'

/** The newest event so far: what comes after it is this measurement's. */
export const newestEvent = async ({ pool }: Ground): Promise<number> => {
  const { rows } = await pool.query({ name: 'newest', text: 'SELECT coalesce(max(id), 0)::float8 AS id FROM event' })
  return rows[0].id
}

/** Waits until `count` have ended after the event `since`, with their own events, and answers when that was. */
export const allEnded = async (ground: Ground, since: number, count: number, deadline: number): Promise<number> => {
  for (; Date.now() < deadline; await sleep(5)) {
    // Looking at the newest event costs next to nothing; counting does, so only when it could have been the last.
    if ((await newestEvent(ground)) < since + count) continue
    const text = `SELECT count(*)::float8 AS n FROM event WHERE id > $1 AND type = 'expired'`
    const { rows } = await ground.pool.query({ text, values: [since] })
    if (rows[0].n >= count) break
  }
  return Date.now()
}

/** When each end after the event `since` could first be seen, by the database's clock. It looks every two milliseconds or so. */
export const watch = async (
  { pool }: Ground,
  since: number,
  count: number,
  deadline: number,
): Promise<Map<string, number>> => {
  const seen = new Map<string, number>()
  let newest = since
  while (seen.size < count && Date.now() < deadline) {
    const { rows } = await pool.query<{ id: number; resource_id: string; at: number }>({
      name: 'watch',
      text: `SELECT id::float8, resource_id, (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS at
        FROM event WHERE id > $1 AND type = 'expired'`,
      // A little back each time, for ids may become visible out of their order.
      values: [Math.max(since, newest - 50)],
    })
    for (const { id, resource_id, at } of rows) {
      if (!seen.has(resource_id)) seen.set(resource_id, at)
      newest = Math.max(newest, id)
    }
    await sleep(2)
  }
  return seen
}

/** As many instants, spread evenly over `ms`; the first is a moment ahead. */
export const spread = (count: number, ms: number): Date[] => {
  const first = Date.now() + 1_200
  return times(count, (i) => new Date(first + Math.floor((i / count) * ms)))
}

class TooLate extends Error {}

/**
 * Seconds from `due()` to what `measure` answers. The instant is set when first asked for, `armingMs` and a second
 * ahead; when that was not enough to arm everything, all is done again with twice the time.
 */
export const inTime = async (armingMs: number, measure: (due: () => Date) => Promise<number>): Promise<number> => {
  let instant: Date | undefined
  const due = () => {
    instant ??= new Date(Date.now() + 1_000 + armingMs)
    return instant
  }
  try {
    const endedAt = await measure(due)
    return (endedAt - due().getTime()) / 1000
  } catch (error) {
    if (!(error instanceof TooLate) || armingMs > 60_000) throw error
    return inTime(2 * armingMs, measure)
  }
}

export const comes = async (due: Date): Promise<void> => {
  mustBeAhead(due)
  await sleep(due.getTime() - Date.now())
}

export const mustBeAhead = (due: Date): void => {
  if (due.getTime() - Date.now() < 300) throw new TooLate('This machine is too busy to arm everything in time.')
}
