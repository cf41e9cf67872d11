import { type Advanced, type AdvanceOptions, Advancer } from './advance.ts'
import type { AlertLimits, Observation } from './alerts/conditions.ts'
import { markSwept, sinceSweep } from './alerts/measures.ts'
import { listAlerts, report, watch } from './alerts/watch.ts'
import { type Cleaned, type CleanupOptions, cleanUp } from './cleanup.ts'
import { type DatabaseOptions, openDatabase } from './database.ts'
import { type Event, type EventFilter, type IdleWakeUp, listEvents, recordIdle } from './events.ts'
import { type Expected, expectedOf } from './expected.ts'
import { type Forecast, forecast } from './forecast.ts'
import type { Prisma } from './generated/prisma/client.ts'
import { Ground, type Settle } from './ground.ts'
import { HookSlots } from './hook-slots.ts'
import { amendAnswer, once, type Request } from './idempotency.ts'
import { clockSkew, type DatabaseReport, inspectDatabase } from './inspect.ts'
import type { Channel, Kind, Resource } from './kind.ts'
import * as ledger from './ledger.ts'
import { Addresses } from './outbound/addresses.ts'
import { oldestPending } from './outbox/backlog.ts'
import * as circuits from './outbox/circuits.ts'
import { claimDelivery } from './outbox/claim.ts'
import { type ClaimRequest, claimDue, type LanePosition } from './outbox/claim-due.ts'
import { type AttemptOutcome, beginSending } from './outbox/complete.ts'
import { oweNotice } from './outbox/notice.ts'
import { createRateLimit } from './outbox/rate.ts'
import { promoteWaiting, putOffForeign } from './outbox/waiting.ts'
import { type OwnVerbs, ownVerbsOn } from './own-verbs.ts'
import { type AbuseSpan, watchAbuse } from './people/abuse.ts'
import { Registry } from './registry.ts'
import { type Page, Resources } from './resources.ts'
import * as restored from './restored.ts'
import { checkSchema, type SchemaReport } from './schema-check.ts'
import { keyUses, missingKeys, type Resealed, type ResealOptions, resealAll } from './sealed.ts'
import { Secrets } from './secret.ts'
import { resourceOf } from './seen.ts'
import { readBack } from './session-settings.ts'
import type { ForecastSpan } from './store/forecast.ts'
import type { SeenRow } from './store/live.ts'
import { overdue, type PendingRow, readClock, readPending, type Span, upcoming } from './store/read.ts'
import type { Cause } from './store/record.ts'
import {
  bounceDelivery,
  findBounce,
  liftSuppression,
  listSuppressions,
  type SuppressionFilter,
  suppress,
} from './suppressions.ts'
import { addressOf, unsubscribeToken } from './unsubscribe.ts'
import { settleAttempt } from './webhooks/health.ts'
import { sendingTo } from './webhooks/sealing.ts'

export interface DomainOptions extends DatabaseOptions {
  kinds: readonly Kind[]
  /** What sealing and the hashes of short codes are keyed with: the first is used, all are tried. */
  secrets?: readonly string[] | undefined
  /** Addresses and ranges that may be called although they are not public. */
  allowAddresses?: readonly string[] | undefined
  /** Organizations that may call those too, by id, or `*` for all. Default: none, only the host. */
  allowAddressesFor?: readonly string[] | undefined
  /** Who is told when something is wrong with Lapse itself. */
  operatorEmail?: string | undefined
  /** From when on something is. */
  alerts?: AlertLimits | undefined
  /** Called with what a verb found to be over, and lapsed on its way. */
  onLapsed?: ((advanced: Advanced) => void) | undefined
}

/** What a function takes beside the database. */
type Rest<F extends (db: never, ...rest: never[]) => unknown> = Parameters<F> extends [unknown, ...infer R] ? R : never

