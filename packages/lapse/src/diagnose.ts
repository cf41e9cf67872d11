import { setTimeout as sleep } from 'node:timers/promises'
import { type Domain, nextTimer } from '@lapse/domain'
import { inspectRedis, type Queues } from '@lapse/queue'
import { type BootError, databaseReport, reachable, reasonOf, refusal, withoutRedis } from './boot.ts'
import { type Ground, seeRestore, spanOf } from './restored.ts'

type About =
  | ('postgres' | 'clock' | 'migrations' | 'indexes' | 'overdue' | 'deliveries' | 'alerts')
  | ('redis' | 'workers' | 'timers' | 'restored')

/** One thing that was looked at. */
export interface Finding {
  readonly about: About | 'secret'
  readonly verdict: 'well' | 'warning' | 'wrong'
  /** What was found, and what to do about it. */
  readonly text: string
}

const found =
  (verdict: Finding['verdict']) =>
  (about: Finding['about'], text: string): Finding => ({ about, verdict, text })
const [well, warning, wrong] = [found('well'), found('warning'), found('wrong')]

/** A clock that is off by more cannot be trusted to fire timers. */
const tolerableSkewMs = 1_000
/** The sweep comes every 15 seconds. */
const tolerableLatenessMs = 30_000
/** What is due so soon has its timer in Redis, whatever the horizon. */
const soonMs = 10 * 60_000
const sample = 1_000

interface Patient extends Ground {
  readonly hasSecret: boolean
}

/** Looks at everything that Lapse stands on, and says of each how it is. Writes a key to Redis to see whether it may. */
export const diagnose = async (patient: Patient): Promise<Finding[]> => {
  const { domain, queues } = patient
  const [database, redis] = await Promise.all([ofDatabase(domain), ofRedis(queues)])
  const usable = isUsable(database) && isUsable(redis)
  const restored = usable ? await ofRestored(patient).catch(unanswered('restored')) : []
  const timers = usable ? await ofTimers(patient).catch(unanswered('timers')) : []
  const secret = patient.hasSecret
    ? usable
      ? await ofSecret(domain).catch(unanswered('secret'))
      : [well('secret', 'LAPSE_SECRET is set.')]
    : [
        warning(
          'secret',
          'LAPSE_SECRET is not set: nothing can be issued whose token has to be mailed. Give all processes the same, 32 characters or more: openssl rand -base64 32.',
        ),
      ]
  return [...database, ...redis, ...restored, ...timers, ...secret]
}

/** Which of its keys are needed. One that rows need and that is not there is a reason not to start, and told as such. */
const ofSecret = async (domain: Domain): Promise<Finding[]> => {
  const count = domain.secrets.keys.length
  if (count === 1) return [well('secret', 'LAPSE_SECRET is set.')]
  const uses = await domain.keys.uses()
  return domain.secrets.keys.slice(1).map((_, i) => {
    const needs = uses.filter(({ place }) => place === i + 1)
    const which = `the ${['second', 'third', 'fourth'][i] ?? `${i + 2}th`} key of LAPSE_SECRET`
    const sealed = [...new Set(needs.flatMap(({ what, until }) => (until ? [] : [what])))]
    const until = needs.flatMap((need) => (need.until ? [need.until.getTime()] : [])).sort((a, b) => b - a)[0]
    if (needs.length === 0) return well('secret', `Nothing needs ${which} any more: take it away.`)
    const more = [
      ...(sealed.length > 0 ? [`it has sealed ${sealed.join(' and ')}, which "lapse secrets rotate" seals anew`] : []),
      ...(until ? [`it has signed JWTs or codes that are good until ${new Date(until).toISOString()}`] : []),
    ]
    return well('secret', `Keep ${which}: ${more.join('; ')}.`)
  })
}

const isUsable = (findings: readonly Finding[]): boolean =>
  findings.some(({ about, verdict }) => (about === 'indexes' || about === 'redis') && verdict !== 'wrong')

