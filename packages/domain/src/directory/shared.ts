import { validate as isUuid } from 'uuid'
import { LapseError } from '../errors.ts'
import { empty, type Fragment, join, sql } from '../store/live.ts'
import type { Cause } from '../store/record.ts'
import { storableText, unstorable } from '../text.ts'

/** By its id, or by the host application's own. No reference is anybody's id, and what cannot be stored is nobody's. */
export const named = (idOrReference: string): Fragment => {
  if (unstorable.test(idOrReference)) return sql`false`
  return sql`(${isUuid(idOrReference) ? sql`id = ${idOrReference}::uuid OR` : empty} reference = ${idOrReference})`
}

/** Whether somebody has this as id. */
export const isAnId = (table: Fragment, reference: string | null): Fragment =>
  reference !== null && isUuid(reference)
    ? sql`EXISTS (SELECT 1 FROM ${table} WHERE id = ${reference}::uuid)`
    : sql`false`

/**
 * The tail of every statement that changes the directory: from its CTE `changed`, which has `id` and `at`, it writes the
 * event. Events stay for good, so no name and no address is in them.
 */
export const logged = (
  kind: 'organization' | 'user' | 'membership' | 'webhook-endpoint',
  type: string,
  cause: Cause,
  data: Fragment,
): Fragment => sql`
  logged AS (
    INSERT INTO event (resource_id, kind, type, version, at, trigger, actor, reason, data)
    SELECT c.id, ${`directory-${kind}`}, ${type}, 1, c.at, ${cause.trigger}::lapse_trigger, ${cause.actor ?? null}::text,
      ${cause.reason ?? null}::text, ${data}
    FROM changed c
  )`

export const json = (data: object): Fragment => sql`${JSON.stringify(data)}::jsonb`

/** All of these; without any, everything. */
export const where = (conditions: readonly (Fragment | false)[]): Fragment => {
  const all = conditions.filter((condition) => condition !== false)
  return all.length > 0 ? sql`WHERE ${join(all, ' AND ')}` : empty
}

/** The host application's own id, as it is. @throws LapseError `invalid` */
export const referenceOf = (reference: string | null | undefined): string | null => {
  const text = storableText('reference', reference ?? undefined)
  if (text === '') throw new LapseError('invalid', { field: 'reference', detail: 'At least one character.' })
  return text
}
