/** Every way Lapse says no: its HTTP status and the sentence that may be shown to anyone. */
const errors = {
  invalid: [422, 'The request is not valid.'],
  lifetime_too_short: [422, 'The lifetime is shorter than this kind allows.'],
  lifetime_too_long: [422, 'The lifetime is longer than this kind allows.'],
  not_later: [422, 'An extension must end later than it does now.'],
  unknown_kind: [422, 'No kind of that name is configured.'],
  not_found: [404, 'There is no such resource.'],
  already_ended: [409, 'The resource has ended, and what has ended stays ended.'],
  already_rotated: [409, 'Another token has taken its place already.'],
  suspended: [409, 'The resource is suspended with its organization.'],
  not_started: [409, 'The resource cannot be used yet.'],
  used_up: [409, 'It has been used as often as it may be.'],
  code_taken: [409, 'This code is taken.'],
  password_required: [403, 'This link asks for a password.'],
  wrong_password: [403, 'The password is wrong.'],
  kind_has_verbs: [422, 'Resources of this kind have verbs of their own.'],
  unknown_organization: [422, 'There is no such organization.'],
  organization_not_active: [409, 'The organization is suspended or deleted.'],
  unknown_user: [422, 'There is no such user.'],
  address_taken: [409, 'Another user has this address.'],
  already_a_member: [409, 'This user is a member of the organization already.'],
  last_owner: [409, 'An organization keeps an owner.'],
  role_too_high: [403, "Nobody may invite to a role above one's own."],
  seats_taken: [409, 'The organization has no free seat.'],
  grant_live: [409, 'There is a live grant of this.'],
  invite_live: [409, 'There is a live invite for this address.'],
  other_address: [403, 'The invite is for another address.'],
  unverified_address: [403, 'The address of this user is not verified.'],
  signed_out: [401, 'Nobody is signed in.'],
  token_not_valid: [404, 'This is not valid, or not any more.'],
  too_broad: [422, 'That would take looking through too much.'],
  too_soon: [429, 'That was done too often just now.'],
  not_configured: [503, 'Lapse is not configured for this.'],
  busy: [503, 'Something else is changing this, and takes its time.'],
  reference_taken: [409, 'This reference is taken.'],
  not_cancellable: [409, 'Only a delivery that is outstanding can be called off.'],
  too_many_endpoints: [409, 'There are as many webhook endpoints as there may be.'],
  endpoint_disabled: [409, 'The webhook endpoint is disabled.'],
  not_replayable: [409, 'This delivery cannot be sent again.'],
  not_retryable: [409, 'Only a delivery that is dead or waits for its next try can be retried.'],
  idempotency_mismatch: [422, 'This Idempotency-Key was used for another request.'],
  idempotency_running: [409, 'The first request with this Idempotency-Key is still running.'],
} as const

export type ErrorCode = keyof typeof errors

/**
 * What every verb throws when it refuses.
 *
 * `message` is a public sentence and `detail` says what to do about this case; neither ever holds a secret.
 * `field` names the input at fault, as a dotted path.
 */
export class LapseError extends Error {
  readonly code: ErrorCode
  readonly status: number
  readonly detail: string | undefined
  readonly field: string | undefined
  /** When it may be asked again, in whole seconds. */
  readonly retryAfter: number | undefined

  constructor(code: ErrorCode, about: { detail?: string; field?: string; retryAfter?: number } = {}) {
    const [status, sentence] = errors[code]
    super(sentence)
    this.name = 'LapseError'
    this.code = code
    this.status = status
    this.detail = about.detail
    this.field = about.field
    this.retryAfter = about.retryAfter
  }
}
