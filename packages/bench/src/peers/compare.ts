import { type Cpu, cpuUsed, settled } from '../cpu.ts'
import { allEnded, comes, inTime, mustBeAhead, newestEvent, spread, watch } from '../ends.ts'
import { type Ground, onFreshGround } from '../ground.ts'
import { chunks, inFlight, median, percentile, rateOf, times } from '../measure.ts'
import { verifyEnded } from '../rows.ts'
import { databaseSize, usedMemory } from '../size.ts'
import type { Issuer } from './peer.ts'
import type { Side } from './side.ts'

const width = 20
const bulk = 1_000
const day = 86_400_000

/** One of them may meet a moment in which the machine stands still. */
const rounds = 3

export interface Sizes {
  /** Resources that end in the same instant. */
  readonly ends: number
  /** Of the lateness: how many, spread over how long, in each of its rounds. */
  readonly spread: { readonly count: number; readonly ms: number }
  /** Resources pending meanwhile, fewest first. */
  readonly pending: readonly number[]
  /** How many end at once while so many are pending, and a tenth as many spread over as many milliseconds. */
  readonly some: number
  /** Who would take longer than this to be filled with so many pending ones is not. */
  readonly fillSeconds: number
}

/** How it fares with so many pending. */
export interface Stage {
  readonly pending: number
  /** Issued a second, one by one and by the thousand. */
  readonly issue: number
  readonly bulk: number
  /** For each that was added. */
  readonly redisBytes: number
  readonly databaseBytes: number
  /** Ended a second, when some end at once. */
  readonly ends: number
  /** What 100,000 of those would cost. */
  readonly cpu: Cpu | undefined
  /** The 99th percentile of the lateness, in milliseconds. */
  readonly p99: number
}

