import { STATUS_CODES } from 'node:http'
import { isUnavailable, LapseError } from 'lapse'
import { z } from 'zod'

/** Every way HTTP itself says no; the verbs' own are in the domain. */
const errors = {
  malformed: [400, 'The request cannot be read.'],
  unauthorized: [401, 'The request lacks a valid token or login.'],
  forbidden: [403, 'That is not allowed here.'],
  no_such_address: [404, 'There is nothing at this address.'],
  method_not_allowed: [405, 'This address does not take that method.'],
  too_slow: [408, 'The request did not arrive in time.'],
  too_large: [413, 'The request is too large.'],
  wrong_media_type: [415, 'The request is not JSON.'],
  too_many: [429, 'There were too many requests or failures.'],
  headers_too_large: [431, 'The headers of the request are too large.'],
  internal: [500, 'Something went wrong here.'],
  unavailable: [503, 'Lapse cannot answer right now.'],
} as const

type Code = keyof typeof errors

/** What HTTP refuses before a verb is reached. */
export class HttpError extends Error {
  readonly code: Code
  readonly status: number
  readonly detail: string | undefined
  readonly field: string | undefined
  readonly headers: Readonly<Record<string, string>>

  constructor(code: Code, about: { detail?: string; field?: string; headers?: Record<string, string> } = {}) {
    const [status, sentence] = errors[code]
    super(sentence)
    this.name = 'HttpError'
    this.code = code
    this.status = status
    this.detail = about.detail
    this.field = about.field
    this.headers = about.headers ?? {}
  }

  /** As Fastify's plugins call it. */
  get statusCode(): number {
    return this.status
  }
}

/** RFC 9457. */
export const Problem = z
  .object({
    type: z.string().describe('`urn:lapse:problem:` and the code.'),
    title: z.string().describe('What the code means.'),
    status: z.int(),
    detail: z.string().optional().describe('What to do about this case.'),
    code: z.string().describe('Stable; branch on it.'),
    field: z.string().optional().describe('The input at fault, as a dotted path.'),
    instance: z.string().describe('The id of this request: the log has it as `reqId`.'),
  })
  .meta({
    id: 'Problem',
    description: 'Why a request was refused.',
  })

export const problemOf = ({ code, status, message, detail, field }: HttpError | LapseError, requestId: string) => ({
  type: `urn:lapse:problem:${code}`,
  title: message,
  status,
  ...(detail !== undefined && { detail }),
  code,
  ...(field !== undefined && { field }),
  instance: `urn:uuid:${requestId}`,
})

/** For the documentation of a route: the problems that any of /v1 may answer, and these. */
export const problems = (...statuses: number[]): object => onlyProblems(401, 403, ...statuses, 429, 500, 503)

export const onlyProblems = (...statuses: number[]): object =>
  Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: STATUS_CODES[status],
        content: { 'application/problem+json': { schema: Problem } },
      },
    ]),
  )

/** PostgreSQL is away, or takes too long. */
export const unanswered = (): HttpError =>
  new HttpError('unavailable', {
    detail:
      'PostgreSQL did not answer in time. Ask again in a moment: with the same Idempotency-Key nothing is done twice.',
    headers: { 'retry-after': '2' },
  })

/** Any error as what may be told; `internal` when nothing about it may. */
export const refusalOf = (error: unknown): HttpError | LapseError => {
  if (error instanceof LapseError || error instanceof HttpError) return error
  const { code, statusCode, message } = error as { code?: string; statusCode?: number; message?: string }
  if (isUnavailable(error)) return unanswered()
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new HttpError('too_large', { detail: 'Send at most 1 MiB.' })
  if (code?.startsWith('FST_ERR_CTP_INVALID_MEDIA_TYPE'))
    return new HttpError('wrong_media_type', { detail: 'Send JSON, and say so: "Content-Type: application/json".' })
  if (statusCode === 404) return new HttpError('no_such_address')
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new HttpError('malformed', { ...(message && { detail: message }) })
  return new HttpError('internal', { detail: 'The log has the reason under this instance.' })
}
