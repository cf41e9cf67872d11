import {
  type Abuse,
  type AbuseSpan,
  type AccessGrantOptions,
  type Alert,
  type AlertLimits,
  accessGrant,
  apiToken,
  type Circuit,
  type Cleaned,
  type CleanupOptions,
  type Count,
  createDomain,
  DefinitionError,
  type Delivery,
  type DeliveryFilter,
  type Event,
  type EventFilter,
  type Forecast,
  type ForecastSpan,
  httpCall,
  invite,
  type Kind,
  LapseError,
  type Observation,
  type Page,
  promoCode,
  type Request,
  type Resealed,
  type ResealOptions,
  type Resource,
  type ResourceFilter,
  type SessionOptions,
  type Suppression,
  type SuppressionFilter,
  session,
  shareLink,
  type TimerState,
  trial,
  type VerificationOptions,
  verification,
} from '@lapse/domain'
import { enqueueDeliveries, openQueues, type Queues, Timers } from '@lapse/queue'
import { type AdvancedRows, AfterCommit } from './after-commit.ts'
import { inspect } from './boot.ts'
import { createDeliverer, type Deliverer, type DeliverOptions } from './delivery/deliverer.ts'
import { Dispatcher, type DispatcherOptions } from './delivery/dispatcher.ts'
import { diagnose, type Finding } from './diagnose.ts'
import { Engine, type EngineOptions } from './engine.ts'
import { type Retried, type RetryOptions, retryDead, whyBounced, whyNot } from './ledger.ts'
import { type MailTemplates, withTemplates } from './mail/templates.ts'
import { type Restored, readRestored } from './restored.ts'
import { type Story, tellStory } from './story.ts'
import type { ErrorPlace } from './survived.ts'
import { Verbs } from './verbs.ts'

/** Kinds that are always there. A trial of one's own may take the place of ours; those with verbs of their own stay. */
export const builtInKinds = [
  trial,
  invite,
  verification(),
  session(),
  apiToken,
  promoCode,
  shareLink,
  accessGrant(),
  httpCall,
] as const
export type BuiltInKind = (typeof builtInKinds)[number]

/** How built-in kinds differ from what they are when nothing is said. */
export interface BuiltInOptions {
  /** Which access is elevated, and how long grants live and are kept. */
  grants?: AccessGrantOptions | undefined
  /** How long somebody stays signed in. */
  sessions?: SessionOptions | undefined
  /** How long the links and codes that are mailed are good for. */
  verifications?: VerificationOptions | undefined
}

/** The built-in kinds and an application's own, with their mails. @throws DefinitionError, ConfigError */
export const allKinds = (
  kinds: readonly Kind[],
  { grants, sessions, verifications }: BuiltInOptions,
  templates: MailTemplates,
): readonly Kind[] => {
  const own = new Set<string>(kinds.map((kind) => kind.name))
  const taken = builtInKinds.find((kind) => kind.verbs && own.has(kind.name))
  if (taken)
    throw new DefinitionError(
      `kind ${JSON.stringify(taken.name)} is built in, with verbs of its own: choose another name`,
    )
  const set = new Map<string, Kind>(
    [accessGrant(grants), session(sessions), verification(verifications)].map((kind) => [kind.name, kind as Kind]),
  )
  const builtIn = builtInKinds.map((kind) => set.get(kind.name) ?? kind)
  return withTemplates([...builtIn.filter((kind) => !own.has(kind.name)), ...kinds], templates)
}

export interface LapseOptions<K extends readonly Kind[] = readonly Kind[]> extends BuiltInOptions {
  databaseUrl: string
  /** One server, `redis+cluster://a,b,c`, or `redis+sentinel://a,b,c/mymaster`. */
  redisUrl: string
  /** The application's own kinds. */
  kinds?: K
  /** Mails in place of those a kind has, or beside them; `null`: none. */
  templates?: MailTemplates<K[number] | BuiltInKind> | undefined
  /**
   * What seals the tokens that are to be mailed, and keys the hashes of short codes: 32 characters or more, the same for
   * all processes. The first is used and all are tried, so that a new one can be put in front of the old.
   */
  secrets?: readonly string[]
  /** Addresses and ranges such as `10.0.0.0/8` that webhooks and calls may go to although they are not public. */
  allowAddresses?: readonly string[] | undefined
  /** Organizations whose webhooks and calls may go to those too, by id, or `*` for all. Default: none, only the host's own. */
  allowAddressesFor?: readonly string[] | undefined
  /** Who gets a mail when something is wrong with Lapse itself. */
  operatorEmail?: string | undefined
  /** From when on something is. */
  alerts?: AlertLimits | undefined
  /** What every key in Redis begins with; `lapse` unless said otherwise. */
  prefix?: string
  /** How many queues the timers are divided into; one unless said otherwise. The same for all processes. */
  timerShards?: number
  /** Connections to PostgreSQL; 10 unless said otherwise. */
  connections?: number
  /** How far ahead timers are enqueued, in milliseconds; unlimited without. */
  horizonMs?: number | undefined
  /** Called with what went wrong without harm, such as a timer that could not be armed because Redis is away, and where. */
  onError?: (error: unknown, where: ErrorPlace) => void
  /** Told of what was over when somebody looked, and so was lapsed here: for metrics. */
  onLapsed?: (rows: AdvancedRows) => void
}

