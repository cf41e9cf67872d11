/** Every way Lapse says no: its HTTP status and the sentence that may be shown to anyone. */
const errors = {
  invalid: [422, 'The request is not valid.'],
  lifetime_too_short: [422, 'The lifetime is shorter than this kind allows.'],
  lifetime_too_long: [422, 'The lifetime is longer than this kind allows.'],
  not_later: [422, 'An extension must end later than it does now.'],
  unknown_kind: [422, 'No kind of that name is configured.'],
  not_found: [404, 'There is no such resource.'],
  already_ended: [409, 'The resource has ended, and what has ended stays ended.'],
  reference_taken: [409, 'A live resource of this kind already has this reference.'],
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

  constructor(code: ErrorCode, about: { detail?: string; field?: string } = {}) {
    const [status, sentence] = errors[code]
    super(sentence)
    this.name = 'LapseError'
    this.code = code
    this.status = status
    this.detail = about.detail
    this.field = about.field
  }
}