const unanswered =
  (about: Finding['about']) =>
  (error: unknown): Finding[] => [wrong(about, `It could not be looked at: ${reasonOf(error)}.`)]

const ofDatabase = async (domain: Domain): Promise<Finding[]> => {
  try {
    const { version, problems, warnings, clockSkewMs, migrated } = await databaseReport(domain)
    const server = [
      ...problems.map((text) => wrong('postgres', text)),
      ...warnings.map((text) => warning('postgres', text)),
    ]
    if (problems.length === 0) server.unshift(well('postgres', `PostgreSQL ${version} answers.`))
    const skew = Math.abs(clockSkewMs)
    const clock =
      skew <= tolerableSkewMs
        ? well('clock', `This machine's clock is within ${skew} ms of the database's.`)
        : wrong(
            'clock',
            `This machine's clock is ${skew} ms ${clockSkewMs > 0 ? 'ahead of' : 'behind'} the database's, which decides. Synchronize both (NTP).`,
          )
    if (!migrated) return [...server, clock]
    const rest = await Promise.all([
      ofSchema(domain).catch(unanswered('indexes')),
      ofOverdue(domain).catch(unanswered('overdue')),
      ofDeliveries(domain).catch(unanswered('deliveries')),
      ofAlerts(domain).catch(unanswered('alerts')),
    ])
    return [...server, clock, ...rest.flat()]
  } catch (error) {
    return (error as BootError).problems.map((text) => wrong('postgres', text))
  }
}

const ofSchema = async (domain: Domain): Promise<Finding[]> => {
  const { applied, unfinished, missingIndexes, invalidIndexes } = await domain.checkSchema()
  const migrations =
    unfinished.length === 0
      ? [well('migrations', `${applied.length} are applied, the last is ${applied.at(-1)}.`)]
      : unfinished.map((name) =>
          wrong('migrations', `${name} has begun and not finished. "npm run migrate status" says how to go on.`),
        )
  const indexes = [
    ...missingIndexes.map((name) =>
      wrong('indexes', `${name} is missing. Its statement stands in prisma/migrations: run it as the owner.`),
    ),
    ...invalidIndexes.map((name) =>
      wrong('indexes', `${name} is invalid and not used. As the owner: REINDEX INDEX CONCURRENTLY "${name}".`),
    ),
  ]
  return [...migrations, ...(indexes.length > 0 ? indexes : [well('indexes', 'All are there and valid.')])]
}

const ofOverdue = async (domain: Domain): Promise<Finding[]> => {
  const late = (await domain.overdue()).filter(({ oldestMs }) => oldestMs > tolerableLatenessMs)
  if (late.length === 0) return [well('overdue', 'Nothing waits to be advanced.')]
  return late.map(({ kind, count, oldestMs }) =>
    wrong(
      'overdue',
      `${count} of kind ${kind} should have been advanced, the first ${Math.round(oldestMs / 1000)} s ago; what is over is denied all the same. ${
        domain.registry.find(kind)
          ? 'Start a worker, or run "lapse sweep" once.'
          : 'The kind is not configured here: start a worker with the lapse.config.ts that defines it.'
      }`,
    ),
  )
}

const ofDeliveries = async (domain: Domain): Promise<Finding[]> => {
  const dead = (await domain.deliveries.count()).filter(({ status }) => status === 'dead')
  if (dead.length === 0) return [well('deliveries', 'None has given up.')]
  return dead.map(({ channel, count }) =>
    wrong(
      'deliveries',
      `${count} by ${channel} ${count === 1 ? 'has' : 'have'} given up. "lapse deliveries list --status dead" says why; mend it, then "lapse deliveries retry-dead".`,
    ),
  )
}