type Changes = Parameters<AfterCommit['changes']>[0]

/**
 * The front door. `lapse.issue('trial', {…})`, `check`, `consume`, `renew`, `revoke`, `expire`, typed by kind.
 *
 * It connects when first used, and keeps working while Redis is away. Call `close()` before the process ends.
 */
export class Lapse<K extends Kind = Kind> extends Verbs<K | BuiltInKind> {
  readonly queues: Queues
  readonly #domain: ReturnType<typeof createDomain>
  readonly #timers: Timers
  readonly #after: AfterCommit
  readonly #options: Omit<LapseOptions, 'templates'>

  constructor(options: LapseOptions<readonly K[]>) {
    const {
      databaseUrl: url,
      redisUrl,
      kinds = [],
      grants,
      sessions,
      verifications,
      templates = {},
      secrets = [],
      allowAddresses,
      allowAddressesFor,
      operatorEmail,
      alerts,
      prefix,
      timerShards,
      connections,
      horizonMs,
      onError = () => {},
      onLapsed,
    } = options
    const domain = createDomain({
      url,
      kinds: allKinds(kinds, { grants, sessions, verifications }, templates as MailTemplates),
      secrets,
      allowAddresses,
      allowAddressesFor,
      operatorEmail,
      alerts,
      ...(connections !== undefined && { connections }),
      report: onError,
      onLapsed: ({ rows, refused }) => {
        if (rows.length > 0) onLapsed?.(rows)
        for (const { error } of refused) onError(error, 'lapse')
        void after.advanced(rows)
        void after.postponed(refused)
      },
    })
    const queues = openQueues({
      redisUrl,
      report: onError,
      ...(prefix !== undefined && { prefix }),
      ...(timerShards !== undefined && { shards: timerShards }),
    })
    const timers = new Timers(queues, { horizonMs })
    const after = new AfterCommit(queues, timers, (error) => onError(error, 'after-commit'))
    const settle = (changes: Changes) => after.changes(changes)
    super(domain.resources, domain.ownVerbs(settle), settle)
    this.queues = queues
    this.#domain = domain
    this.#timers = timers
    this.#after = after
    this.#options = options
  }

  /** The kinds that are configured. */
  get kinds(): readonly string[] {
    return this.#domain.registry.names
  }

  /** Newest first. @throws LapseError `too_broad` */
  list(filter: ResourceFilter = {}, page?: Page): Promise<Resource[]> {
    return this.#domain.resources.list(filter, page)
  }

  /** How many there are. @throws LapseError `too_broad` where `tally` does not know exactly */
  count(filter: ResourceFilter = {}): Promise<number> {
    return this.#domain.resources.count(filter)
  }

  /** The same, or how many there are at least: 5,000 rows are looked at and no more. */
  tally(filter: ResourceFilter = {}): Promise<Count> {
    return this.#domain.resources.tally(filter)
  }

  /** The audit, newest first. */
  events(filter: EventFilter = {}, page?: Page): Promise<Event[]> {
    return this.#domain.events(filter, page)
  }

  /** Who guesses and who floods: what was refused, and who sends invites. @throws LapseError `invalid` */
  abuse(span: AbuseSpan = {}): Promise<Abuse> {
    return this.#domain.abuse(span)
  }

