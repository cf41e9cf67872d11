import { type DatabaseReport, type Domain, isUnavailable } from '@lapse/domain'
import { describeRedis, inspectRedis, type Queues } from '@lapse/queue'

/** Something would go wrong later, quietly; so it goes wrong now, and says why. */
export class BootError extends Error {
  override readonly name = 'BootError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`Lapse does not start:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

/** @throws BootError when PostgreSQL does not answer */
export const databaseReport = (domain: Domain): Promise<DatabaseReport> =>
  domain.inspect().catch((error: unknown) => {
    const reason = reasonOf(error)
    const [, refused] = /unsupported startup parameter[^:]*: (\w+)/.exec(reason) ?? []
    if (refused !== undefined)
      throw new BootError([
        `A pooler in front of PostgreSQL refuses the startup parameter ${refused}. Set the parameters on the role instead and let the pooler ignore them: docs/deploy.md, "Poolers", lists both.`,
      ])
    if (isUnavailable(error)) throw new BootError([`PostgreSQL cannot be reached: ${reason}. Check DATABASE_URL.`])
    const how = 'Does the role have its grants? As the owner: LAPSE_APP_ROLE=<role> npm run migrate deploy.'
    throw new BootError([`PostgreSQL refuses to answer: ${reason}. ${how}`])
  })

/** Looks at both services. Redis may be away: nothing is lost by that. Returns warnings. @throws BootError */
export const inspect = async (domain: Domain, queues: Queues): Promise<string[]> => {
  const database = await databaseReport(domain)
  const redis = await reachable(queues)
    .then(() => Promise.all([inspectRedis(queues.redis), refusal(queues)]))
    .then(([{ problems, warnings, eviction }, refused]) => ({
      problems,
      warnings: [
        ...(refused ? [`${refused} Timers wait meanwhile; the sweep ends what is due.`] : []),
        ...(eviction ? [eviction] : []),
        ...warnings,
      ],
    }))
    .catch((error: unknown) => ({
      problems: [],
      warnings: [`${withoutRedis(error)} Timers wait until it is back; the sweep ends what is due.`],
    }))
  const problems = [...database.problems, ...redis.problems]
  if (problems.length > 0) throw new BootError(problems)
  const warnings = [...database.warnings, ...redis.warnings]
  if (Math.abs(database.clockSkewMs) > 1_000)
    warnings.push(
      `This machine's clock is ${Math.abs(database.clockSkewMs)} ms ${database.clockSkewMs > 0 ? 'ahead of' : 'behind'} the database's. The database's decides; until it is mended the sweep runs every second.`,
    )
  return warnings
}

/** That it refuses writes, in a sentence. @throws Error when it does not answer */
export const refusal = async ({ health }: Queues): Promise<string | undefined> => {
  const state = await health.check()
  if (state.status === 'away') throw new Error(state.reason)
  return state.status === 'refusing' ? describeRedis(state) : undefined
}

/** Why there is no Redis to work with, in a sentence: it is away, or its user may not do what Lapse needs. */
export const withoutRedis = (error: unknown): string => {
  const reason = reasonOf(error)
  return reason.startsWith('NOPERM')
    ? `The user of Redis lacks a permission: ${reason}. docs/deploy.md lists those that Lapse needs.`
    : `Redis cannot be reached: ${reason}.`
}

/** A connection that has just been made needs a moment. */
export const reachable = async ({ redis }: Queues): Promise<void> => {
  if (redis.status === 'ready') return
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer within 3 seconds')), 3_000)
    redis.once('ready', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

export const reasonOf = (error: unknown): string => {
  const text = error instanceof Error ? error.message : String(error)
  return text.trim().split('\n').at(-1)?.trim().replace(/\.$/, '') || 'no answer'
}
