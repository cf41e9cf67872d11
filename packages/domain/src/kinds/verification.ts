import { z } from 'zod'
import { emailAddress } from '../directory/address.ts'
import {
  DefinitionError,
  type Duration,
  defineKind,
  durationMs,
  type Letter,
  type LetterContext,
  optionMs,
} from '../kind.ts'

/** How long each is good for, unless said otherwise. */
const usualLives = {
  'sign-in': '10m',
  'confirm-email': '24h',
  'reset-password': '30m',
  code: '10m',
} as const satisfies Record<string, Duration>

/** What somebody proves to read an address for. */
export type Purpose = keyof typeof usualLives
export const purposes = Object.keys(usualLives) as Purpose[]

/** How long each is good for, a day at most: 10 minutes to sign in and for a code, 30 for a new password, a day to confirm. */
export type VerificationOptions = { readonly [P in Purpose]?: Duration | undefined }

const payload = z.strictObject({
  purpose: z.enum(purposes),
  /** As it was given; the mail goes there. */
  email: emailAddress,
  /** Whether we send it, or the host application does. */
  mail: z.boolean(),
  /** The host's own page, `{token}` in place of the token. */
  link: z.string().optional(),
})

export type VerificationPayload = z.infer<typeof payload>

type Context = LetterContext<VerificationPayload>

const longest = '24h'

/** Somebody proves to read an address; see `people/verifications.ts`. */
export const verification = (options: VerificationOptions = {}) => {
  for (const purpose of purposes) {
    const life = optionMs(`verifications.${purpose}`, options[purpose] ?? usualLives[purpose])
    if (life < 1_000 || life > durationMs(longest))
      throw new DefinitionError(`verifications.${purpose} has to be from a second to a day.`)
  }
  return defineKind({
    name: 'verification',
    verbs: 'verifications',
    confidential: ['reference', 'subject'],
    payload,
    lifetime: { max: longest, defaultFor: ({ purpose }) => options[purpose] ?? usualLives[purpose] },
    reminders: [],
    words: { active: 'pending', consumed: 'verified' },
    contact: (resource) => (resource.payload.mail ? resource.payload.email : undefined),
    mail: { issued: (context) => letters[context.resource.payload.purpose](context) },
  })
}

/** Our own pages. For a new password there is none: the passwords are the host's. */
export const pages: Partial<Record<Purpose, string>> = { 'sign-in': '/sign-in/open', 'confirm-email': '/confirm' }

/** Where a mail leads to: the host's own page, or ours. An invite that somebody was about to open comes along. */
const pageOf = ({ resource, url, secret, secrets: { invite } }: Context): string => {
  const token = encodeURIComponent(secret('token'))
  const { purpose, link } = resource.payload
  if (link !== undefined) return link.replaceAll('{token}', token)
  return url(`${pages[purpose]}?token=${token}${invite === undefined ? '' : `&invite=${encodeURIComponent(invite)}`}`)
}

const letters: Record<Purpose, (context: Context) => Letter> = {
  'sign-in': (context) => ({
    subject: 'Your sign-in link',
    lines: [
      `Here is your link to sign in as ${context.resource.payload.email}. It works once, within ${context.remaining}, until ${context.until}.`,
      'If you did not ask for it, there is nothing to do: without this mail nobody gets in.',
    ],
    action: { label: 'Sign in', url: pageOf(context) },
  }),
  'confirm-email': (context) => ({
    subject: 'Please confirm your e-mail address',
    lines: [
      `Please confirm that ${context.resource.payload.email} is your address. The link works once, within ${context.remaining}, until ${context.until}.`,
      'If you did not give this address to anyone, there is nothing to do.',
    ],
    action: { label: 'Confirm the address', url: pageOf(context) },
  }),
  'reset-password': (context) => ({
    subject: 'Choose a new password',
    lines: [
      `You can choose a new password for ${context.resource.payload.email}. The link works once, within ${context.remaining}, until ${context.until}.`,
      'It signs you out everywhere else.',
      'If you did not ask for it, there is nothing to do: your password stays as it is.',
    ],
    action: { label: 'Choose a new password', url: pageOf(context) },
  }),
  code: ({ resource, secret, remaining, until }) => ({
    // Not in the subject: that one stands on lock screens and in logs.
    subject: 'Your code',
    lines: [
      `Your code is ${secret('code')}.`,
      `It is for ${resource.payload.email} and works once, within ${remaining}, until ${until}.`,
      'Give it to nobody. If you did not ask for it, there is nothing to do.',
    ],
  }),
}
