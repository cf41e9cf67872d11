import type {
  BulkFilter,
  BulkOptions,
  BulkResult,
  By,
  Change,
  CheckResult,
  ConsumeResult,
  Denial,
  Duration,
  IssueInput,
  Kind,
  OwnVerbs,
  Payload,
  Resource,
  Resources,
  Selector,
  Settle,
  TimerState,
} from '@lapse/domain'
import { durationMs, LapseError } from '@lapse/domain'

/** The name of a kind that is configured. */
export type NameOf<K extends Kind> = K['name']
/** What resources of that name carry. */
export type PayloadOf<K extends Kind, N extends string> =
  Extract<K, { readonly name: N }> extends Kind<string, infer P> ? P : Payload

/** Until when: one of the two, or neither when the kind has a default. */
export interface Lifetime {
  /** At this instant. */
  expiresAt?: Date | undefined
  /** So long from now by the database's clock: `'20s'`, `'14d'`, or milliseconds. */
  expiresIn?: Duration | undefined
}

export interface IssueOptions<P = Payload> extends Lifetime {
  /** The application's own key; at most one live resource of a kind in an organization, or in none, has it. */
  reference?: string | undefined
  scope?: string | undefined
  /** Whom it is issued in, by its id or your own; what happens to that happens to it. */
  organization?: string | undefined
  subject?: string | undefined
  payload?: P | undefined
  /** Not usable before: at this instant, or so long from now. */
  startsAt?: Date | undefined
  startsIn?: Duration | undefined
  /** Fewer uses than the kind's. */
  maxUses?: number | undefined
  /** How often each holder may use it; whoever consumes it says who that is. */
  maxUsesEach?: number | undefined
  /** Shorter than the kind's. */
  grace?: Duration | undefined
}

export type Changed<P = Payload> = Resource<P> & { readonly timer: TimerState }

export type Checked<P = Payload> =
  | { readonly allowed: true; readonly phase: 'active' | 'grace'; readonly resource: Resource<P> }
  | { readonly allowed: false; readonly reason: Denial; readonly resource?: Resource<P> }

export type Consumed<P = Payload> =
  | { readonly consumed: true; readonly resource: Changed<P> }
  | { readonly consumed: false; readonly reason: Denial | 'used_up'; readonly resource?: Resource<P> }

/** The verbs, typed by kind. Refusals are thrown as `LapseError`; `check` and `consume` answer a status instead. */
export class Verbs<K extends Kind = Kind> {
  readonly organizations: OwnVerbs['organizations']
  readonly users: OwnVerbs['users']
  readonly memberships: OwnVerbs['memberships']
  readonly invites: OwnVerbs['invites']
  readonly verifications: OwnVerbs['verifications']
  readonly sessions: OwnVerbs['sessions']
  readonly signIn: OwnVerbs['signIn']
  readonly promoCodes: OwnVerbs['promoCodes']
  readonly shareLinks: OwnVerbs['shareLinks']
  readonly apiTokens: OwnVerbs['apiTokens']
  readonly accessGrants: OwnVerbs['accessGrants']
  readonly httpCalls: OwnVerbs['httpCalls']
  readonly webhookEndpoints: OwnVerbs['webhookEndpoints']
  readonly #resources: Resources
  readonly #bulk: OwnVerbs['bulk']
  readonly #settle: Settle

  constructor(resources: Resources, own: OwnVerbs, settle: Settle) {
    this.organizations = own.organizations
    this.users = own.users
    this.memberships = own.memberships
    this.invites = own.invites
    this.verifications = own.verifications
    this.sessions = own.sessions
    this.signIn = own.signIn
    this.promoCodes = own.promoCodes
    this.shareLinks = own.shareLinks
    this.apiTokens = own.apiTokens
    this.accessGrants = own.accessGrants
    this.httpCalls = own.httpCalls
    this.webhookEndpoints = own.webhookEndpoints
    this.#resources = resources
    this.#bulk = own.bulk
    this.#settle = settle
  }

  /** @throws LapseError `invalid`, `unknown_kind`, `lifetime_too_short`, `lifetime_too_long`, `reference_taken` */
  async issue<N extends NameOf<K>>(
    kind: N,
    options: IssueOptions<PayloadOf<K, N>> = {},
    by?: By,
  ): Promise<Changed<PayloadOf<K, N>>> {
    this.#refuseToGoAround(kind, 'kind')
    return this.#settled(await this.#resources.issue(inputOf(kind, options), by))
  }

  /** Issues all of them, or none. @throws LapseError as `issue`; `field` begins with the index of the one at fault */
  async issueAll<N extends NameOf<K>>(
    drafts: readonly ({ readonly kind: N } & IssueOptions<PayloadOf<K, N>>)[],
    by?: By,
  ): Promise<Changed<PayloadOf<K, N>>[]> {
    for (const [i, { kind }] of drafts.entries()) this.#refuseToGoAround(kind, `${i}.kind`)
    const changes = await this.#resources.issueAll(
      drafts.map(({ kind, ...options }) => inputOf(kind, options)),
      by,
    )
    const timer = (await this.#settle(changes)) ? 'armed' : 'pending'
    return changes.map(({ resource }) => ({ ...resource, timer }) as Changed<PayloadOf<K, N>>)
  }