/** In milliseconds; of each the median of the rounds. */
export interface Lateness {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export interface Result {
  readonly name: string
  readonly title: string
  /** Seconds until all had ended, when all end at once; and what 100,000 would cost. */
  readonly burst: number
  readonly cpu: Cpu | undefined
  readonly lateness: Lateness
  readonly stages: readonly Stage[]
}

/** Measures one of them. What it lost, ended early or doubled goes to `problems`. */
export const measureSide = async (side: Side, sizes: Sizes, problems: string[]): Promise<Result> => {
  const stages = await onFreshGround((ground) => grow(side, ground, sizes, problems))
  const rate = stages[0]?.bulk ?? 1_000
  const { seconds, cpu } = await allAtOnce(side, sizes.ends * side.share, rate, problems)
  const lateness = await onFreshGround(async (ground) => {
    const { count, ms } = sizes.spread
    const late = await side.withIssuer(ground, (issuer) =>
      side.withWorker(ground, () => latenessOf(ground, issuer, count, ms)),
    )
    problems.push(...(await verifyEnded(ground, `lateness of ${side.title}`, rounds * count)))
    return late
  })
  return { name: side.name, title: side.title, burst: seconds / side.share, cpu, lateness, stages }
}

/** Everything ends in the same instant, with nothing else pending; and what that costs until all is quiet again. */
const allAtOnce = async (side: Side, count: number, rate: number, problems: string[]) => {
  let cpu: Cpu | undefined
  const seconds = await inTime(armingMs(count, rate), (due) =>
    onFreshGround((ground) =>
      side.withIssuer(ground, (issuer) =>
        side.withWorker(ground, async () => {
          const { endedAt, before, after } = await burst(ground, issuer, count, due)
          cpu = before && after && forMany(before, after, count)
          problems.push(...(await verifyEnded(ground, `burst of ${side.title}`, count)))
          return endedAt
        }),
      ),
    ),
  )
  return { seconds, cpu }
}

/** For 100,000. */
const forMany = (before: Cpu, after: Cpu, count: number): Cpu => {
  const used = (part: keyof Cpu) => ((after[part] - before[part]) / count) * 100_000
  return { postgres: used('postgres'), redis: used('redis'), workers: used('workers') }
}

const armingMs = (count: number, rate: number): number => (count / rate) * 1_500

const burst = async (ground: Ground, issuer: Issuer, count: number, due: () => Date) => {
  for (const batch of chunks(
    times(count, () => due()),
    bulk,
  )) {
    mustBeAhead(due())
    await issuer.many(batch)
  }
  await analyzeAll(ground)
  const since = await newestEvent(ground)
  mustBeAhead(due())
  const before = await cpuUsed(ground)
  await comes(due())
  const endedAt = await allEnded(ground, since, count, due().getTime() + 300_000)
  await settled(ground)
  return { endedAt, before, after: await cpuUsed(ground) }
}

/** What autovacuum would have done long ago, of the peers' own tables too. */
const analyzeAll = ({ owner }: Ground) => owner.query('ANALYZE')

const latenessOf = async (ground: Ground, issuer: Issuer, count: number, ms: number): Promise<Lateness> => {
  const late: number[][] = []
  while (late.length < rounds) late.push(await latenessOnce(ground, issuer, count, ms))
  const at = (p: number) => median(late.map((round) => percentile(round, p)))
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}

const latenessOnce = async (ground: Ground, issuer: Issuer, count: number, ms: number): Promise<number[]> => {
  const since = await newestEvent(ground)
  const dues = spread(count, ms)
  for (const batch of chunks(dues, bulk)) await issuer.many(batch)
  await analyzeAll(ground)
  const seen = await watch(ground, since, count, Date.now() + ms + 30_000)
  const { rows } = await ground.pool.query<{ id: string; ends: number }>(
    `SELECT resource_id AS id, (extract(epoch FROM ends_at) * 1000)::float8 AS ends
     FROM event JOIN resource ON resource.id = resource_id WHERE event.id > $1 AND type = 'issued'`,
    [since],
  )
  return rows.map(({ id, ends }) => (seen.get(id) ?? Number.POSITIVE_INFINITY) - ends)
}

const grow = (side: Side, ground: Ground, sizes: Sizes, problems: string[]): Promise<Stage[]> =>
  side.withIssuer(ground, async (issuer) => {
    const stages: Stage[] = []
    const { some } = sizes
    // Whoever is asked for the first time compiles, connects and plans.
    await inFlight(200, width, (i) => issuer.one(later(i)))
    await inFlight(4, 1, () => issuer.many(times(bulk, later)))
    let pending = 200 + 4 * bulk
    for (const size of sizes.pending) {
      const missing = size - pending
      if (missing / (stages.at(-1)?.bulk ?? missing) > sizes.fillSeconds) break
      const [memory, disk] = [await usedMemory(ground.redis), await databaseSize(ground.pool)]
      const rate = await rateOf(missing, async () => {
        for (const batch of chunks(times(missing, later), bulk)) await issuer.many(batch)
      })
      // Below nothing is what Redis has freed for itself meanwhile.
      const redisBytes = Math.max(0, ((await usedMemory(ground.redis)) - memory) / missing)
      const databaseBytes = ((await databaseSize(ground.pool)) - disk) / missing
      const one = await rateOf(some, () => inFlight(some, width, (i) => issuer.one(later(i))))
      pending = size + some
      await ground.owner.query('VACUUM (ANALYZE)')
      await side.withWorker(ground, async () => {
        let cpu: Cpu | undefined
        const seconds = await inTime(armingMs(some, rate), async (due) => {
          const { endedAt, before, after } = await burst(ground, issuer, some, due)
          cpu = before && after && forMany(before, after, some)
          return endedAt
        })
        const { p99 } = await latenessOf(ground, issuer, some / 10, some)
        const stage = { pending: size, issue: one, bulk: rate, redisBytes, databaseBytes }
        stages.push({ ...stage, ends: some / seconds, cpu, p99 })
      })
      const { rows } = await ground.pool.query(
        'SELECT count(*)::int AS due FROM resource WHERE ends_at <= clock_timestamp()',
      )
      problems.push(...(await verifyEnded(ground, `${side.title} with ${size} pending`, rows[0].due)))
    }
    return stages
  })

/** Far from due, each at another instant. */
const later = (i: number): Date => new Date(Date.now() + 9 * day + (i % 86_400) * 1_000)