  /** The ledger of side effects. */
  readonly deliveries = {
    list: (filter: DeliveryFilter = {}, page?: Page): Promise<Delivery[]> => this.#domain.deliveries.list(filter, page),
    /** With the log of its attempts. @throws LapseError `not_found` */
    get: (id: string) => this.#domain.deliveries.get(id),
    /** Makes it due at once. @throws LapseError `not_found`, `not_retryable` */
    retry: async (id: string): Promise<Delivery> => {
      const { channel, target } = await this.#domain.deliveries.get(id)
      const bounced = channel === 'email' && (await this.#domain.suppressions.bounceOf(target))
      if (bounced) throw new LapseError('not_retryable', { detail: whyBounced(bounced) })
      const again = await this.#domain.deliveries.retry(id)
      const delivery = await this.#domain.deliveries.get(id)
      if (again.length === 0) throw new LapseError('not_retryable', { detail: whyNot(delivery) })
      await this.#enqueue(again)
      return delivery
    },
    /** Makes what is dead due at once, in batches that commit on their own; says how many, and where to go on. */
    retryDead: (filter: Omit<DeliveryFilter, 'status'> = {}, options?: RetryOptions): Promise<Retried> =>
      retryDead(this.#domain, (again) => this.#enqueue(again), filter, options),
    /** A mail has come back: it is dead, and its address gets no mail any more. @throws LapseError `not_found`, `invalid` */
    bounced: async (id: string, detail?: string): Promise<Delivery> => {
      const isMail = await this.#domain.deliveries.bounce(id, detail)
      const delivery = await this.#domain.deliveries.get(id)
      if (!isMail) throw new LapseError('invalid', { field: 'id', detail: 'This delivery is no mail.' })
      return delivery
    },
    /** Calls off one that is outstanding. @throws LapseError `not_found`, `not_cancellable` */
    cancel: async (id: string): Promise<Delivery> => {
      const cancelled = await this.#domain.deliveries.cancel(id)
      const delivery = await this.#domain.deliveries.get(id)
      if (!cancelled) throw new LapseError('not_cancellable', { detail: whyNot(delivery) })
      return delivery
    },
  }

  /** The circuit breakers of the outbox: receivers that are down, whose side effects are held and probed. */
  readonly circuits = {
    /** Those that are open, the oldest first. `limit`: 100 by default. */
    open: (limit = 100): Promise<Circuit[]> => this.#domain.circuits.open(limit),
    countOpen: () => this.#domain.circuits.countOpen(),
  }

  /** What an operator should look at. */
  readonly alerts = {
    list: (): Promise<Alert[]> => this.#domain.alerts.list(),
    /** Looks at how everything is, and tells the operator. Any process may do so, at any time. */
    watch: async (): Promise<void> => {
      const owed = await this.#domain.alerts.watch()
      await this.#enqueue(owed)
    },
    /** Raises what this process has seen itself, at once. While it sees that, it must say so again every five minutes. */
    report: async (seen: Observation): Promise<void> => {
      const owed = await this.#domain.alerts.report(seen)
      await this.#enqueue(owed)
    },
  }

  /** What a restore of PostgreSQL from a backup has lost, as far as Redis knows of it. */
  readonly restored = {
    /** `undefined` when there was none, or it has been seen to. */
    read: (): Promise<Restored | undefined> => readRestored(this.#domain),
    /** It has been seen to. */
    done: (): Promise<void> => this.#domain.restored.forget(),
  }

  /** How long the oldest side effect of each channel has been due. */
  oldestPending() {
    return this.#domain.alerts.oldestPending()
  }

  /** Milliseconds since the last sweep; `undefined` when there was none. */
  sinceSweep(): Promise<number | undefined> {
    return this.#domain.alerts.sinceSweep()
  }

  /** Addresses that are not to be written to: those that mails have come back from, and those that want no reminders. */
  readonly suppressions = {
    /** Newest first. */
    list: (filter: SuppressionFilter = {}, page?: Page): Promise<Suppression[]> =>
      this.#domain.suppressions.list(filter, page),
    /** It may be written to again. @throws LapseError `not_found` */
    lift: (id: string): Promise<Suppression> => this.#domain.suppressions.lift(id),
    /** Whether the token of a reminder is good. @throws LapseError `token_not_valid` */
    mustLead: (token: string): void => this.#domain.suppressions.mustLead(token),
    /** No more reminders for whoever that went to. @throws LapseError `token_not_valid` */
    unsubscribe: (token: string): Promise<void> => this.#domain.suppressions.unsubscribe(token),
  }

  /** What could not be told is fed by the sweep. */
  async #enqueue(owed: Parameters<typeof enqueueDeliveries>[1]): Promise<void> {
    if (!(await this.queues.health.isUsable())) return
    await enqueueDeliveries(this.queues, owed).catch((error) => {
      this.queues.health.failed(error)
      this.#options.onError?.(error, 'enqueue')
    })
  }

  /**
   * Does `act` once for each `Idempotency-Key`, in one transaction with its answer, which is given again to whoever asks
   * again. `act` gets the verbs of that transaction; `armed` adds to the answer what only the commit could tell.
   *
   * @throws LapseError `idempotency_running`, `idempotency_mismatch`
   */
  async once<T extends object>(
    request: Request,
    act: (verbs: Verbs<K | BuiltInKind>) => Promise<T>,
    armed: (answer: T, timer: TimerState) => T,
  ): Promise<{ answer: T; replayed: boolean }> {
    const changes: Changes[number][] = []
    const result = await this.#domain.once(request, (tx) => {
      const collect = async (made: Changes) => {
        changes.push(...made)
        return false
      }
      return act(new Verbs(this.#domain.resources.within(tx), this.#domain.ownVerbs(collect, tx), collect))
    })
    if (result.replayed || !(await this.#after.changes(changes))) return result
    const answer = armed(result.answer, 'armed')
    await this.#domain.amendAnswer(request, answer)
    return { answer, replayed: false }
  }

  /** What a worker runs. */
  engine(options: Omit<EngineOptions, 'horizonMs'>): Engine {
    const { horizonMs } = this.#options
    return new Engine(this.#domain, this.queues, this.#timers, this.#after, { ...options, horizonMs })
  }

  /** Makes attempts at side effects. */
  deliverer(options: DeliverOptions): Deliverer {
    const { mailRate } = options
    const rateLimit = mailRate === undefined ? undefined : this.#domain.rateLimit('mail', mailRate)
    return createDeliverer(this.#domain, options, rateLimit)
  }

  /** Serves the outbox with a deliverer, for a worker: as many attempts at once as there are slots, fairly shared. */
  dispatcher(deliverer: Deliverer, options: DispatcherOptions): Dispatcher {
    return new Dispatcher(this.#domain, deliverer, options)
  }

  /** Looks at PostgreSQL and Redis and returns warnings. @throws BootError saying why Lapse must not start like this */
  inspect(): Promise<string[]> {
    return inspect(this.#domain, this.queues)
  }

  /** Looks at everything that Lapse stands on, and says of each how it is and what to do. Changes and throws nothing. */
  diagnose(): Promise<Finding[]> {
    const hasSecret = (this.#options.secrets ?? []).length > 0
    const { horizonMs } = this.#options
    return diagnose({ domain: this.#domain, queues: this.queues, timers: this.#timers, hasSecret, horizonMs })
  }

  /** All that is known of one resource, purged or not. @throws LapseError `not_found` */
  story(id: string): Promise<Story> {
    return tellStory(this.#domain, this.#timers, id, (error) => this.#options.onError?.(error, 'inspect-timers'))
  }

  /** This process's clock minus the database's, in milliseconds. */
  clockSkew(): Promise<number> {
    return this.#domain.clockSkew()
  }

  /** What should have happened and has not, by kind: how many rows, and how late the first is. */
  overdue(): Promise<{ kind: string; count: number; oldestMs: number }[]> {
    return this.#domain.overdue()
  }

  /** How many end in each of the coming hours or days, by kind, and how many are over and not swept yet. */
  forecast(span: ForecastSpan): Promise<Forecast> {
    return this.#domain.forecast(span)
  }

  /** Removes what is past its retention, of every kind, bounded; safe to run from several processes. Says what it removed. */
  cleanup(options?: CleanupOptions): Promise<Cleaned> {
    return this.#domain.cleanUp(options)
  }

  /**
   * Seals under the first of `secrets` what another of them has sealed: webhook endpoints, calls, mails that wait. Safe to run from
   * several processes, when all of them know both keys. Says how many were sealed anew, and how many no key opens.
   *
   * @throws LapseError `not_configured`
   */
  reseal(options?: ResealOptions): Promise<Resealed> {
    return this.#domain.keys.reseal(options)
  }

  /** Side effects that wait, or have given up. */
  outstanding() {
    return this.#domain.deliveries.count()
  }

  async close(): Promise<void> {
    await this.#after.idle()
    await this.queues.close()
    await this.#domain.close()
  }
}

export const createLapse = <const K extends readonly Kind[] = readonly []>(
  options: LapseOptions<K>,
): Lapse<K[number]> => new Lapse<K[number]>(options as LapseOptions<readonly K[number][]>)
