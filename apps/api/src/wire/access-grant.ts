import type { GrantChanges, Granted, GrantVerdict, Grant as LapseGrant, Written as LapseWritten } from 'lapse'
import { z } from 'zod'
import { triggers } from './event.ts'
import { statuses, timer } from './resource.ts'

const moment = z.string().meta({ format: 'date-time' })

const example = {
  id: '019abcde-0000-7000-8000-000000000001',
  resource: 'document:42',
  relation: 'viewer',
  subject: 'user:7',
  source: 'ticket-1',
  organization_id: null,
  status: 'active',
  reason: 'on call',
  email: 'ada@example.com',
  version: 1,
  issued_at: '2026-12-01T10:00:00.000Z',
  expires_at: '2026-12-01T11:00:00.000Z',
  ended_at: null,
}

export const Grant = z
  .object({
    id: z.string().meta({ format: 'uuid' }),
    resource: z.string(),
    relation: z.string(),
    subject: z.string(),
    source: z.string().nullable().describe('Where it comes from; grants of different sources stand side by side.'),
    organization_id: z
      .string()
      .meta({ format: 'uuid' })
      .nullable()
      .describe('In which organization it means something.'),
    status: z.enum(statuses).describe('By the database clock; only `active` gives access.'),
    reason: z.string().nullable(),
    email: z.string().nullable().describe('Who is told before it ends.'),
    version: z.int().describe('Goes up with every change of its end.'),
    issued_at: moment,
    expires_at: moment.describe('From this instant on it is over.'),
    ended_at: moment.nullable(),
  })
  .meta({ id: 'Grant', description: 'The subject is this to the resource, until it ends.', examples: [example] })

export const ChangedGrant = Grant.extend({ timer }).meta({
  id: 'ChangedGrant',
  description: 'A grant after a change.',
  examples: [{ ...example, timer: 'armed' }],
})

export const Written = z
  .object({
    outcome: z.enum(['granted', 'changed', 'deleted']),
    grant: Grant.optional().describe('What was granted or changed.'),
    count: z.int().optional().describe('How many grants a deletion has ended.'),
  })
  .meta({
    id: 'WrittenGrant',
    description: 'What became of one update.',
    examples: [{ outcome: 'granted', grant: example }],
  })

export const Access = z
  .object({
    allowed: z.boolean().describe('By the database clock.'),
    until: moment.nullable().describe('When the last of those ends that stand for it now.'),
  })
  .meta({
    id: 'Access',
    description: 'Whether it holds now.',
    examples: [{ allowed: true, until: example.expires_at }],
  })

export const WatchedGrants = z
  .object({
    changes: z.array(
      z.object({
        type: z.enum(['granted', 'changed', 'revoked', 'expired', 'suspended', 'restored']),
        at: moment.describe('By the database clock.'),
        trigger: z.enum(triggers).describe('The layer that did it.'),
        grant: Grant.describe('As it stands now: what came after is already in it.'),
      }),
    ),
    cursor: z.string().describe('Where to go on.'),
    more: z.boolean().describe('There is more to read at once.'),
  })
  .meta({
    id: 'WatchedGrants',
    description: 'What has happened to grants.',
    examples: [
      {
        changes: [{ type: 'granted', at: example.issued_at, trigger: 'manual', grant: example }],
        cursor: 'ODE3LjQy',
        more: false,
      },
    ],
  })

export const grantOut = (grant: LapseGrant): z.infer<typeof Grant> => ({
  id: grant.id,
  resource: grant.resource,
  relation: grant.relation,
  subject: grant.subject,
  source: grant.source,
  organization_id: grant.organizationId,
  status: grant.status,
  reason: grant.reason,
  email: grant.email,
  version: grant.version,
  issued_at: grant.issuedAt.toISOString(),
  expires_at: grant.expiresAt.toISOString(),
  ended_at: grant.endedAt?.toISOString() ?? null,
})

export const changedGrantOut = (grant: Granted): z.infer<typeof ChangedGrant> => ({
  ...grantOut(grant),
  timer: grant.timer,
})

export const writtenOut = (written: LapseWritten): z.infer<typeof Written> =>
  written.outcome === 'deleted' ? written : { outcome: written.outcome, grant: grantOut(written.grant) }

export const accessOut = ({ allowed, until }: GrantVerdict): z.infer<typeof Access> => ({
  allowed,
  until: until?.toISOString() ?? null,
})

export const watchedOut = ({ changes, cursor, more }: GrantChanges): z.infer<typeof WatchedGrants> => ({
  changes: changes.map(({ type, at, trigger, grant }) => ({
    type,
    at: at.toISOString(),
    trigger,
    grant: grantOut(grant),
  })),
  cursor,
  more,
})
