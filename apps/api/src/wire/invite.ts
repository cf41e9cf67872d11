import type { Accepted as LapseAccepted, Invite as LapseInvite } from 'lapse'
import { z } from 'zod'
import { Membership, membershipOut, role } from './membership.ts'
import { Organization, organizationOut } from './organization.ts'
import { statuses, timer } from './resource.ts'

const moment = z.string().meta({ format: 'date-time' })
const id = z.string().meta({ format: 'uuid' })

const example = {
  id: '019abcde-0000-7000-8000-000000000005',
  status: 'active',
  word: 'pending',
  organization_id: '019abcde-0000-7000-8000-000000000002',
  organization: 'Acme',
  email: 'Grace@Example.com',
  role: 'member',
  invited_by: { id: '019abcde-0000-7000-8000-000000000003', name: 'Ada Lovelace', email: 'Ada@Example.com' },
  message: null,
  deliver: 'mail',
  resend_of: null,
  issued_at: '2026-12-01T10:00:00.000Z',
  expires_at: '2026-12-04T10:00:00.000Z',
  ended_at: null,
}

export const delivers = ['mail', 'return'] as const

export const Invite = z
  .object({
    id,
    status: z.enum(statuses).describe('By the database clock; `suspended` with its organization.'),
    word: z.string().describe('The same in its own words: `pending`, `accepted`, `withdrawn`, `expired`.'),
    organization_id: id,
    organization: z.string().describe("The organization's name when it was sent."),
    email: z.string().describe('Whom it is for, as the address was given.'),
    role,
    invited_by: z
      .object({ id, name: z.string().nullable().optional(), email: z.string().optional() })
      .nullable()
      .describe('`null`: the host application itself. A token that is bound to an organization is shown the id only.'),
    message: z.string().nullable(),
    deliver: z.enum(delivers).describe('Whether Lapse sends its mails, or the host application does.'),
    resend_of: id.nullable().describe('The invite that it took the place of.'),
    issued_at: moment,
    expires_at: moment,
    ended_at: moment.nullable(),
  })
  .meta({ id: 'Invite', description: 'Somebody is asked to join an organization.', examples: [example] })

export const ChangedInvite = Invite.extend({ timer }).meta({
  id: 'ChangedInvite',
  description: 'An invite after a change.',
  examples: [{ ...example, timer: 'armed' }],
})

export const IssuedInvite = ChangedInvite.extend({
  token: z
    .string()
    .optional()
    .describe('With `deliver: "return"`. Shown once, and not to whoever repeats the request.'),
  url: z.string().optional().describe('The hosted page for the token.'),
}).meta({ id: 'IssuedInvite', description: 'A new invite.', examples: [{ ...example, timer: 'armed' }] })

/** `tenant`: a token that is bound to an organization. */
export type Viewer = 'host' | 'tenant'

export const inviteOut = ({ payload, ...invite }: LapseInvite, viewer: Viewer = 'host'): z.infer<typeof Invite> => ({
  id: invite.id,
  status: invite.status,
  word: invite.word,
  // Every invite is issued in one.
  organization_id: invite.organizationId ?? '',
  organization: payload.organization,
  email: payload.email,
  role: payload.role,
  invited_by: viewer === 'host' ? payload.inviter : payload.inviter && { id: payload.inviter.id },
  message: payload.message ?? null,
  deliver: payload.mail ? 'mail' : 'return',
  resend_of: payload.resendOf ?? null,
  issued_at: invite.issuedAt.toISOString(),
  expires_at: invite.expiresAt.toISOString(),
  ended_at: invite.endedAt?.toISOString() ?? null,
})

/** Without the token: this is what is kept under an Idempotency-Key. */
export const changedInviteOut = (
  changed: { readonly invite: LapseInvite; readonly timer: z.infer<typeof timer> },
  viewer: Viewer,
): z.infer<typeof ChangedInvite> => ({ ...inviteOut(changed.invite, viewer), timer: changed.timer })

export const Joined = z
  .object({
    status: z.enum(['joined', 'already-member']),
    organization: Organization,
    membership: Membership,
  })
  .meta({ id: 'Joined', description: 'A member now, or one already.' })

export const joinedOut = (
  accepted: Extract<LapseAccepted, { readonly membership: unknown }>,
): z.infer<typeof Joined> => ({
  status: accepted.status,
  organization: organizationOut(accepted.organization),
  membership: membershipOut(accepted.membership),
})
