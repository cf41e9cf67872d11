import { LapseError } from 'lapse'
import { z } from 'zod'

/** Refuses what a schema refuses, naming the field. Used by all routes. */
export const validatorCompiler =
  ({ schema }: { schema: z.ZodType }) =>
  (data: unknown) => {
    // A request without a body has `null` for one.
    const parsed = schema.safeParse(data ?? undefined, { reportInput: true })
    if (parsed.success) return { value: parsed.data }
    const [issue] = parsed.error.issues
    const unknown = issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : []
    const field = [...(issue?.path ?? []), ...unknown].join('.')
    return { error: new LapseError('invalid', { ...(field && { field }), detail: sentenceOf(issue, schema) }) }
  }

const sentenceOf = (issue: z.core.$ZodIssue | undefined, schema: z.ZodType): string => {
  if (issue?.code === 'invalid_type' && issue.path.length === 0) return 'Send a JSON object.'
  if (issue && issue.input === undefined) return 'It is missing.'
  if (issue?.code !== 'unrecognized_keys') return `${issue?.message ?? 'It is not valid'}.`.replace(/\.\.$/, '.')
  const object = schema instanceof z.ZodOptional ? schema.unwrap() : schema
  const known = issue.path.length === 0 && object instanceof z.ZodObject ? Object.keys(object.shape) : []
  return `There is no such field.${known.length > 0 ? ` Known here: ${known.join(', ')}.` : ''}`
}

const unstorable = /[\0\p{Surrogate}]/u
const broken = 'Text must not hold NUL or broken characters.'

/** A text that PostgreSQL can hold, and an index too. */
export const text = (longest: number) =>
  z
    .string()
    .min(1)
    .max(longest)
    .refine((value) => !unstorable.test(value), broken)

/** What only one of a route's callers has to give. @throws LapseError `invalid` */
export const required = <T>(field: string, value: T | undefined): T => {
  if (value === undefined) throw new LapseError('invalid', { field, detail: 'It is missing.' })
  return value
}

/** What only the host application may give. */
export const forHost = (field: string) => new LapseError('invalid', { field, detail: 'Only for the host application.' })

export const reason = text(500).optional().describe('Stands in the audit.')

const rfc3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(?:Z|[+-](\d\d):(\d\d))$/i

const instantOf = (value: string): Date | undefined => {
  const [year, month, day, hour, minute, second, aheadHours = 0, aheadMinutes = 0] = (rfc3339.exec(value) ?? [])
    .slice(1)
    .map((digits) => Number(digits ?? 0))
  if (year === undefined || month === undefined || aheadHours > 23 || aheadMinutes > 59) return undefined
  // Dates that do not exist, and hours that do not, come out as others.
  const there = new Date(Date.UTC(year, month - 1, day, hour, minute, second))
  return there.toISOString().slice(0, 19) === value.slice(0, 19).toUpperCase() ? new Date(value) : undefined
}

/** RFC 3339 with an offset. */
export const instant = z
  .string()
  .transform((value, context) => {
    const date = instantOf(value)
    if (date) return date
    context.addIssue('Give an instant that exists, with its offset, such as 2026-12-01T10:00:00Z.')
    return z.NEVER
  })
  .meta({ format: 'date-time' })

/** A thousand years: the longest duration there is. */
const mostSeconds = 1_000 * 365 * 24 * 60 * 60

export const lifetime = {
  expires_at: instant.optional().describe('When it ends. This or `expires_in`, not both.'),
  expires_in: z
    .int()
    .min(1)
    .max(mostSeconds)
    .optional()
    .describe('Whole seconds from now, by the database clock.')
    .meta({ examples: [20] }),
}

export const lifetimeOf = (body: { expires_at?: Date | undefined; expires_in?: number | undefined }) => ({
  expiresAt: body.expires_at,
  expiresIn: body.expires_in === undefined ? undefined : body.expires_in * 1_000,
})

export const start = {
  starts_at: instant.optional().describe('Not usable before. This or `starts_in`, not both.'),
  starts_in: z.int().min(1).max(mostSeconds).optional().describe('Whole seconds from now, by the database clock.'),
}

export const startOf = (body: { starts_at?: Date | undefined; starts_in?: number | undefined }) => ({
  startsAt: body.starts_at,
  startsIn: body.starts_in === undefined ? undefined : body.starts_in * 1_000,
})

export const uses = z
  .int()
  .min(1)
  .max(2 ** 31 - 1)
  .optional()

export const grace = z
  .int()
  .min(0)
  .max(mostSeconds)
  .optional()
  .describe("Whole seconds; at most the kind's own, which is the default.")

const largestPayload = 16 * 1024
const deepestPayload = 32

/** What JSON can say and a payload must not hold: where, and why. */
const flawOf = (value: unknown, path: readonly (string | number)[] = []): [(string | number)[], string] | undefined => {
  if (path.length > deepestPayload)
    return [[...path.slice(0, 3)], `It is nested more than ${deepestPayload} levels deep.`]
  if (typeof value === 'string' && unstorable.test(value)) return [[...path], broken]
  if (
    typeof value === 'number' &&
    !(Number.isSafeInteger(value) || (Number.isFinite(value) && !Number.isInteger(value)))
  )
    return [[...path], 'The number is too large to keep all its digits. Send it as text.']
  if (typeof value !== 'object' || value === null) return undefined
  for (const [key, inner] of Object.entries(value)) {
    const flaw = unstorable.test(key)
      ? ([[...path], broken] as [(string | number)[], string])
      : flawOf(inner, [...path, key])
    if (flaw) return flaw
  }
  return undefined
}

/** Any JSON, as it will be sent. */
export const json = z.unknown().superRefine((value, context) => {
  const [path, message] = flawOf(value) ?? []
  if (message) context.addIssue({ code: 'custom', path, message })
})

/** A JSON object of at most 16 KiB; what it holds is the kind's affair. */
export const payload = z
  .record(z.string(), z.unknown())
  .superRefine((value, context) => {
    const [path, message] = flawOf(value) ?? []
    if (message) context.addIssue({ code: 'custom', path, message })
    else if (Buffer.byteLength(JSON.stringify(value)) > largestPayload) context.addIssue('At most 16 KiB of JSON.')
  })
  .describe("The kind's own data, at most 16 KiB.")
