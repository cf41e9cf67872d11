import type { Domain, Loss, PendingRow, Rewound, RewoundResource, Timer } from '@lapse/domain'
import {
  keepWitness,
  onlyOne,
  type Queues,
  readWitness,
  resetWatermark,
  type Timers,
  type WaitingTimer,
  waitingTimers,
} from '@lapse/queue'
import { instantOf } from './waker.ts'

export interface Ground {
  readonly domain: Domain
  readonly queues: Queues
  readonly timers: Timers
  readonly horizonMs?: number | undefined
}

/** What Redis knows and PostgreSQL does not. */
export interface Comparison {
  readonly rewound: readonly Rewound[]
  /** How many resources there are no rows of: they were issued in the time that is lost. */
  readonly gone: number
  /** Timers that belong to nothing that there is, or stand at another instant than they should. */
  readonly stray: readonly WaitingTimer[]
}

export interface Restored extends Loss {
  /** What is known of, as it stands now. */
  readonly resources: readonly RewoundResource[]
}

const pageSize = 1_000

/** Nearer than this a timer is right: it is delayed again when it comes early, by a clock that may be off a little. */
const tolerableMs = 1_000

/**
 * Sees whether PostgreSQL still has the newest event that Redis has been told of. When it does not, it was restored from a
 * backup: writes down what Redis knows of the time that is lost, takes away the timers of that time, which would stand in the
 * way of new ones of the same name, and has everything armed again. Answers what was lost, to the one who found it.
 */
export const recognizeRestore = async (ground: Ground): Promise<Loss | undefined> => {
  const { domain, queues } = ground
  const look = async () => domain.restored.recognize(await readWitness(queues))
  const { newest, loss } = await look()
  if (!loss) {
    if (newest) await keepWitness(queues, newest)
    return undefined
  }
  return onlyOne(queues, async () => {
    // Somebody may have seen to it since we looked.
    const { loss, newest } = await look()
    if (!loss) return undefined
    const { rewound, stray } = await compare(ground, loss)
    await domain.restored.record(loss, rewound)
    for (let i = 0; i < stray.length; i += pageSize)
      await Promise.all(stray.slice(i, i + pageSize).map((timer) => timer.remove()))
    await resetWatermark(queues)
    // Last: whoever dies before this leaves it to the next.
    if (newest) await keepWitness(queues, newest)
    return loss
  })
}

/** What is lost by the look of it, and what is known to be; changes nothing. */
export const seeRestore = async (
  ground: Ground,
): Promise<{ loss: Loss; unseen: Comparison | undefined } | undefined> => {
  const { domain, queues } = ground
  const { loss } = await domain.restored.recognize(await readWitness(queues))
  if (loss) return { loss, unseen: await compare(ground, loss) }
  const known = await domain.restored.loss()
  return known && { loss: known, unseen: undefined }
}

const compare = async (ground: Ground, loss: Loss): Promise<Comparison> => {
  const { renewed, gone, stray } = await compareTimers(ground)
  const ended = await withoutTimer(ground, loss, renewed)
  const rewound = [
    ...[...renewed].map((id) => ({ id, was: 'renewed' as const })),
    ...ended.map((id) => ({ id, was: 'ended' as const })),
  ]
  return { rewound, gone, stray }
}

/** A timer is read before its row: a row that is behind its timer then has really gone back. */
const compareTimers = async ({ domain, queues }: Ground) => {
  const renewed = new Set<string>()
  const gone = new Set<string>()
  const stray: WaitingTimer[] = []
  for await (const page of waitingTimers(queues)) {
    const rows = new Map((await domain.pending(page.map(({ id }) => id))).map((row) => [row.id, row]))
    for (const timer of page) {
      const row = rows.get(timer.id)
      if (!row) gone.add(timer.id)
      else if (timer.version > row.version) renewed.add(timer.id)
      else if (timer.version < row.version || isRight(timer, row)) continue
      stray.push(timer)
    }
  }
  return { renewed, gone: gone.size, stray }
}

const isRight = (timer: WaitingTimer, row: PendingRow): boolean =>
  Math.abs(instantOf(timer, row) - timer.firesAt) < tolerableMs

/** Who is live and should have a timer, and has none: it was taken away when the resource ended. */
const withoutTimer = async ({ domain, timers, horizonMs }: Ground, loss: Loss, but: ReadonlySet<string>) => {
  const ended: string[] = []
  for (let after: string | undefined; ; ) {
    const rows = await domain.restored.untouched(loss, { after, limit: pageSize, horizonMs })
    const missing = await timers.missing(rows.map(lastTimer))
    ended.push(...missing.map(({ id }) => id).filter((id) => !but.has(id)))
    after = rows.at(-1)?.id
    if (rows.length < pageSize) return ended
  }
}

const lastTimer = ({ id, kind, version, nextStep, expiresAt, endsAt }: PendingRow): Timer =>
  nextStep === 'end-grace'
    ? { id, kind, version, step: 'end-grace', dueAt: endsAt.getTime() }
    : { id, kind, version, step: 'expire', dueAt: expiresAt.getTime() }

/** Everything that a loss is known of, as it stands now. */
export const readRestored = async (domain: Domain): Promise<Restored | undefined> => {
  const loss = await domain.restored.loss()
  if (!loss) return undefined
  const resources: RewoundResource[] = []
  for (let page: RewoundResource[] = []; ; ) {
    page = await domain.restored.list(loss, { after: page.at(-1)?.id, limit: pageSize })
    resources.push(...page)
    if (page.length < pageSize) return { ...loss, resources }
  }
}

/** "2026-11-21 17:06:00 UTC and …" */
export const spanOf = ({ since, until }: Loss): string => {
  const spelled = (at: Date) => `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`
  return since.getTime() === 0 ? `the beginning and ${spelled(until)}` : `${spelled(since)} and ${spelled(until)}`
}
