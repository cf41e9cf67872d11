import { type Advanced, type AdvanceOptions, advanceDue } from './advance.ts'
import { clockSkew, type DatabaseOptions, type DatabaseReport, inspectDatabase, openDatabase } from './database.ts'
import * as deliveries from './deliveries.ts'
import { type Event, type EventFilter, type IdleWakeUp, listEvents, recordIdle } from './events.ts'
import type { Prisma } from './generated/prisma/client.ts'
import { amendAnswer, once, purgeAnswers, type Request } from './idempotency.ts'
import type { Kind, Resource } from './kind.ts'
import { Registry } from './registry.ts'
import { type Page, Resources } from './resources.ts'
import { resourceOf } from './seen.ts'
import type { AdvancedRow } from './store/advance.ts'
import type { ResourceRow } from './store/live.ts'
import { purgeResources } from './store/purge.ts'
import { overdue, type PendingRow, readClock, readPending, type Span, upcoming } from './store/read.ts'
import type { Cause } from './store/record.ts'

export interface DomainOptions extends DatabaseOptions {
  kinds: readonly Kind[]
  /** Told of rows that a verb found to be over, and lapsed on its way. */
  onLapsed?: ((rows: readonly AdvancedRow[]) => void) | undefined
}

/** PostgreSQL and the rules. Everything that decides about a resource goes through here. */
export const createDomain = ({ kinds, onLapsed = () => {}, ...options }: DomainOptions) => {
  const registry = new Registry(kinds)
  const { prisma, close } = openDatabase(options)
  return {
    registry,
    resources: new Resources(prisma, registry, onLapsed),

    /** Advances what is due, one batch for each group of kinds. */
    advance: (cause: Cause, advanceOptions?: AdvanceOptions): Promise<Advanced> =>
      advanceDue(prisma, registry, cause, advanceOptions),
    /** Where these rows stand. */
    pending: (ids: readonly string[]): Promise<PendingRow[]> => readPending(prisma, ids),
    /** What will be due, of the kinds known here. */
    upcoming: (span: Span, page: { after?: PendingRow | undefined; limit: number }): Promise<PendingRow[]> =>
      upcoming(prisma, registry.names, span, page),
    purge: (limit: number, cause: Cause) => purgeResources(prisma, limit, cause),
    purgeAnswers: () => purgeAnswers(prisma),
    recordIdle: (wakeUps: readonly IdleWakeUp[]) => recordIdle(prisma, wakeUps),
    events: (filter: EventFilter, page: Page = {}): Promise<Event[]> =>
      listEvents(prisma, filter, { before: page.before, limit: page.limit ?? 50 }),

    deliveries: {
      claim: (id: string, leaseMs: number) => deliveries.claimDelivery(prisma, id, registry.names, leaseMs),
      settle: (id: string, attempt: number, durationMs: number, outcome: deliveries.AttemptOutcome) =>
        deliveries.settleDelivery(prisma, id, attempt, durationMs, outcome),
      due: (channel: deliveries.Delivery['channel'], limit: number) =>
        deliveries.dueDeliveries(prisma, channel, registry.names, limit),
      list: (filter: deliveries.DeliveryFilter, page: Page = {}) =>
        deliveries.listDeliveries(prisma, filter, { before: page.before, limit: page.limit ?? 50 }),
      get: (id: string) => deliveries.readDelivery(prisma, id),
      retry: (which: { id: string } | deliveries.DeliveryFilter) => deliveries.retryDeliveries(prisma, which),
      count: () => deliveries.countDeliveries(prisma),
    },

    /** Runs `act` once for each key; see `once`. */
    once: <T extends object>(request: Request, act: (tx: Prisma.TransactionClient) => Promise<T>) =>
      once(prisma, request, act),
    amendAnswer: (request: Request, answer: object) => amendAnswer(prisma, request, answer),

    seen: (row: ResourceRow): Resource => resourceOf(row, registry),
    overdue: () => overdue(prisma),
    clock: () => readClock(prisma),
    clockSkew: () => clockSkew(prisma),
    inspect: (): Promise<DatabaseReport> => inspectDatabase(prisma),
    close,
  }
}

export type Domain = ReturnType<typeof createDomain>
