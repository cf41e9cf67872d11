export { type Advanced, nextTimer } from './advance.ts'
export { type AlertLimits, type AlertName, alertNames, type Observation } from './alerts/conditions.ts'
export type { Alert } from './alerts/watch.ts'
export { type Backoff, backoff } from './backoff.ts'
export type { BulkFilter, BulkOptions, BulkResult } from './bulk.ts'
export { asCaller, type Caller } from './caller.ts'
export { type Call, openCall } from './calls/call.ts'
export type { ChangedHttpCall, HttpCall, HttpCallInput, HttpCallState } from './calls/http-calls.ts'
export type { Change, TimerState, Told } from './change.ts'
export type { Cleaned, CleanupOptions } from './cleanup.ts'
export { isUnavailable } from './database.ts'
export { withDeadline } from './deadline.ts'
export { type Address, canonicalAddress, emailAddress } from './directory/address.ts'
export type { Membership, MembershipFilter, MembershipInput, MembershipOptions } from './directory/memberships.ts'
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
export type { Ending, Forecast } from './forecast.ts'
export type { Prisma } from './generated/prisma/client.ts'
export { GiveUp, TryAgain } from './give-up.ts'
export type { Granted, GrantVerdict } from './grants/access-grants.ts'
export type { Grant, Triple } from './grants/grant.ts'
export type { GrantFilter } from './grants/grant-store.ts'
export type { GrantChange, GrantChanges, GrantChangeType, WatchOptions } from './grants/watch.ts'
export type { GrantInput, GrantUpdate, Written } from './grants/write.ts'
export type { Settle } from './ground.ts'
export type { Handler, HandlerCall, HandlerOptions, HandlerTerms } from './handler.ts'
export { HookError } from './hooks.ts'
export type { Request } from './idempotency.ts'
export type { By, End, IssueInput } from './input.ts'
export { type DatabaseReport, schemaVersion } from './inspect.ts'
export {
  type Channel,
  channels,
  DefinitionError,
  type Duration,
  defineKind,
  durationMs,
  type EventType,
  eventTypes,
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
export { type AccessGrantOptions, type AccessGrantPayload, accessGrant } from './kinds/access-grant.ts'
export { type ApiTokenPayload, apiToken, scopePattern, tokenFormats } from './kinds/api-token.ts'
export { callMethods, type HttpCallPayload, httpCall } from './kinds/http-call.ts'
export { invite } from './kinds/invite.ts'
export { type PromoCodePayload, promoCode } from './kinds/promo-code.ts'
export { type SessionOptions, type SessionPayload, session } from './kinds/session.ts'
export { type ShareLinkPayload, shareLink } from './kinds/share-link.ts'
export { type TrialBanner, type TrialPayload, trial, trialBanner } from './kinds/trial.ts'
export { type Purpose, purposes, type VerificationOptions, verification } from './kinds/verification.ts'
export {
  type Attempt,
  attemptStatuses,
  type Delivery,
  type DeliveryFilter,
  type DeliveryStatus,
  deliveryStatuses,
} from './ledger.ts'
export type { Status, Step, Terms, Timer } from './lifecycle.ts'
export * as lifecycle from './lifecycle.ts'
export { asLine, flowingText, singleLine } from './line.ts'
export {
  type ApiToken,
  type ApiTokenInput,
  type IssuedApiToken,
  notCovered,
  type RotateOptions,
  type VerifiedApiToken,
  type VerifyOptions,
} from './machines/api-tokens.ts'
export { Addresses, hostOf, isAddressRange, isOrganizationOrAll } from './outbound/addresses.ts'
export { checkHeaders } from './outbound/headers.ts'
export type { Circuit } from './outbox/circuits.ts'
export type { Claim, ClaimResult, Occurrence } from './outbox/claim.ts'
export type { ClaimedBatch, ClaimRequest, Cursor, LanePosition, Rooms } from './outbox/claim-due.ts'
export type { Answer, AttemptOutcome, Health } from './outbox/complete.ts'
export { priorities } from './outbox/lanes.ts'
export type { Notice, NoticeTarget } from './outbox/notice.ts'
export type { RateLimit } from './outbox/rate.ts'
export type { OwnVerbs } from './own-verbs.ts'
export type { Abuse, AbuseSpan } from './people/abuse.ts'
export type { Accepted, Declined, Invite, Invited, InviteInput, Looked, Resent, WhichInvite } from './people/invites.ts'
export type { Authenticated, Session, SessionInput, SignedIn } from './people/sessions.ts'
export type { Requested, Verification, VerificationInput, Verified } from './people/verifications.ts'
export { HashedPassword } from './products/password.ts'
export type {
  PromoCode,
  PromoCodeInput,
  PromoDenial,
  Redeemable,
  Redeemed,
  RedemptionPage,
  TypedCode,
} from './products/promo-codes.ts'
export type { Redemption } from './products/redemption-store.ts'
export type {
  Admitted,
  Guard,
  LookedAt,
  ShareLink,
  ShareLinkInput,
  Unlocked,
  Viewing,
} from './products/share-links.ts'
export type { Registry } from './registry.ts'
export { type DomainErrorPlace, domainErrorPlaces } from './report.ts'
export type { CheckResult, ConsumeResult, Denial, Page, Resources } from './resources.ts'
export type { Loss, Rewound, RewoundResource } from './restored.ts'
export type { Resealed, ResealOptions } from './sealed.ts'
export type { AdvancedRow } from './store/advance.ts'
export type { Bucket, ForecastSpan } from './store/forecast.ts'
export type { Count } from './store/listing.ts'
export type { PendingRow, ReferenceSelector, Selector, Span } from './store/read.ts'
export type { Owed } from './store/record.ts'
export type { ResourceFilter } from './store/resource-list.ts'
export type { Suppression, SuppressionFilter, SuppressionReason } from './suppressions.ts'
export { wordsOf } from './text.ts'
export { normalizeTyped } from './typed.ts'
export {
  type EndpointEvent,
  type EndpointStatus,
  endpointEvents,
  endpointStatuses,
  type WebhookEndpoint,
  type WebhookEndpointChanges,
  type WebhookEndpointInput,
} from './webhooks/endpoint.ts'
export type { EndpointFilter } from './webhooks/endpoint-store.ts'
export type { IssuedWebhookEndpoint } from './webhooks/endpoints.ts'
export type { Replay, Replayed } from './webhooks/replay.ts'
export type { Sending } from './webhooks/sealing.ts'
