import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from '../database.ts'
import { sql } from '../store/live.ts'

/** Resolves when it is this caller's turn. `urgent` goes before all that are not, of any process. */
export type RateLimit = (urgent: boolean) => Promise<void>

/** A second, and what is added to it for turns that go up to so much later than they were given. */
const spanMs = 1_050

/** A turn that was this long on its way, because the process is busy, may be old: it is given up. */
const oldMs = 40

/** How long others leave the next turn to an urgent caller beyond the instant for which it was told to ask again. */
const courtesyMs = 250

/**
 * At most `perSecond` turns in any second, over all processes together, evenly spaced. The row in PostgreSQL holds the next
 * free instant; a guarded upsert takes it. Redis has no part in it, so that mails go out at their rate without Redis.
 */
export const createRateLimit = (db: Sql, name: string, perSecond: number): RateLimit => {
  const spacingMs = spanMs / perSecond
  const clock = sql`date_trunc('microseconds', clock_timestamp())`
  const spacing = sql`(${spacingMs}::float8 * interval '1 millisecond')`

  /** `true`: taken. A clock that was set back must not hold everything up: what lies too far ahead counts as free. */
  const take = async (urgent: boolean): Promise<boolean> => {
    const taken = await db.$queryRaw<object[]>(sql`
      INSERT INTO outbox_rate AS r (name, next_at) VALUES (${name}, ${clock} + ${spacing})
      ON CONFLICT (name) DO UPDATE SET next_at = ${clock} + ${spacing},
        urgent_until = CASE WHEN ${urgent} THEN NULL ELSE r.urgent_until END
      WHERE (r.next_at <= ${clock} OR r.next_at > ${clock} + 2 * ${spacing})
        AND (${urgent} OR r.urgent_until IS NULL OR r.urgent_until <= ${clock}
          OR r.urgent_until > ${clock} + 2 * ${spacing} + ${courtesyMs}::float8 * interval '1 millisecond')
      RETURNING 1 AS one`)
    return taken.length > 0
  }

  /** In how many milliseconds to ask again. An urgent caller has the next turn kept for it. */
  const wait = async (urgent: boolean): Promise<number> => {
    const [row] = await db.$queryRaw<{ ms: number }[]>(sql`
      UPDATE outbox_rate r SET urgent_until = CASE WHEN ${urgent}
        THEN r.next_at + ${courtesyMs}::float8 * interval '1 millisecond' ELSE r.urgent_until END
      WHERE name = ${name}
      RETURNING (extract(epoch FROM CASE WHEN ${urgent} THEN r.next_at ELSE greatest(r.next_at, r.urgent_until) END - ${clock}) * 1000)::float8 AS ms`)
    return Math.min(Math.max(1, row?.ms ?? 1), 2 * spacingMs + courtesyMs)
  }

  return async (urgent) => {
    for (let old = 0; old < 5; ) {
      const asked = performance.now()
      if (!(await take(urgent))) await sleep(Math.ceil(await wait(urgent)))
      else if (performance.now() - asked < oldMs) return
      // A caller that is always late goes in the end: late is better than never.
      else old++
    }
  }
}