/** PostgreSQL and the rules. Everything that decides about a resource goes through here. */
export const createDomain = ({
  kinds,
  secrets = [],
  allowAddresses,
  allowAddressesFor,
  operatorEmail,
  alerts: limits,
  onLapsed = () => {},
  ...options
}: DomainOptions) => {
  const registry = new Registry(kinds)
  const database = openDatabase(options)
  /** What a worker has to get done, and what everybody waits for, by connections of their own. */
  const [upkeep, checks] = [database.on('upkeep'), database.on('checks')]
  const advancer = new Advancer(database, registry, new HookSlots(database.connections))
  const resources = new Resources(database, registry, advancer, onLapsed)
  const sealing = new Secrets(secrets)
  const addresses = new Addresses(allowAddresses, { organizations: allowAddressesFor })
  return {
    registry,
    secrets: sealing,
    addresses,
    resources,
    /** The verbs of kinds that have their own, and of the directory; `settle` tells the queue, `tx` is what they commit with. */
    ownVerbs: (settle: Settle, tx?: Prisma.TransactionClient): OwnVerbs =>
      ownVerbsOn(new Ground({ database, registry, secrets: sealing, resources, addresses }, settle, tx)),

    /** Advances what is due, one batch for each group of kinds. */
    advance: (cause: Cause, advanceOptions?: AdvanceOptions): Promise<Advanced> =>
      advancer.advance(cause, advanceOptions),
    /** Where these rows stand. */
    pending: (ids: readonly string[]): Promise<PendingRow[]> => readPending(upkeep, ids),
    /** One resource, what happens to it next, and the timers that it should have. */
    expected: (id: string): Promise<Expected | undefined> => expectedOf(upkeep, registry, id),
    /** What will be due, of all kinds: how far we have looked is known to all workers, whatever kinds each of them knows. */
    upcoming: (span: Span, page: { after?: PendingRow | undefined; limit: number }): Promise<PendingRow[]> =>
      upcoming(upkeep, span, page),
    /** Removes what is past its retention, bounded. */
    cleanUp: (options: CleanupOptions = {}): Promise<Cleaned> => cleanUp(upkeep, options, { trigger: 'sweep' }),
    forecast: (span: ForecastSpan): Promise<Forecast> => forecast(database, span),
    recordIdle: (wakeUps: readonly IdleWakeUp[]) => recordIdle(upkeep, wakeUps),
    events: (filter: EventFilter, page: Page = {}): Promise<Event[]> =>
      listEvents(database, filter, { before: page.before, limit: page.limit ?? 50 }),
    abuse: (span: AbuseSpan) => watchAbuse(database, span),

    deliveries: {
      claim: (id: string, leaseMs: number, channel?: Channel) => claimDelivery(upkeep, id, registry, leaseMs, channel),
      claimDue: (request: ClaimRequest) => claimDue(upkeep, registry, request),
      promote: (channel: Channel) => promoteWaiting(upkeep, channel),
      putOffForeign: (channel: Channel, lane: LanePosition) => putOffForeign(upkeep, channel, lane, registry.names),
      beginSending: (id: string, attempt: number, answerMs: number) => beginSending(upkeep, id, attempt, answerMs),
      settle: (id: string, attempt: number, durationMs: number, outcome: AttemptOutcome) =>
        settleAttempt(upkeep, operatorEmail, [id, attempt, durationMs, outcome]),
      list: (filter: ledger.DeliveryFilter, page: Page = {}) =>
        ledger.listDeliveries(database, filter, { before: page.before, limit: page.limit ?? 50 }),
      get: (id: string) => ledger.readDelivery(database, id),
      retry: (id: string) => ledger.retryDelivery(database, id),
      retryDead: (...which: Rest<typeof ledger.retryDead>) => ledger.retryDead(database, ...which),
      cancel: (id: string) => ledger.cancelDelivery(database, id),
      count: () => ledger.countDeliveries(database),
      /** A mail has come back. `false` when it is no mail. */
      bounce: (id: string, detail?: string) => database.transaction((tx) => bounceDelivery(tx, id, detail)),
      owe: (...notice: Rest<typeof oweNotice>) => oweNotice(database, ...notice),
    },

    /** The circuit breakers of the outbox. */
    circuits: {
      of: (channel: Channel, lanes: readonly string[]) => circuits.circuitsOf(database, channel, lanes),
      open: (limit: number) => circuits.openCircuits(database, limit),
      countOpen: () => circuits.countOpenCircuits(database),
      probeNow: (channel: Channel, lanes: readonly string[]) => circuits.probeNow(database, channel, lanes),
    },
    rateLimit: (name: string, perSecond: number) => createRateLimit(database, name, perSecond),

    /** What a sender to this endpoint needs; nothing when it is deleted. @throws LapseError `not_configured` */
    endpoints: { forSending: (id: string) => sendingTo(database, sealing, id) },

    /** Addresses that are not to be written to. */
    suppressions: {
      /** No more reminders for whoever a mail with this went to. @throws LapseError `token_not_valid` */
      unsubscribe: (token: string) => suppress(database, addressOf(sealing, token), 'unsubscribed', undefined),
      /** What a reminder to this address carries, and which of them leads somewhere. */
      tokenFor: (address: string) => unsubscribeToken(sealing, address),
      mustLead: (token: string) => void addressOf(sealing, token),
      bounceOf: (address: string) => findBounce(database, address),
      list: (filter: SuppressionFilter, page: Page = {}) =>
        listSuppressions(database, filter, { before: page.before, limit: page.limit ?? 50 }),
      lift: (id: string) => liftSuppression(database, id),
    },

    /** What an operator should look at. */
    alerts: {
      watch: () => watch(database, { limits, operatorEmail }),
      report: (observation: Observation) => report(database, { operatorEmail }, observation),
      list: () => listAlerts(database),
      oldestPending: () => oldestPending(upkeep),
      sinceSweep: () => sinceSweep(upkeep),
      markSwept: () => markSwept(upkeep),
    },

    /** A database that was restored from a backup, and so knows less than it did. */
    restored: {
      recognize: (known: restored.Known | undefined) => restored.recognize(upkeep, known),
      untouched: (...which: Rest<typeof restored.untouched>) => restored.untouched(database, ...which),
      record: (...what: Rest<typeof restored.recordLoss>) => restored.recordLoss(database, ...what),
      loss: () => restored.readLoss(database),
      list: (...which: Rest<typeof restored.listRewound>) => restored.listRewound(database, ...which),
      forget: () => restored.forgetLoss(database),
    },

    /** Runs `act` once for each key; see `once`. */
    once: <T extends object>(request: Request, act: (tx: Prisma.TransactionClient) => Promise<T>) =>
      once(database, request, act),
    amendAnswer: (request: Request, answer: object) => amendAnswer(database, request, answer),

    seen: (row: SeenRow): Resource => resourceOf(row, registry),
    overdue: () => overdue(upkeep),
    clock: () => readClock(upkeep),
    clockSkew: () => clockSkew(checks),
    checkSchema: (): Promise<SchemaReport> => checkSchema(database),
    inspect: async (): Promise<DatabaseReport> => {
      const report = await database.transaction((tx) => inspectDatabase(tx))
      // Statements of their own have another reader than those of a transaction.
      if (report.problems.length === 0) report.problems.push(...(await readBack(checks)))
      if (report.problems.length === 0) report.problems.push(...(await missingKeys(checks, sealing)))
      return report
    },
    keys: {
      /** Which keys of `LAPSE_SECRET` are needed, and by what. */
      uses: () => keyUses(database, sealing),
      /** Seals under the first key what another has sealed. @throws LapseError `not_configured` */
      reseal: (options?: ResealOptions): Promise<Resealed> => resealAll(upkeep, sealing, options),
    },
    close: () => database.close(),
  }
}

export type Domain = ReturnType<typeof createDomain>
