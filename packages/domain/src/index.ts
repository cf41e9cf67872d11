export { type Advanced, nextTimer } from './advance.ts'
export { type Backoff, backoff } from './backoff.ts'
export type { Change, TimerState } from './change.ts'
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
export { type Address, canonicalAddress } from './directory/address.ts'
export type { Membership, MembershipFilter, MembershipInput } from './directory/memberships.ts'
export type {
  Befallen,
  Organization,
  OrganizationChanges,
  OrganizationFilter,
  OrganizationInput,
  OrganizationStatus,
} from './directory/organizations.ts'
export { type Role, roles } from './directory/role.ts'
export type { User, UserChanges, UserFilter, UserInput } from './directory/users.ts'
export { createDomain, type Domain, type DomainOptions } from './domain.ts'
export { type ErrorCode, LapseError } from './errors.ts'
export type { Event, EventFilter, IdleWakeUp, Trigger } from './events.ts'
export type { Prisma } from './generated/prisma/client.ts'
export type { Settle } from './ground.ts'
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
export { invite } from './kinds/invite.ts'
export { type SessionPayload, session } from './kinds/session.ts'
export { type TrialBanner, type TrialPayload, trial, trialBanner } from './kinds/trial.ts'
export { type Purpose, purposes, verification } from './kinds/verification.ts'
export type { Status, Step, Terms, Timer } from './lifecycle.ts'
export * as lifecycle from './lifecycle.ts'
export type { OwnVerbs } from './own-verbs.ts'
export type { Abuse, AbuseSpan } from './people/abuse.ts'
export type { Accepted, Declined, Invite, Invited, InviteInput, Looked, Resent, WhichInvite } from './people/invites.ts'
export type { Authenticated, Session, SessionInput, SignedIn } from './people/sessions.ts'
export type { Requested, Verification, VerificationInput, Verified } from './people/verifications.ts'
export type { Registry } from './registry.ts'
export type { CheckResult, ConsumeResult, Denial, Page, Resources } from './resources.ts'
export type { AdvancedRow } from './store/advance.ts'
export type { PendingRow, ResourceFilter, Selector, Span } from './store/read.ts'
export type { Owed } from './store/record.ts'
