import { z } from 'zod'
import { emailAddress } from '../directory/address.ts'
import { type Role, roles } from '../directory/role.ts'
import { defineKind, type Resource } from '../kind.ts'
import { flowingText } from '../line.ts'

const payload = z.strictObject({
  email: emailAddress,
  role: z.enum(roles),
  /** The organization's name when it was sent. */
  organization: z.string(),
  inviter: z.strictObject({ id: z.string(), name: z.string().nullable(), email: emailAddress }).nullable(),
  message: flowingText(500).optional(),
  /** The invite that this one took the place of. */
  resendOf: z.string().optional(),
  /** Whether we send its mails, or the host application does. */
  mail: z.boolean(),
})

export type InvitePayload = z.infer<typeof payload>

/** Somebody is asked to join an organization; see `people/invites.ts`. */
export const invite = defineKind({
  name: 'invite',
  verbs: 'invites',
  confidential: ['reference', 'subject'],
  payload,
  // One that makes somebody powerful is good for a day.
  lifetime: { default: '72h', defaultFor: ({ role }) => (role === 'member' ? undefined : '24h'), max: '7d' },
  reminders: ['24h'],
  words: { active: 'pending', consumed: 'accepted', revoked: 'withdrawn' },
  contact: (resource) => (resource.payload.mail ? resource.payload.email : undefined),
  mail: {
    issued: ({ resource, until, remaining, url, secret }) => ({
      subject: `${invites(resource)} to join ${resource.payload.organization}`,
      lines: [
        `${invites(resource)} to join ${resource.payload.organization} as ${withArticle(resource.payload.role)}.`,
        ...(resource.payload.message ? [`“${resource.payload.message}”`] : []),
        `The invitation is for ${resource.payload.email} and good for ${remaining}, until ${until}.`,
        'If you did not expect it, there is nothing to do: it expires by itself.',
      ],
      action: { label: 'Open the invitation', url: url(`/invites/open?token=${encodeURIComponent(secret('token'))}`) },
    }),
    // Without the token, which is gone since the first mail: whoever reads this mailbox can sign in and find the invite there.
    reminded: ({ resource, remaining, until, url }) => ({
      subject: `Your invitation to ${resource.payload.organization} expires in ${remaining}`,
      lines: [
        `${invites(resource)} to join ${resource.payload.organization}. The invitation expires in ${remaining}, on ${until}.`,
        `Sign in as ${resource.payload.email} to accept or decline it.`,
      ],
      action: { label: 'See the invitation', url: url('/account') },
    }),
    expired: ({ resource }) => ({
      subject: `Your invitation to ${resource.payload.organization} has expired`,
      lines: [
        `The invitation to join ${resource.payload.organization} has expired. Nothing has changed for you.`,
        `If you still want to join, ask ${inviterOf(resource) ?? 'whoever invited you'} for a new one.`,
      ],
    }),
    requested: ({ resource }) => ({
      subject: `${resource.payload.email} asks for a new invitation to ${resource.payload.organization}`,
      lines: [
        `Your invitation to ${resource.payload.email} to join ${resource.payload.organization} can no longer be used, and its link was opened again.`,
        'If you still want them to join, send a new one.',
      ],
    }),
  },
})

const inviterOf = ({ payload: { inviter } }: Resource<InvitePayload>): string | undefined =>
  inviter?.name ?? inviter?.email

const invites = (resource: Resource<InvitePayload>): string => {
  const inviter = inviterOf(resource)
  return inviter === undefined ? 'You are invited' : `${inviter} invites you`
}

const withArticle = (role: Role): string => (role === 'member' ? 'a member' : `an ${role}`)