  /** By its id, whatever its kind. @throws LapseError `not_found` */
  get(id: string): Promise<Resource> {
    return this.#resources.get(id)
  }

  /** May it be used now, by the database's clock? */
  check<N extends NameOf<K>>(kind: N, which: Selector): Promise<Checked<PayloadOf<K, N>>> {
    return this.#resources.check(kind, which) as Promise<CheckResult & Checked<PayloadOf<K, N>>>
  }

  /** Uses it once; the last use ends it. `holder`: whose use it is, where each may use it only so often. */
  async consume<N extends NameOf<K>>(
    kind: N,
    which: Selector,
    by?: By & { holder?: string | undefined },
  ): Promise<Consumed<PayloadOf<K, N>>> {
    this.#refuseToGoAround(kind)
    const result: ConsumeResult = await this.#resources.consume(kind, which, by)
    if (!result.consumed) return result as Consumed<PayloadOf<K, N>>
    return { consumed: true, resource: await this.#settled(result) }
  }

  /** Gives it a later or an earlier end. @throws LapseError `not_found`, `already_ended`, `lifetime_too_short`, `lifetime_too_long` */
  async renew<N extends NameOf<K>>(
    kind: N,
    which: Selector,
    lifetime: Lifetime,
    by?: By,
  ): Promise<Changed<PayloadOf<K, N>>> {
    this.#refuseToGoAround(kind)
    return this.#settled(await this.#resources.renew(kind, which, endOf(lifetime), by))
  }

  /** Gives it a later end, and never an earlier one. @throws LapseError as `renew`, and `not_later` */
  async extend<N extends NameOf<K>>(
    kind: N,
    which: Selector,
    lifetime: Lifetime,
    by?: By,
  ): Promise<Changed<PayloadOf<K, N>>> {
    this.#refuseToGoAround(kind)
    return this.#settled(await this.#resources.renew(kind, which, { ...endOf(lifetime), laterByMs: 0 }, by))
  }

  /** Ends it at once; quiet when it has ended. @throws LapseError `not_found` */
  async revoke<N extends NameOf<K>>(kind: N, which: Selector, by?: By): Promise<Changed<PayloadOf<K, N>>> {
    return this.#settled(await this.#resources.revoke(kind, which, by))
  }

  /** Expires it at once, without grace; quiet when it has ended. @throws LapseError `not_found` */
  async expire<N extends NameOf<K>>(kind: N, which: Selector, by?: By): Promise<Changed<PayloadOf<K, N>>> {
    return this.#settled(await this.#resources.expire(kind, which, by))
  }

  /**
   * Gives all that the filter finds another end, each judged by itself as by `renew`, in batches that commit on their own.
   * `dryRun` says what would be done; `timeMs` bounds it, and then `after` says where to go on.
   *
   * @throws LapseError `invalid`, `unknown_kind`, `kind_has_verbs`
   */
  async renewAll<N extends NameOf<K>>(
    filter: BulkFilter & { readonly kind: N },
    lifetime: Lifetime,
    options?: BulkOptions,
  ): Promise<BulkResult> {
    this.#refuseToGoAround(filter.kind, 'filter.kind')
    return this.#bulk.renew(filter, endOf(lifetime), options)
  }

  /** Ends all that the filter finds, of any kind, in the same way. @throws LapseError `invalid`, `unknown_kind` */
  revokeAll(filter: BulkFilter, options?: BulkOptions): Promise<BulkResult> {
    return this.#bulk.revoke(filter, options)
  }

  /** What carries a token is issued and used by verbs that know its rules. @throws LapseError `kind_has_verbs` */
  #refuseToGoAround(kind: string, field?: string): void {
    const verbs = this.#resources.verbsOf(kind)
    if (verbs)
      throw new LapseError('kind_has_verbs', {
        ...(field && { field }),
        detail: `Use lapse.${verbs.replace(/-(.)/g, (_, letter) => letter.toUpperCase())}, or /v1/${verbs}.`,
      })
  }

  async #settled<P>(change: Change): Promise<Changed<P>> {
    const timer = (await this.#settle([change])) ? 'armed' : 'pending'
    return { ...change.resource, timer } as Changed<P>
  }
}

const endOf = ({ expiresAt, expiresIn }: Lifetime) => ({
  expiresAt,
  expiresInMs: expiresIn === undefined ? undefined : durationMs(expiresIn),
})

const inputOf = (kind: string, options: IssueOptions<Payload>): IssueInput => {
  const { expiresAt, expiresIn, grace, startsIn, ...rest } = options
  return {
    ...rest,
    kind,
    ...endOf({ expiresAt, expiresIn }),
    startsInMs: startsIn === undefined ? undefined : durationMs(startsIn),
    graceMs: grace === undefined ? undefined : durationMs(grace),
  }
}
