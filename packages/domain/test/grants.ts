import { type AccessGrantOptions, accessGrant, type Change, type Kind, type Settle } from '../src/index.ts'
import { testDomain } from './support.ts'

/** Access grants on a database of this file's own. Call it at the top of a test file. */
export const testGrants = async (options: AccessGrantOptions = {}, more: readonly Kind[] = []) => {
  const kinds = [accessGrant(options), ...more]
  const stage = await testDomain(kinds)
  /** What the queue would have been told. */
  const told: Change[] = []
  const settle: Settle = async (changes) => {
    told.push(...(changes as Change[]))
    return true
  }
  const own = stage.domain.ownVerbs(settle)
  let last = 0
  return {
    ...stage,
    told,
    grants: own.accessGrants,
    organizations: own.organizations,
    /** Another process. */
    elsewhere: () => stage.another(kinds).ownVerbs(settle).accessGrants,
    /** A resource that nobody has had yet. */
    fresh: (): string => `document:${++last}`,
    /** How many rows of a resource are stored as not ended, whatever the clock says. */
    standing: async (resource: string): Promise<number | undefined> =>
      (
        await stage.sql<{ n: number }>(
          `SELECT count(*)::int AS n FROM resource WHERE scope = $1 AND status IN ('active', 'grace')`,
          [resource],
        )
      )[0]?.n,
  }
}
