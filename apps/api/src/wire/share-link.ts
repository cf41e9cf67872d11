import type { ShareLink as LapseShareLink, TimerState } from 'lapse'
import { z } from 'zod'
import { statuses, timer } from './resource.ts'

const moment = z.string().meta({ format: 'date-time' })
const id = z.string().meta({ format: 'uuid' })

/** What is shared, as who has opened the link may see it. */
const shared = {
  id,
  title: z.string(),
  url: z.string().nullable().describe('Where the content is.'),
  shared_by: z.string().nullable(),
  scope: z.string().nullable().describe('Your own id for what is shared.'),
}

const sharedExample = {
  id: '019abcde-0000-7000-8000-000000000007',
  title: 'Quarterly report',
  url: 'https://docs.example.com/quarterly',
  shared_by: 'Ada Lovelace',
  scope: 'document-1',
}

export const Shared = z
  .object(shared)
  .meta({ id: 'Shared', description: 'What a share link opens.', examples: [sharedExample] })

const example = {
  ...sharedExample,
  status: 'active',
  subject: null,
  organization_id: null,
  has_password: true,
  views: 0,
  max_views: 5,
  last_viewed_at: null,
  issued_at: '2026-12-01T10:00:00.000Z',
  expires_at: '2026-12-08T10:00:00.000Z',
  ended_at: null,
}

export const ShareLink = z
  .object({
    ...shared,
    status: z.enum(statuses).describe('By the database clock; `suspended` with its organization.'),
    subject: z.string().nullable().describe('Who it is for.'),
    organization_id: id.nullable(),
    has_password: z.boolean(),
    views: z.int().describe('How often it has been opened.'),
    max_views: z.int().nullable().describe('`null`: any number. With the last one it ends ten minutes later.'),
    last_viewed_at: moment.nullable(),
    issued_at: moment,
    expires_at: moment,
    ended_at: moment.nullable(),
  })
  .meta({ id: 'ShareLink', description: 'Whoever has the link may see something.', examples: [example] })

export const ChangedShareLink = ShareLink.extend({ timer }).meta({
  id: 'ChangedShareLink',
  description: 'A share link after a change.',
  examples: [{ ...example, timer: 'armed' }],
})

export const IssuedShareLink = ChangedShareLink.extend({
  token: z.string().optional().describe('Shown once, and not to whoever repeats the request.'),
  share_url: z.string().optional().describe('The hosted page for the token: what to give to people.'),
}).meta({ id: 'IssuedShareLink', description: 'A new share link.', examples: [{ ...example, timer: 'armed' }] })

export const sharedOut = ({ id, scope, payload }: LapseShareLink): z.infer<typeof Shared> => ({
  id,
  title: payload.title,
  url: payload.url ?? null,
  shared_by: payload.sharedBy ?? null,
  scope,
})

export const shareLinkOut = (link: LapseShareLink): z.infer<typeof ShareLink> => ({
  ...sharedOut(link),
  status: link.status,
  subject: link.subject,
  organization_id: link.organizationId,
  has_password: link.payload.protected,
  views: link.uses,
  max_views: link.maxUses,
  last_viewed_at: link.lastUsedAt?.toISOString() ?? null,
  issued_at: link.issuedAt.toISOString(),
  expires_at: link.expiresAt.toISOString(),
  ended_at: link.endedAt?.toISOString() ?? null,
})

/** Without the token: this is what is kept under an Idempotency-Key. */
export const changedShareLinkOut = (changed: {
  readonly link: LapseShareLink
  readonly timer: TimerState
}): z.infer<typeof ChangedShareLink> => ({ ...shareLinkOut(changed.link), timer: changed.timer })
