import type { Sql } from '../database.ts'
import { manual } from '../input.ts'
import { now, sql } from '../store/live.ts'

/** What was tried without success. */
export interface Attempted {
  readonly kind: string
  /** Of what it was tried on, when that is known. */
  readonly resourceId?: string | undefined
  /** The real one, which goes nowhere but into the event. */
  readonly reason: string
  readonly actor?: string | undefined
}

/**
 * Writes down that somebody was refused, and why: who asks is told nothing but that it did not work. One statement,
 * whatever the reason; of what was revoked it also tells what for, as far as that is Lapse's own doing.
 */
export const recordRefusal = async (
  db: Sql,
  { kind, resourceId = nobody, reason, actor }: Attempted,
): Promise<void> => {
  await db.$executeRaw(sql`
    INSERT INTO event (resource_id, kind, type, version, at, trigger, actor, reason)
    VALUES (${resourceId}::uuid, ${kind}, 'refused',
      coalesce((SELECT version FROM resource WHERE id = ${resourceId}::uuid), 1), ${now}, 'manual',
      ${manual({ actor }).actor ?? null}::text,
      coalesce((SELECT e.reason FROM event e WHERE e.resource_id = ${resourceId}::uuid AND e.type = 'revoked'
        AND ${reason} = 'revoked' AND e.reason = ANY (${ownReasons}::text[])), ${reason}))`)
}

const nobody = '00000000-0000-0000-0000-000000000000'

const ownReasons = ['superseded', 'locked', 'declined', 'password reset']
