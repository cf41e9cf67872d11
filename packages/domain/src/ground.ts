import type { TimerState, Told } from './change.ts'
import { type Database, type Sql, transactionMs } from './database.ts'
import type { Prisma } from './generated/prisma/client.ts'
import { HookBudget } from './hook-budget.ts'
import type { Addresses } from './outbound/addresses.ts'
import type { Registry } from './registry.ts'
import type { DomainReport } from './report.ts'
import type { Resources } from './resources.ts'
import type { Secrets } from './secret.ts'
import { sql } from './store/live.ts'

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
  /** How long it waits for somebody's lock before it gives up, so that one locked row does not use up all connections. */
  readonly lockMs?: number
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
  /** Which addresses may be called. */
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

  /** Does it in one transaction, and then tells the queue. What throws undoes all of it. */
  async commit<T>(
    act: (work: Work) => Promise<T>,
    { lockMs = 4_000, timeoutMs, tellLater = false }: CommitOptions = {},
  ): Promise<{ value: T; timer: TimerState }> {
    const { registry } = this
    const changes: Told[] = []
    const begin = async (tx: Prisma.TransactionClient) => {
      await tx.$queryRaw(sql`SELECT set_config('lock_timeout', ${String(lockMs)}, true)`)
      const hookBudget = new HookBudget((timeoutMs ?? transactionMs) / 2)
      const resources = this.#tx ? this.resources : this.resources.within(tx)
      return act({ registry, tx, resources, hookBudget, changes })
    }
    const value = await (this.#tx ? begin(this.#tx) : this.#database.transaction(begin, timeoutMs))
    const settling = this.#settle(changes)
    return { value, timer: !tellLater && (await settling) ? 'armed' : 'pending' }
  }
}
