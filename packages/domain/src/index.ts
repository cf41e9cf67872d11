export { type Advanced, nextTimer } from './advance.ts'
export { type Backoff, backoff } from './backoff.ts'
export type { Change } from './change.ts'
export { isUnavailable } from './database.ts'
export { withDeadline } from './deadline.ts'
export type {
  Attempt,
  AttemptOutcome,
  Claim,
  ClaimResult,
  Delivery,
  DeliveryFilter,
  DeliveryStatus,
} from './deliveries.ts'
export { createDomain, type Domain, type DomainOptions } from './domain.ts'
export { type ErrorCode, LapseError } from './errors.ts'
export type { Event, EventFilter, IdleWakeUp, Trigger } from './events.ts'
export type { Prisma } from './generated/prisma/client.ts'
export { HookError } from './hooks.ts'
export type { Request } from './idempotency.ts'
export type { By, End, IssueInput } from './input.ts'
export { type DatabaseReport, schemaVersion } from './inspect.ts'
export {
  type Channel,
  type Duration,
  defineKind,
  durationMs,
  type EventType,
  type Handler,
  type HandlerCall,
  type Happening,
  type Hook,
  type Kind,
  type KindDefinition,
  type Letter,
  type LetterContext,
  type Payload,
  type Resource,
  type Template,
} from './kind.ts'
export { type TrialBanner, type TrialPayload, trial, trialBanner } from './kinds/trial.ts'
export type { Status, Step, Terms, Timer } from './lifecycle.ts'
export * as lifecycle from './lifecycle.ts'
export type { Registry } from './registry.ts'
export type { CheckResult, ConsumeResult, Denial, Page, Resources } from './resources.ts'
export type { AdvancedRow } from './store/advance.ts'
export type { PendingRow, ResourceFilter, Selector, Span } from './store/read.ts'
export type { Owed } from './store/record.ts'
