import { validate as isUuid } from 'uuid'
import type { Sql } from '../database.ts'
import { sql } from '../store/live.ts'

/**
 * Locks a user until the commit, and answers their id. Everything that proves who somebody is, or ends what was proven,
 * passes here before it touches any resource: of a sign-in and the end of all sessions, one comes first.
 */
export const lockUser = async (db: Sql, who: { id: string } | { canonical: string }): Promise<string | undefined> => {
  if ('id' in who && !isUuid(who.id)) return undefined
  const [user] = await db.$queryRaw<{ id: string }[]>(sql`
    SELECT id FROM directory_user WHERE ${'id' in who ? sql`id = ${who.id}::uuid` : sql`canonical = ${who.canonical}`}
    FOR UPDATE`)
  return user?.id
}
