import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Channel,
  type Domain,
  type Loss,
  nextTimer,
  type PendingRow,
  type Timer,
  type Trigger,
} from '@lapse/domain'
import {
  moveWatermark,
  type Outcome,
  type Queues,
  readWatermark,
  resetWatermark,
  type Timers,
  type WakeUp,
} from '@lapse/queue'
import type { AdvancedRows, AfterCommit } from './after-commit.ts'
import { recognizeRestore } from './restored.ts'
import { Waker } from './waker.ts'

export interface EngineOptions {
  /** Told of everything that was advanced, for the metrics. */
  onAdvanced?: (rows: AdvancedRows, trigger: Trigger) => void
  /** Told of hooks that threw. */
  onError: (error: unknown) => void
  horizonMs?: number | undefined
  /** Looks at the outbox, of one channel or of all: of the process's own dispatcher, which needs no Redis. */
  dispatch?: ((channel?: Channel) => void) | undefined
}

/** How far the look-ahead looks, each time. */
const lookAheadMs = 10 * 60_000

/** A change may commit this long after the instant it bears. */
const commitSlackMs = 30_000

type Group = Domain['registry']['groups'][number]

/** What a worker runs. Every function may run anywhere, at any time, several at once. */
export class Engine {
  /** Where timers' jobs meet: those of kinds without hooks in one place, those of each kind with hooks in its own. */
  readonly #wakers: ReadonlyMap<string, Waker>
  readonly #foreign: Waker
  readonly #groups: readonly Group[]
  readonly #domain: Domain
  readonly #queues: Queues
  readonly #timers: Timers
  readonly #after: AfterCommit
  readonly #options: EngineOptions
  readonly #stopping = new AbortController()
  readonly #sweeping = new Map<Group, Promise<void>>()

