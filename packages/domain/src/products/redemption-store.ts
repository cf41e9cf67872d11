import type { Sql } from '../database.ts'
import { empty, sql } from '../store/live.ts'

/** How often somebody has redeemed a code, and when first and last. */
export interface Redemption {
  readonly holder: string
  readonly uses: number
  readonly firstAt: Date
  readonly lastAt: Date
}

/** By holder. `after` is the last one of the page before. */
export const listRedemptions = (db: Sql, resourceId: string, page: { after?: string | undefined; limit: number }) =>
  db.$queryRaw<Redemption[]>(sql`
  SELECT holder, uses, first_at AS "firstAt", last_at AS "lastAt" FROM redemption
  WHERE resource_id = ${resourceId}::uuid ${page.after === undefined ? empty : sql`AND holder > ${page.after}`}
  ORDER BY holder LIMIT ${page.limit}::int`)

export const countUses = async (db: Sql, resourceId: string, holder: string): Promise<number> => {
  const [row] = await db.$queryRaw<{ uses: number }[]>(sql`
    SELECT uses FROM redemption WHERE resource_id = ${resourceId}::uuid AND holder = ${holder}`)
  return row?.uses ?? 0
}
