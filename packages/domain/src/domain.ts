import { type Advanced, type AdvanceOptions, advanceDue } from './advance.ts'
import { type Cleaned, type CleanupOptions, cleanUp } from './cleanup.ts'
import { type DatabaseOptions, openDatabase } from './database.ts'
import * as deliveries from './deliveries.ts'
import { type Event, type EventFilter, type IdleWakeUp, listEvents, recordIdle } from './events.ts'
import { type Expected, expectedOf } from './expected.ts'
import { type Forecast, forecast } from './forecast.ts'
import type { Prisma } from './generated/prisma/client.ts'
import { Ground, type Settle } from './ground.ts'
import { amendAnswer, once, type Request } from './idempotency.ts'
import { clockSkew, type DatabaseReport, inspectDatabase } from './inspect.ts'
import type { Kind, Resource } from './kind.ts'
import { type OwnVerbs, ownVerbsOn } from './own-verbs.ts'
import { type AbuseSpan, watchAbuse } from './people/abuse.ts'
import { Registry } from './registry.ts'
import { type Page, Resources } from './resources.ts'
import { checkSchema, type SchemaReport } from './schema-check.ts'
import { Secrets } from './secret.ts'
import { resourceOf } from './seen.ts'
import type { AdvancedRow } from './store/advance.ts'
import type { ForecastSpan } from './store/forecast.ts'
import type { SeenRow } from './store/live.ts'
import { overdue, type PendingRow, readClock, readPending, type Span, upcoming } from './store/read.ts'
import type { Cause } from './store/record.ts'

export interface DomainOptions extends DatabaseOptions {
  kinds: readonly Kind[]
  /** What sealing and the hashes of short codes are keyed with: the first is used, all are tried. */
  secrets?: readonly string[] | undefined
  /** Told of rows that a verb found to be over, and lapsed on its way. */
  onLapsed?: ((rows: readonly AdvancedRow[]) => void) | undefined
}

/** PostgreSQL and the rules. Everything that decides about a resource goes through here. */
export const createDomain = ({ kinds, secrets = [], onLapsed = () => {}, ...options }: DomainOptions) => {
  const registry = new Registry(kinds)
  const database = openDatabase(options)
  const resources = new Resources(database, registry, onLapsed)
  const sealing = new Secrets(secrets)
  return {
    registry,
    secrets: sealing,
    resources,
    /** The verbs of kinds that have their own, and of the directory; `settle` tells the queue, `tx` is what they commit with. */
    ownVerbs: (settle: Settle, tx?: Prisma.TransactionClient): OwnVerbs =>
      ownVerbsOn(new Ground({ database, registry, secrets: sealing, resources }, settle, tx)),

    /** Advances what is due, one batch for each group of kinds. */
    advance: (cause: Cause, advanceOptions?: AdvanceOptions): Promise<Advanced> =>
      advanceDue(database, registry, cause, advanceOptions),
    /** Where these rows stand. */
    pending: (ids: readonly string[]): Promise<PendingRow[]> => readPending(database, ids),
    /** One resource, what happens to it next, and the timers that it should have. */
    expected: (id: string): Promise<Expected | undefined> => expectedOf(database, registry, id),
    /** What will be due, of all kinds: how far we have looked is known to all workers, whatever kinds each of them knows. */
    upcoming: (span: Span, page: { after?: PendingRow | undefined; limit: number }): Promise<PendingRow[]> =>
      upcoming(database, span, page),
    /** Removes what is past its retention, bounded. */
    cleanUp: (options: CleanupOptions = {}): Promise<Cleaned> => cleanUp(database, options, { trigger: 'sweep' }),
    forecast: (span: ForecastSpan): Promise<Forecast> => forecast(database, span),
    recordIdle: (wakeUps: readonly IdleWakeUp[]) => recordIdle(database, wakeUps),
    events: (filter: EventFilter, page: Page = {}): Promise<Event[]> =>
      listEvents(database, filter, { before: page.before, limit: page.limit ?? 50 }),
    abuse: (span: AbuseSpan) => watchAbuse(database, span),

    deliveries: {
      claim: (id: string, leaseMs: number) => deliveries.claimDelivery(database, id, registry.names, leaseMs),
      settle: (id: string, attempt: number, durationMs: number, outcome: deliveries.AttemptOutcome) =>
        deliveries.settleDelivery(database, id, attempt, durationMs, outcome),
      due: (channel: deliveries.Delivery['channel'], limit: number) =>
        deliveries.dueDeliveries(database, channel, registry.names, limit),
      list: (filter: deliveries.DeliveryFilter, page: Page = {}) =>
        deliveries.listDeliveries(database, filter, { before: page.before, limit: page.limit ?? 50 }),
      get: (id: string) => deliveries.readDelivery(database, id),
      retry: (which: { id: string } | deliveries.DeliveryFilter) => deliveries.retryDeliveries(database, which),
      count: () => deliveries.countDeliveries(database),
    },

    /** Runs `act` once for each key; see `once`. */
    once: <T extends object>(request: Request, act: (tx: Prisma.TransactionClient) => Promise<T>) =>
      once(database, request, act),
    amendAnswer: (request: Request, answer: object) => amendAnswer(database, request, answer),

    seen: (row: SeenRow): Resource => resourceOf(row, registry),
    overdue: () => overdue(database),
    clock: () => readClock(database),
    clockSkew: () => clockSkew(database),
    checkSchema: (): Promise<SchemaReport> => checkSchema(database),
    inspect: (): Promise<DatabaseReport> => database.transaction((tx) => inspectDatabase(tx)),
    close: () => database.close(),
  }
}

export type Domain = ReturnType<typeof createDomain>
