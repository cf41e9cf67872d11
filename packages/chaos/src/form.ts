import { parseArgs } from 'node:util'
import type { FaultKind } from './faults/fault.ts'
import * as lines from './faults/lines.ts'
import * as neighbours from './faults/neighbours.ts'
import * as others from './faults/others.ts'
import * as processes from './faults/processes.ts'
import * as refusals from './faults/refusals.ts'
import * as servers from './faults/servers.ts'

/** How much of everything there is. */
export interface Form {
  readonly name: string
  readonly seed: number
  /** New lives in a second, and the seconds that the longest is issued for. */
  readonly rate: number
  readonly longestSeconds: number
  /** At least so long, faults or not; and no longer, unless it `takesAll` of them. */
  readonly loadMs: number
  readonly takesAll: boolean
  /** What lasts lasts so long; and so long is it quiet after each fault. */
  readonly pauseMs: number
  readonly quietMs: number
  readonly faults: readonly (readonly [FaultKind, times: number])[]
}

export const help = `npm run chaos -- [--brief | --long | --soak] [--seed N] [--minutes M] [--only part-of-a-name] [--no-faults]

  (nothing)    every fault of the short list, about four and a half minutes, always with the same seed
  --brief      each once, about two minutes: what CI runs
  --long       everything, 50 kills, 20 restarts and so on, with a seed of its own that it prints: most of an hour;
               with --minutes as many of those as fit
  --soak       a steady load for --minutes (30) without faults: do memory, handles and connections stay flat?
  --seed       does the same again, as far as chance is the tool's own
  --only       those faults alone whose name has this in it
  --no-faults  the load alone

Exits with 1 when a rule was violated, and names it.`

const eachOnce: Form['faults'] = [
  [processes.rollingRestart, 1],
  [processes.workerKilled, 1],
  [processes.apiKilledBeforeEnqueue, 1],
  [processes.killedInTransaction, 1],
  [servers.redisFlushed, 1],
  [servers.redisEmptied, 1],
  [servers.redisKilled, 1],
  [servers.redisDiskFull, 1],
  [servers.postgresCrashed, 1],
  [servers.zoneChanged, 1],
  [lines.linesCut, 1],
  [lines.cutAfterCommit, 1],
  [lines.answersLost, 1],
  [lines.linesFrozen, 1],
  [lines.linesSlow, 1],
  [others.clocksWrong, 1],
  [others.someForged, 1],
  [others.sinksRefuse, 1],
  [others.sinksHang, 1],
  [others.sinksLate, 1],
  [neighbours.oneReceiverHangs, 1],
  [neighbours.namesSlow, 1],
  [neighbours.mailServerSlow, 1],
  [neighbours.rowsLocked, 1],
  [neighbours.oneTokenNoisy, 1],
  [refusals.redisReadOnly, 1],
  [refusals.redisWithoutReplicas, 1],
  [refusals.redisFull, 1],
  [refusals.redisUnsaved, 1],
]

const short: Form['faults'] = [[processes.workerKilled, 7], [processes.apiKilled, 1], ...eachOnce]

const long: Form['faults'] = [
  [processes.rollingRestart, 20],
  [processes.workerKilled, 50],
  [processes.apiKilled, 10],
  [processes.apiKilledBeforeEnqueue, 10],
  [processes.killedInTransaction, 5],
  [processes.sameJobKilled, 2],
  [processes.sameDeliveryKilled, 1],
  [servers.redisFlushed, 5],
  [servers.redisEmptied, 2],
  [servers.redisAwayLong, 1],
  [servers.redisKilled, 5],
  [servers.redisDiskFull, 3],
  [servers.postgresCrashed, 20],
  [servers.zoneChanged, 3],
  [lines.linesCut, 5],
  [lines.cutAfterCommit, 5],
  [lines.answersLost, 5],
  [lines.linesFrozen, 3],
  [lines.linesSlow, 3],
  [others.clocksWrong, 5],
  [others.manyForged, 1],
  [others.someForged, 5],
  [others.sinksRefuse, 3],
  [others.sinksHang, 3],
  [others.sinksLate, 3],
  [neighbours.oneReceiverHangs, 3],
  [neighbours.namesSlow, 2],
  [neighbours.mailServerSlow, 3],
  [neighbours.rowsLocked, 5],
  [neighbours.oneTokenNoisy, 3],
  [refusals.redisReadOnly, 3],
  [refusals.redisWithoutReplicas, 3],
  [refusals.redisFull, 3],
  [refusals.redisUnsaved, 3],
]

const fixedSeed = 2026

const options = {
  brief: { type: 'boolean', default: false },
  long: { type: 'boolean', default: false },
  soak: { type: 'boolean', default: false },
  seed: { type: 'string' },
  minutes: { type: 'string' },
  only: { type: 'string' },
  'no-faults': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

/** What somebody has typed and can mend: shown without a stack. */
class UsageError extends Error {
  readonly expected = true
}

const read = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw new UsageError(`${(error as Error).message}. See: npm run chaos -- --help`)
  }
}

/** @throws UsageError for what there is not */
export const formOf = (args: readonly string[]): (Form & { readonly isSoak: boolean }) | undefined => {
  const values = read(args)
  if (values.help) return undefined
  const name = values.soak ? 'soak' : values.long ? 'long' : values.brief ? 'brief' : 'short'
  const minutes = Number(values.minutes ?? { soak: 30, long: 10, brief: 0.3, short: 1.5 }[name])
  const seed = Number(values.seed ?? (values.long ? Math.floor(Math.random() * 2 ** 31) : fixedSeed))
  if (!(minutes > 0) || !Number.isInteger(seed))
    throw new UsageError('--minutes is a number above 0, and --seed a whole number.')
  const all = {
    soak: { rate: 20, longestSeconds: 20, pauseMs: 0, quietMs: 0, faults: [] },
    long: { rate: 15, longestSeconds: 20, pauseMs: 10_000, quietMs: 500, faults: long },
    short: { rate: 20, longestSeconds: 15, pauseMs: 4_000, quietMs: 500, faults: short },
    brief: { rate: 8, longestSeconds: 6, pauseMs: 1_000, quietMs: 100, faults: eachOnce },
  } as const satisfies Record<string, Omit<Form, 'name' | 'seed' | 'loadMs' | 'takesAll'>>
  const form = all[name]
  const isWanted = ([{ name: fault }]: readonly [FaultKind, number]) => fault.includes(values.only ?? '')
  const faults = values['no-faults'] ? [] : (form.faults as Form['faults']).filter(isWanted)
  if (values.only !== undefined && faults.length === 0)
    throw new UsageError(
      `No fault of this form has ${JSON.stringify(values.only)} in its name. There are:\n  ${[...new Set(form.faults.map(([{ name }]) => name))].join('\n  ')}`,
    )
  return {
    ...form,
    name,
    seed,
    loadMs: minutes * 60_000,
    takesAll: name !== 'long' || values.minutes === undefined,
    faults,
    isSoak: values.soak,
  }
}
