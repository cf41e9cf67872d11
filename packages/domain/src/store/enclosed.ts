import { type Fragment, sql } from './live.ts'

/**
 * What a call carries goes when it has been made, or never will be. `settled` is a CTE of deliveries (resource_id, channel,
 * status) that have just been settled; of what has been given up it stays, for a retry.
 */
export const eraseEnclosed = (settled: Fragment): Fragment => sql`
  UPDATE resource r SET enclosed = NULL FROM ${settled} s
  WHERE r.id = s.resource_id AND s.channel = 'call' AND s.status IN ('sent', 'cancelled')`
