import type { Domain, IdleWakeUp, PendingRow, Step, Timer } from '@lapse/domain'
import { done, drop, type Outcome, retryIn, type WakeUp } from '@lapse/queue'
import type { AdvancedRows } from './after-commit.ts'

/** Not worth a way through Redis: a clock that is ahead by this much is waited for. */
const patienceMs = 50

/** From this many on, taking wake-ups away costs less than answering them. */
const worthDismissing = 50

/** How long a wake-up waits for a look that runs hooks. */
const hookMs = 250

/** The longest until a wake-up that did not wait comes again. Nothing is late by it: a look advances whatever is due. */
const sentAwayMs = 15_000

interface Waiting extends WakeUp {
  readonly step: Timer['step']
  readonly resolve: (outcome: Outcome) => void
  readonly reject: (error: unknown) => void
}

type Drain = (onRows: (rows: AdvancedRows) => void) => Promise<void>
type Dismiss = (isOver: (id: string) => boolean) => Promise<void>

/**
 * Where all wake-ups of a process meet. A wake-up says "look now", and one look serves everybody: it advances whatever is
 * due, batch after batch until none is left, and only then answers, so that in a burst nothing competes with the
 * transitions themselves. 50,000 timers of the same second cost a few hundred statements. Those that come while it looks
 * wait for the next look; nobody waits for company.
 */
export class Waker {
  readonly #domain: Domain
  readonly #drain: Drain
  readonly #dismiss: Dismiss
  readonly #ended = new Remembered()
  #waiting: Waiting[] = []
  #looking = false
  #rung = false
  /** When the present look began, by the process's monotonic clock. */
  #began = 0
  /** When all that were sent away have come again. */
  #backAt = 0
  readonly #impatient: boolean

  /**
   * `drain` advances whatever is due until nothing is, and tells what it moved as it goes; `dismiss` takes away the wake-ups
   * that stand in Redis for what is over.
   */
  constructor(domain: Domain, drain: Drain, dismiss: Dismiss, impatient = false) {
    this.#domain = domain
    this.#drain = drain
    this.#dismiss = dismiss
    this.#impatient = impatient
  }