/** As the processes that watch have last found them. */
const ofAlerts = async (domain: Domain): Promise<Finding[]> => {
  const raised = (await domain.alerts.list()).filter((alert) => alert.raised)
  if (raised.length === 0) return [well('alerts', 'None is raised.')]
  return raised.map(({ name, raisedAt, detail, advice }) =>
    wrong('alerts', `${name}, since ${raisedAt?.toISOString()}: ${detail} ${advice}`),
  )
}

const ofRedis = async (queues: Queues): Promise<Finding[]> => {
  try {
    await reachable(queues)
    // Not at once: after a READONLY the connection is made anew, and nothing else gets an answer meanwhile.
    const inspected = await inspectRedis(queues.redis)
    const refused = await refusal(queues)
    const { version, persistence, warnings } = inspected
    const problems = [
      ...(refused ? [`${refused} Timers wait until it accepts them; workers sweep meanwhile.`] : []),
      ...inspected.problems,
      ...(inspected.eviction ? [inspected.eviction] : []),
    ]
    return [
      ...(problems.length === 0
        ? [well('redis', `Redis ${version} accepts writes, evicts nothing, and keeps its data by ${persistence}.`)]
        : problems.map((text) => wrong('redis', text))),
      ...warnings.map((text) => warning('redis', text)),
      ...(await ofWorkers(queues)),
    ]
  } catch (error) {
    return [
      wrong('redis', `${withoutRedis(error)} Timers wait until it is back; workers sweep meanwhile. Check REDIS_URL.`),
    ]
  }
}

/** Managed servers may refuse to list their clients. */
const ofWorkers = async (queues: Queues): Promise<Finding[]> => {
  const count = await queues.timers.getWorkersCount().catch((error: unknown) => reasonOf(error))
  if (typeof count === 'string')
    return [warning('workers', `Redis does not list its clients (${count}): look at /readyz of each worker instead.`)]
  return count > 0
    ? [well('workers', `${count} ${count === 1 ? 'is' : 'are'} connected.`)]
    : [
        warning(
          'workers',
          'None is connected: nothing is advanced before somebody looks, and nothing is delivered. Start one.',
        ),
      ]
}

/** Redis remembers what PostgreSQL knew: a backup that was restored knows less. */
const ofRestored = async (patient: Patient): Promise<Finding[]> => {
  const seen = await seeRestore(patient)
  if (!seen) return [well('restored', 'PostgreSQL has all that Redis has been told of.')]
  const { loss, unseen } = seen
  const count = (was: string) => unseen?.rewound.filter((one) => one.was === was).length ?? 0
  const found = unseen
    ? ` Timers that know what it does not have: ${unseen.stray.length}. Resources that had ended and are live again: ${count('ended')}; that had been renewed: ${count('renewed')}; that are gone: ${unseen.gone}.`
    : ''
  return [
    wrong(
      'restored',
      `PostgreSQL is behind Redis: what happened between ${spanOf(loss)} is lost (restored from a backup?).${found} "lapse restored" lists them, and what to do.`,
    ),
  ]
}

const ofTimers = async ({ domain, timers }: Patient): Promise<Finding[]> => {
  const missing = async () => {
    const rows = await domain.upcoming({ aheadMs: soonMs }, { limit: sample })
    const due = rows.map(nextTimer).filter((timer) => timer !== undefined)
    return { due, missing: await timers.missing(due) }
  }
  let looked = await missing()
  // What was issued in this very moment is armed in the next one.
  if (looked.missing.length > 0) {
    await sleep(1_000)
    looked = await missing()
  }
  if (looked.due.length === 0) return [well('timers', 'None is due within ten minutes.')]
  if (looked.missing.length === 0)
    return [well('timers', `Redis has those of all ${looked.due.length} that are due within ten minutes.`)]
  return [
    wrong(
      'timers',
      `${looked.missing.length} of the ${looked.due.length} that are due within ten minutes are not in Redis, such as ${looked.missing[0]?.id}. Run "lapse rearm"; workers do so every minute.`,
    ),
  ]
}
