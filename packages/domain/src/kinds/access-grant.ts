import { z } from 'zod'
import { emailAddress } from '../directory/address.ts'
import { DefinitionError, type Duration, defineKind, optionMs } from '../kind.ts'
import { singleLine } from '../line.ts'

const payload = z.strictObject({
  /** What the subject is to the resource, such as `viewer`. */
  relation: z.string(),
  /** Where it comes from, such as a ticket: grants of different sources stand side by side. */
  source: z.string().optional(),
  /** Why it was granted. */
  reason: singleLine(500).optional(),
  /** Who is told before it ends. */
  email: emailAddress.optional(),
})

export type AccessGrantPayload = z.infer<typeof payload>

export interface AccessGrantOptions {
  /** Relations that make somebody powerful; `admin` and `owner` unless said otherwise. */
  elevated?: readonly string[] | undefined
  /** `default` 1 h, `max` 30 d, and 8 h for what is `elevated`, renewals included. */
  lifetime?: { default?: Duration; max?: Duration; elevated?: Duration } | undefined
  /** How long before its end its holder is told, where an address was given; `['15m']`. */
  reminders?: readonly Duration[] | undefined
  /** How long what has ended is kept; 24 h. What happened to it stays known. */
  retention?: Duration | undefined
}

/** Somebody has access to something, until it ends by itself; see `grants/access-grants.ts`. */
export const accessGrant = (options: AccessGrantOptions = {}) => {
  const { elevated = ['admin', 'owner'], lifetime = {}, reminders = ['15m'], retention = '24h' } = options
  const { default: usual = '1h', max = '30d', elevated: elevatedMax = '8h' } = lifetime
  if (optionMs('grants.lifetime.elevated', elevatedMax) < optionMs('grants.lifetime.default', usual))
    throw new DefinitionError('grants: lifetime.elevated is below lifetime.default, an hour unless set. Set both.')
  return defineKind({
    name: 'access-grant',
    verbs: 'access-grants',
    payload,
    lifetime: {
      default: usual,
      max,
      maxFor: ({ relation }) => (elevated.includes(relation) ? elevatedMax : undefined),
    },
    reminders,
    retention,
    uses: 'unlimited',
    words: { active: 'granted' },
    contact: (resource) => resource.payload.email,
    mail: {
      // Of the grant and not of the access, which another grant may carry on.
      reminded: ({ resource, remaining, until }) => ({
        subject: `A grant of yours ends in ${remaining}: ${resource.payload.relation} of ${resource.scope}`,
        lines: [
          `What was granted to you as ${resource.payload.relation} of ${resource.scope} ends in ${remaining}, on ${until}.`,
          'If you need it for longer, ask whoever gave it to you. Else there is nothing to do: it ends by itself.',
        ],
      }),
    },
  })
}
