import { type ApiToken as LapseApiToken, scopePattern, tokenFormats } from 'lapse'
import { z } from 'zod'
import { statuses, timer } from './resource.ts'

const moment = z.string().meta({ format: 'date-time' })
const id = z.string().meta({ format: 'uuid' })

const example = {
  id: '019abcde-0000-7000-8000-000000000007',
  status: 'active',
  name: 'CI',
  scopes: ['trials:read', 'trials:write'],
  organization_id: '019abcde-0000-7000-8000-000000000002',
  email: 'ada@example.com',
  format: 'opaque',
  long_lived: false,
  rate_limit: { requests: 600, seconds: 60 },
  rotation_of: null,
  issued_at: '2026-12-01T10:00:00.000Z',
  expires_at: '2027-03-01T10:00:00.000Z',
  ended_at: null,
  last_used_at: '2026-12-02T08:30:00.000Z',
}

export const scope = z
  .string()
  .max(100)
  .regex(scopePattern, 'Say an area and an act, such as trials:write, or * for everything')
  .meta({ examples: ['trials:write'] })

export const format = z.enum(tokenFormats)

export const rateLimit = z
  .strictObject({ requests: z.int().min(1).max(1_000_000), seconds: z.int().min(1).max(86_400) })
  .describe('So many uses in so many seconds, from the first on.')

export const ApiToken = z
  .object({
    id,
    status: z.enum(statuses).describe('By the database clock; `suspended` with its organization.'),
    name: z.string(),
    scopes: z.array(z.string()),
    organization_id: id.nullable().describe('It sees nothing outside of this one; `null`: it is bound to none.'),
    email: z.string().nullable().describe('Who is told 14, 3 and 1 days before it expires, and then.'),
    format,
    long_lived: z.boolean(),
    rate_limit: rateLimit.nullable(),
    rotation_of: id.nullable().describe('The token that it took the place of.'),
    issued_at: moment,
    expires_at: moment,
    ended_at: moment.nullable(),
    last_used_at: moment.nullable().describe('To the minute.'),
  })
  .meta({ id: 'ApiToken', description: 'What a program may do, and until when.', examples: [example] })

export const ChangedApiToken = ApiToken.extend({ timer }).meta({
  id: 'ChangedApiToken',
  description: 'An API token after a change.',
  examples: [{ ...example, timer: 'armed' }],
})

export const IssuedApiToken = ChangedApiToken.extend({
  token: z.string().optional().describe('Shown once, and not to whoever repeats the request.'),
}).meta({ id: 'IssuedApiToken', description: 'A new API token.', examples: [{ ...example, timer: 'armed' }] })

export const apiTokenOut = ({ payload, ...token }: LapseApiToken): z.infer<typeof ApiToken> => ({
  id: token.id,
  status: token.status,
  name: payload.name,
  scopes: payload.scopes,
  organization_id: token.organizationId,
  email: payload.email ?? null,
  format: payload.format,
  long_lived: payload.longLived,
  rate_limit: payload.rateLimit ?? null,
  rotation_of: payload.rotationOf ?? null,
  issued_at: token.issuedAt.toISOString(),
  expires_at: token.expiresAt.toISOString(),
  ended_at: token.endedAt?.toISOString() ?? null,
  last_used_at: token.lastUsedAt?.toISOString() ?? null,
})

/** Without the token: this is what is kept under an Idempotency-Key. */
export const changedApiTokenOut = (changed: {
  readonly apiToken: LapseApiToken
  readonly timer: z.infer<typeof timer>
}): z.infer<typeof ChangedApiToken> => ({ ...apiTokenOut(changed.apiToken), timer: changed.timer })
