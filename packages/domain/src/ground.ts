import type { Lane } from './caller.ts'
import type { TimerState, Told } from './change.ts'
import { type Database, type Sql, transactionMs } from './database.ts'
import type { Prisma } from './generated/prisma/client.ts'
import { HookBudget } from './hook-budget.ts'
import type { LockQueueOptions } from './lock-queue.ts'
import type { Addresses } from './outbound/addresses.ts'
import type { Registry } from './registry.ts'
import type { DomainReport } from './report.ts'
import type { Resources } from './resources.ts'
import type { Secrets } from './secret.ts'

/** One transaction: what is done with these commits together, or not at all. */
export interface Work {
  readonly registry: Registry
  readonly tx: Prisma.TransactionClient
  readonly resources: Resources
  /** For the hooks of what it cascades to. */
  readonly hookBudget: HookBudget
  /** What the queue is to be told when it has committed. */
  readonly changes: Told[]
}

export interface CommitOptions {
  readonly timeoutMs?: number
  /** Does not wait for the queue: how long that takes would tell that there was something to do. */
  readonly tellLater?: boolean
}

/** Answers whether Redis knows all of it now. */
export type Settle = (changes: readonly Told[]) => Promise<boolean>

/**
 * Where the verbs of people and organizations act: on the database, or inside a transaction that something else must
 * commit with.
 */
export class Ground {
  readonly registry: Registry
  readonly secrets: Secrets
  readonly resources: Resources
  /** Which addresses the host may call; an organization's are `addresses.for(id)`. */
  readonly addresses: Addresses
  readonly #database: Database
  readonly #settle: Settle
  readonly #tx: Prisma.TransactionClient | undefined

  constructor(
    about: { database: Database; registry: Registry; secrets: Secrets; resources: Resources; addresses: Addresses },
    settle: Settle,
    tx?: Prisma.TransactionClient,
  ) {
    this.registry = about.registry
    this.secrets = about.secrets
    this.addresses = about.addresses
    this.resources = tx ? about.resources.within(tx) : about.resources
    this.#database = about.database
    this.#settle = settle
    this.#tx = tx
  }

  /** For single statements. */
  get sql(): Sql {
    return this.#tx ?? this.#database
  }

  /** Counts an error that is survived. */
  get report(): DomainReport {
    return this.#database.report
  }

  /** For reads of a few rows by an index, which everybody waits for. */
  get checks(): Sql {
    return this.#tx ?? this.#database.on('checks')
  }

  /** The same ground by the connections of this lane. */
  on(lane: Lane): Ground {
    const database = this.#database.on(lane)
    const { registry, secrets, addresses } = this
    const resources = this.resources.on(lane)
    return new Ground({ database, registry, secrets, resources, addresses }, this.#settle, this.#tx)
  }

  /** For a commit that locks this first: of those that lock the same, only a few wait with a connection; see `LockQueue`. */
  locking(locks: string | null | undefined, options: LockQueueOptions = {}): Pick<Ground, 'commit'> {
    return { commit: (act, how) => this.#commit(act, how, locks, options) }
  }

  /** Does it in one transaction, and then tells the queue. What throws undoes all of it. */
  commit<T>(act: (work: Work) => Promise<T>, options?: CommitOptions): Promise<{ value: T; timer: TimerState }> {
    return this.#commit(act, options)
  }

  async #commit<T>(
    act: (work: Work) => Promise<T>,
    { timeoutMs, tellLater = false }: CommitOptions = {},
    locks?: string | null,
    queueing: LockQueueOptions = {},
  ): Promise<{ value: T; timer: TimerState }> {
    const { registry } = this
    const changes: Told[] = []
    const begin = (tx: Prisma.TransactionClient) => {
      const hookBudget = new HookBudget((timeoutMs ?? transactionMs) / 2)
      const resources = this.#tx ? this.resources : this.resources.within(tx)
      return act({ registry, tx, resources, hookBudget, changes })
    }
    // Never inside a transaction: it may hold what those before it wait for.
    const value = this.#tx
      ? await begin(this.#tx)
      : await this.#database.locks.run(locks, () => this.#database.transaction(begin, timeoutMs), queueing)
    const settling = this.#settle(changes)
    return { value, timer: !tellLater && (await settling) ? 'armed' : 'pending' }
  }
}