  wake(step: Timer['step'], wakeUp: WakeUp): Promise<Outcome> {
    // What has ended stays ended: those that come after a burst need no look of their own. Those that come in it wait for its
    // end all the same, or the queue would hand them out one by one meanwhile.
    if (this.#ended.has(wakeUp.id) && (this.#impatient || !this.#looking)) return Promise.resolve(done)
    // The queue's places are everybody's: a job does not keep one while a hook takes its time.
    const left = this.#impatient && this.#looking ? this.#began + hookMs - performance.now() : hookMs
    if (left <= 0) return Promise.resolve(this.#sendAway())
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...wakeUp, step, resolve, reject })
      this.#begin()
      if (this.#impatient) setTimeout(() => resolve(this.#sendAway()), left)
    })
  }

  /** Whether wake-ups have come that a hook keeps waiting: what is late now is late although they did. */
  get hasSentAway(): boolean {
    return performance.now() < this.#backAt
  }

  /** Comes again in as long as this look has taken so far: of a kind that is blocked, thousands would come each second. */
  #sendAway(): Outcome {
    const now = performance.now()
    const inMs = Math.min(sentAwayMs, Math.max(1_000, Math.round(now - this.#began)))
    this.#backAt = Math.max(this.#backAt, now + inMs + 1_000)
    return retryIn(inMs)
  }

  /** Looks as well, for nobody that waits for an answer. */
  ring(): void {
    this.#rung = true
    this.#begin()
  }

  #begin(): void {
    if (this.#looking) return
    this.#began = performance.now()
    void this.#look()
  }

  async #look(): Promise<void> {
    this.#looking = true
    while (this.#waiting.length > 0 || this.#rung) {
      // Those that arrive in this turn of the event loop come along.
      await new Promise(setImmediate)
      const waiting = this.#open(this.#waiting.splice(0))
      if (waiting.length === 0 && !this.#rung) continue
      this.#rung = false
      this.#began = performance.now()
      try {
        let over = 0
        await this.#drain((rows) => {
          for (const row of rows)
            if (row.status === 'expired') {
              this.#ended.add(row.id)
              over++
            }
        })
        // Far more is over than anybody was woken for.
        if (over >= waiting.length + worthDismissing) await this.#dismiss((id) => this.#ended.has(id))
        await this.#answer(waiting)
      } catch (error) {
        for (const { reject } of waiting) reject(error)
      }
    }
    this.#looking = false
  }

  /** Answers those of what has ended; the others are left. */
  #open(waiting: readonly Waiting[]): Waiting[] {
    for (const wakeUp of waiting) if (this.#ended.has(wakeUp.id)) wakeUp.resolve(done)
    return waiting.filter((wakeUp) => !this.#ended.has(wakeUp.id))
  }

  async #answer(waiting: readonly Waiting[]): Promise<void> {
    const open = this.#open(waiting)
    if (open.length === 0) return
    const rows = new Map((await this.#domain.pending(open.map(({ id }) => id))).map((row) => [row.id, row]))
    const idle: IdleWakeUp[] = []
    for (const wakeUp of open) {
      const row = rows.get(wakeUp.id)
      const known = !row || this.#domain.registry.find(row.kind) !== undefined
      const verdict = known ? judge(wakeUp, row) : foreign(judge(wakeUp, row), row)
      if (verdict.idle) idle.push({ id: wakeUp.id, ...verdict.idle })
      if (verdict.soonMs === undefined) wakeUp.resolve(verdict.outcome)
      else setTimeout(() => this.wake(wakeUp.step, wakeUp).then(wakeUp.resolve, wakeUp.reject), verdict.soonMs)
    }
    await this.#domain.recordIdle(idle)
  }
}

/** The latest ids it was given, at least the last 50,000. */
class Remembered {
  #recent = new Set<string>()
  #older = new Set<string>()

  add(id: string): void {
    if (this.#recent.size >= 50_000) {
      this.#older = this.#recent
      this.#recent = new Set()
    }
    this.#recent.add(id)
  }

  has(id: string): boolean {
    return this.#recent.has(id) || this.#older.has(id)
  }
}

interface Verdict {
  readonly outcome: Outcome
  readonly idle?: Pick<IdleWakeUp, 'type' | 'reason'>
  readonly soonMs?: number
}

/** What a wake-up means for a row that this look has not advanced. Only the row's own instants count. */
const judge = (wakeUp: Waiting, row: PendingRow | undefined): Verdict => {
  if (!row) return { outcome: drop('no such resource') }
  if (row.version !== wakeUp.version) {
    const reason = `the timer was armed for version ${wakeUp.version}, the resource is at version ${row.version}`
    return { outcome: drop('stale version'), idle: { type: 'timer-stale', reason } }
  }
  // Its hook has refused the step: this job is its timer for the next try.
  const postponedMs = row.failures > 0 && row.nextStep === wakeUp.step ? row.dueAt.getTime() - row.at.getTime() : 0
  if (postponedMs > 0) return { outcome: retryIn(postponedMs) }
  const early = instantOf(wakeUp, row) - row.at.getTime()
  if (early > 0 && row.nextStep !== 'purge') {
    if (early <= patienceMs) return { outcome: done, soonMs: early }
    const reason = `woken ${early} ms before its time, for ${wakeUp.step}`
    return { outcome: retryIn(early), idle: { type: 'timer-early', reason } }
  }
  // Still due: another transaction has it locked, or the look ended before it.
  if (row.nextStep !== 'purge' && row.dueAt.getTime() <= row.at.getTime()) return { outcome: retryIn(1_000) }
  return { outcome: done }
}

/** How long a wake-up of a kind that is not known here goes on looking for a worker that knows it. */
const foreignMs = 30_000

const foreign = ({ outcome }: Verdict, row: PendingRow): Verdict =>
  outcome.do === 'retry' && row.at.getTime() - row.dueAt.getTime() < foreignMs
    ? { outcome }
    : { outcome: drop('kind not configured here') }

/** When this wake-up should come, by the row. */
export const instantOf = ({ step, offset = 0 }: Pick<Waiting, 'step' | 'offset'>, row: PendingRow): number => {
  const instants: Record<Exclude<Step, 'purge'>, number> = {
    remind: row.expiresAt.getTime() - offset * 1000,
    expire: row.expiresAt.getTime(),
    'end-grace': row.endsAt.getTime(),
  }
  return instants[step]
}