  constructor(domain: Domain, queues: Queues, timers: Timers, after: AfterCommit, options: EngineOptions) {
    this.#domain = domain
    this.#queues = queues
    this.#timers = timers
    this.#after = after
    this.#options = options
    this.#groups = domain.registry.groups
    // It saves work, and nothing hangs on it.
    const dismiss = (isOver: (id: string) => boolean) =>
      timers.dismiss(isOver).catch((error) => queues.report(error, 'dismiss'))
    this.#foreign = new Waker(domain, async () => {}, dismiss)
    this.#wakers = new Map(
      this.#groups.flatMap((group) => {
        const waker = new Waker(domain, (onRows) => this.#drain('job', onRows, group), dismiss, group.hooked)
        return group.kinds.map((kind) => [kind.name, waker] as const)
      }),
    )
  }

  /** Looks at what is due, of the kinds that are advanced together with this one. */
  wake(step: Timer['step'], wakeUp: WakeUp): Promise<Outcome> {
    return (this.#wakers.get(wakeUp.kind) ?? this.#foreign).wake(step, wakeUp)
  }

  /** The same, for nobody that waits for an answer. */
  ring(kind: string): void {
    this.#wakers.get(kind)?.ring()
  }

  /** Of all kinds. */
  ringAll(): void {
    for (const waker of new Set(this.#wakers.values())) waker.ring()
  }

  /** Advances all that is overdue, until none is left, and looks at the outbox. Returns how many rows it moved. */
  async sweep(): Promise<number> {
    let swept = 0
    const count = (rows: AdvancedRows) => {
      swept += rows.length
    }
    const drained = await Promise.allSettled(this.#groups.map((group) => this.#sweepGroup(group, count)))
    // Whatever one kind's hook does, the side effects of the others go out.
    this.#options.dispatch?.()
    for (const { reason } of drained.filter((one) => one.status === 'rejected')) throw reason
    await this.#domain.alerts.markSwept()
    return swept
  }

  /** One whose hook takes its time is not swept twice at once, nor waited for without end. */
  #sweepGroup(group: Group, onRows: (rows: AdvancedRows) => void): Promise<void> {
    const underWay =
      this.#sweeping.get(group) ?? this.#drain('sweep', onRows, group).finally(() => this.#sweeping.delete(group))
    this.#sweeping.set(group, underWay)
    return group.hooked ? Promise.race([underWay, sleep(5_000, undefined, { ref: false })]) : underWay
  }

  /**
   * Arms what is due within the next ten minutes: what came into view since the last time, and what has changed since.
   * When Redis has forgotten how far that was, everything within the horizon. Throws when Redis is away.
   */
  async lookAhead(): Promise<number> {
    const mark = await readWatermark(this.#queues)
    const at = await this.#domain.clock()
    const span =
      mark && mark.through.getTime() > 0
        ? { aheadMs: lookAheadMs, dueAfter: mark.through, changedSince: new Date(mark.at.getTime() - commitSlackMs) }
        : { aheadMs: this.#options.horizonMs }
    let armed = 0
    const limit = 1_000
    for (let page: PendingRow[] = [], after: PendingRow | undefined; ; after = page.at(-1)) {
      // The mark stays where it was: the next worker begins where this one did.
      if (this.#stopped) return armed
      page = await this.#domain.upcoming(span, { after, limit })
      await this.#timers.arm(page.map(nextTimer).filter((timer) => timer !== undefined))
      armed += page.length
      if (page.length < limit) break
    }
    await moveWatermark(this.#queues, { at, through: new Date(at.getTime() + lookAheadMs) })
    return armed
  }

  /** Moves what stands in shards of a number that is not used any more. Throws when Redis is away. */
  async moveAbandoned(): Promise<number> {
    return this.#timers.moveAbandoned()
  }

  /**
   * Sees whether PostgreSQL was restored from a backup, and puts the timers right if so; the next look-ahead arms everything.
   * Answers what is lost, once. Throws when Redis is away.
   */
  recognizeRestore(): Promise<Loss | undefined> {
    const [domain, queues, timers] = [this.#domain, this.#queues, this.#timers]
    return recognizeRestore({ domain, queues, timers, horizonMs: this.#options.horizonMs })
  }

  /** For a Redis that has forgotten: the next look-ahead arms everything. Comes before whatever else is put back. */
  async beginAnew(): Promise<void> {
    await resetWatermark(this.#queues)
  }

  /** Whether Redis still knows how far we have looked; when it does not, it has lost timers too. Throws when it is away. */
  async isRemembered(): Promise<boolean> {
    return (await readWatermark(this.#queues)) !== undefined
  }

  /**
   * Advances until nothing is due. In a burst two batches are under way, so that PostgreSQL and we both have work: one takes
   * what has waited longest, the other what has just become due, so that nothing that comes after the burst waits for all of it.
   *
   * A kind with hooks takes turns between the two: it has one transaction at a time, whoever looks (`HookSlots`).
   */
  async #drain(trigger: Trigger, onRows: (rows: AdvancedRows) => void, group: Group): Promise<void> {
    const next = (latestFirst: boolean) => this.#advance(trigger, onRows, group, latestFirst)
    const lane = async (latestFirst: boolean): Promise<void> => {
      while (!this.#stopped && (await next(latestFirst))) {}
    }
    if (group.hooked) for (let latest = false; !this.#stopped && (await next(latest)); ) latest = !latest
    else if (await next(false)) await Promise.all([lane(false), lane(true)])
  }

  /** Begins no new batch, nor a smaller part of one, and no new page: what is left is for others, or for later. */
  stop(): void {
    this.#stopping.abort(new Error('the engine is stopping'))
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted
  }

  /** One batch; answers whether there may be more. */
  async #advance(
    asked: Trigger,
    onRows: (rows: AdvancedRows) => void,
    group: Group,
    latestFirst: boolean,
  ): Promise<boolean> {
    // The sweep may be the first to get to what a hook has kept jobs from: their timers have fired all the same.
    const { kinds } = group
    const trigger = kinds.some(({ name }) => this.#wakers.get(name)?.hasSentAway) ? 'job' : asked
    const { signal } = this.#stopping
    const { rows, refused, more } = await this.#domain.advance({ trigger }, { kinds, latestFirst, signal })
    if (rows.length > 0) {
      onRows(rows)
      this.#options.onAdvanced?.(rows, trigger)
      for (const channel of channelsOf(rows)) this.#options.dispatch?.(channel)
      void this.#after.advanced(rows)
    }
    for (const { error } of refused) this.#options.onError(error)
    void this.#after.postponed(refused)
    return more
  }
}

const channelsOf = (rows: AdvancedRows): Set<Channel> =>
  new Set(rows.flatMap((row) => (row.owed ?? []).map(({ channel }) => channel)))
