import { z } from 'zod'
import { emailAddress } from '../directory/address.ts'
import { type Duration, defineKind, type LetterContext } from '../kind.ts'

/** What a token may do: an area and an act, such as `trials:write` or a host's own `invoices:read`; `*` is everything. */
export const scopePattern = /^(\*|[a-z][a-z0-9-]*:[a-z][a-z0-9-]*)$/

export const tokenFormats = ['opaque', 'jwt'] as const

const payload = z.strictObject({
  name: z.string().max(200),
  scopes: z.array(z.string().max(100).regex(scopePattern)).min(1).max(50),
  /** Of whoever looks after it: they are told before it expires. */
  email: emailAddress.optional(),
  format: z.enum(tokenFormats),
  /** Asked for by name, so that nobody has a token for ten years by a slip. */
  longLived: z.boolean(),
  /** So many uses in so many seconds. */
  rateLimit: z.strictObject({ requests: z.int(), seconds: z.int() }).optional(),
  /** The token that this one took the place of. */
  rotationOf: z.string().optional(),
})

export type ApiTokenPayload = z.infer<typeof payload>

const longLife: Duration = 10 * 365 * 24 * 60 * 60 * 1000

/** A program may act; see `machines/api-tokens.ts`. */
export const apiToken = defineKind({
  name: 'api-token',
  verbs: 'api-tokens',
  payload,
  lifetime: { default: '90d', max: '365d', maxFor: ({ longLived }) => (longLived ? longLife : undefined) },
  reminders: ['14d', '3d', '1d'],
  uses: 'unlimited',
  contact: (resource) => resource.payload.email,
  mail: {
    reminded: ({ resource, remaining, until }) => ({
      subject: `The API token “${resource.payload.name}” expires in ${remaining}`,
      lines: [
        `The API token “${resource.payload.name}” expires in ${remaining}, on ${until}. Whatever uses it is refused from then on.`,
        howToRotate(resource),
      ],
    }),
    expired: ({ resource }) => ({
      subject: `The API token “${resource.payload.name}” has expired`,
      lines: [
        `The API token “${resource.payload.name}” has expired. Whatever still uses it is refused.`,
        'If it is still needed, create a new one with POST /v1/api-tokens, and put that in its place.',
      ],
    }),
  },
})

const howToRotate = ({ id }: LetterContext<ApiTokenPayload>['resource']): string =>
  `If it is still needed, rotate it: POST /v1/api-tokens/${id}/rotate answers a new one that may do the same. With "overlap": 86400 this one stays good for a day at most, while you put the new one in its place.`
