import type { Domain, IdleWakeUp, PendingRow, Step, Timer } from '@lapse/domain'
import { done, drop, type Outcome, retryIn, type WakeUp } from '@lapse/queue'

/** Wake-ups answered by one look at the database. */
const batch = 500

/** Not worth a way through Redis: a clock that is ahead by this much is waited for. */
const patienceMs = 50

interface Waiting extends WakeUp {
  readonly step: Timer['step']
  readonly resolve: (outcome: Outcome) => void
  readonly reject: (error: unknown) => void
}

/**
 * Where all wake-ups of a process meet. A wake-up says "look now", and one look serves everybody: it advances whatever is
 * due, so that 50,000 timers of the same second cost a few hundred statements. Those that come while it looks wait for
 * the next one; nobody waits for company.
 */
export class Waker {
  readonly #domain: Domain
  readonly #advance: () => Promise<{ ids: readonly string[]; more: boolean }>
  #waiting: Waiting[] = []
  #looking = false
  /** What this burst has advanced already: later wake-ups for it need no look of their own. */
  readonly #advanced = new Set<string>()

  constructor(domain: Domain, advance: () => Promise<{ ids: readonly string[]; more: boolean }>) {
    this.#domain = domain
    this.#advance = advance
  }

  wake(step: Timer['step'], wakeUp: WakeUp): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...wakeUp, step, resolve, reject })
      if (!this.#looking) void this.#look()
    })
  }

  async #look(): Promise<void> {
    this.#looking = true
    let more = false
    while (more || this.#waiting.length > 0) {
      // Those that arrive in this turn of the event loop come along.
      await new Promise(setImmediate)
      const waiting = this.#waiting.splice(0, batch)
      try {
        const advanced = await this.#advance()
        more = advanced.more
        for (const id of advanced.ids) this.#advanced.add(id)
        await this.#answer(waiting)
      } catch (error) {
        more = false
        for (const { reject } of waiting) reject(error)
      }
    }
    this.#advanced.clear()
    this.#looking = false
  }

  async #answer(waiting: readonly Waiting[]): Promise<void> {
    const open = waiting.filter((wakeUp) => !this.#advanced.has(wakeUp.id))
    for (const wakeUp of waiting) if (this.#advanced.has(wakeUp.id)) wakeUp.resolve(done)
    if (open.length === 0) return
    const rows = new Map((await this.#domain.pending(open.map(({ id }) => id))).map((row) => [row.id, row]))
    const idle: IdleWakeUp[] = []
    for (const wakeUp of open) {
      const row = rows.get(wakeUp.id)
      const known = !row || this.#domain.registry.find(row.kind) !== undefined
      const verdict: Verdict = known ? judge(wakeUp, row) : { outcome: drop('kind not configured here') }
      if (verdict.idle) idle.push({ id: wakeUp.id, ...verdict.idle })
      if (verdict.soonMs === undefined) wakeUp.resolve(verdict.outcome)
      else setTimeout(() => this.wake(wakeUp.step, wakeUp).then(wakeUp.resolve, wakeUp.reject), verdict.soonMs)
    }
    await this.#domain.recordIdle(idle)
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
  const early = instantOf(wakeUp, row) - row.at.getTime()
  if (early > 0 && row.nextStep !== 'purge') {
    if (early <= patienceMs) return { outcome: done, soonMs: early }
    const reason = `woken ${early} ms before its time, for ${wakeUp.step}`
    return { outcome: retryIn(early), idle: { type: 'timer-early', reason } }
  }
  // Still due: somebody else has it locked, or a hook has put it off. The sweep is the net.
  if (row.nextStep !== 'purge' && row.dueAt.getTime() <= row.at.getTime()) return { outcome: retryIn(1_000) }
  return { outcome: done }
}

/** When this wake-up should come, by the row. */
const instantOf = ({ step, offset = 0 }: Waiting, row: PendingRow): number => {
  const instants: Record<Exclude<Step, 'purge'>, number> = {
    remind: row.expiresAt.getTime() - offset * 1000,
    expire: row.expiresAt.getTime(),
    'end-grace': row.endsAt.getTime(),
  }
  return instants[step]
}
