import { type Changed, type Checked, LapseError, type Resource as LapseResource } from 'lapse'
import { z } from 'zod'

const moment = z.string().meta({ format: 'date-time' })

const example = {
  id: '019abcde-0000-7000-8000-000000000001',
  kind: 'trial',
  status: 'active',
  word: 'active',
  reference: 'acme-trial',
  scope: 'acme',
  organization_id: null,
  subject: 'ada@example.com',
  payload: { email: 'ada@example.com', product: 'Acme' },
  version: 1,
  uses: 0,
  max_uses: 1,
  max_uses_each: null,
  last_used_at: null,
  issued_at: '2026-12-01T10:00:00.000Z',
  starts_at: null,
  expires_at: '2026-12-15T10:00:00.000Z',
  ends_at: '2026-12-16T10:00:00.000Z',
  ended_at: null,
}

export const statuses = ['active', 'grace', 'expired', 'revoked', 'consumed', 'suspended', 'scheduled'] as const

export const Resource = z
  .object({
    id: z.string().meta({ format: 'uuid' }),
    kind: z.string(),
    status: z
      .enum(statuses)
      .describe(
        'By the database clock at the moment of the answer; `grace` is still usable; `suspended` is not, until its organization is restored, nor is `scheduled`, until `starts_at`.',
      ),
    word: z.string().describe("The kind's own word for the status, such as `converted`."),
    reference: z.string().nullable().describe("The application's own key."),
    scope: z.string().nullable().describe('What it is for.'),
    organization_id: z.string().meta({ format: 'uuid' }).nullable().describe('Whom it was issued in.'),
    subject: z.string().nullable().describe('Who it is for.'),
    payload: z.record(z.string(), z.unknown()),
    version: z.int().describe('Goes up with every renewal.'),
    uses: z.int(),
    max_uses: z.int().nullable().describe('`null`: any number.'),
    max_uses_each: z.int().nullable().describe('How often each holder may use it; `null`: as often as anybody.'),
    last_used_at: moment.nullable().describe('Of a token that is verified often, to the minute.'),
    issued_at: moment,
    starts_at: moment.nullable().describe('Not usable before; `null`: from its issue on.'),
    expires_at: moment,
    ends_at: moment.describe('`expires_at` and grace: from this instant on it is over.'),
    ended_at: moment.nullable(),
  })
  .meta({ id: 'Resource', description: 'One row with a lifetime.', examples: [example] })

export const timer = z
  .enum(['armed', 'pending'])
  .describe('`pending`: Redis could not be told yet. It will be, and the resource ends in time either way.')

export const ChangedResource = Resource.extend({ timer }).meta({
  id: 'ChangedResource',
  description: 'A resource after a change.',
  examples: [{ ...example, timer: 'armed' }],
})

/** Who has sent an invite is another user: their name and address are for those who may read invites, see `/v1/invites`. */
const shownPayload = ({ kind, payload }: LapseResource): LapseResource['payload'] => {
  const { inviter } = payload as { readonly inviter?: { readonly id: string } | null }
  return kind === 'invite' && inviter ? { ...payload, inviter: { id: inviter.id } } : payload
}

export const resourceOut = (resource: LapseResource): z.infer<typeof Resource> => ({
  id: resource.id,
  kind: resource.kind,
  status: resource.status,
  word: resource.word,
  reference: resource.reference,
  scope: resource.scope,
  organization_id: resource.organizationId,
  subject: resource.subject,
  payload: shownPayload(resource),
  version: resource.version,
  uses: resource.uses,
  max_uses: resource.maxUses,
  max_uses_each: resource.maxUsesEach,
  last_used_at: resource.lastUsedAt?.toISOString() ?? null,
  issued_at: resource.issuedAt.toISOString(),
  starts_at: resource.startsAt?.toISOString() ?? null,
  expires_at: resource.expiresAt.toISOString(),
  ends_at: resource.endsAt.toISOString(),
  ended_at: resource.endedAt?.toISOString() ?? null,
})

export const changedOut = (resource: Changed): z.infer<typeof ChangedResource> => ({
  ...resourceOut(resource),
  timer: resource.timer,
})

export const Verdict = z
  .object({
    allowed: z.boolean(),
    phase: z.enum(['active', 'grace']).optional().describe('When it is allowed.'),
    reason: z
      .enum(['unknown', 'expired', 'revoked', 'consumed', 'suspended', 'scheduled'])
      .optional()
      .describe('When it is not.'),
    resource: Resource.optional(),
  })
  .meta({
    id: 'Verdict',
    description: 'May it be used now?',
    examples: [{ allowed: true, phase: 'active', resource: example }],
  })

export const verdictOut = (checked: Checked): z.infer<typeof Verdict> => {
  const resource = checked.resource && resourceOut(checked.resource)
  return {
    ...(checked.allowed ? { allowed: true, phase: checked.phase } : { allowed: false, reason: checked.reason }),
    ...(resource && { resource }),
  }
}

/** A use that was denied, as it is kept under an Idempotency-Key: the same answer again. */
export interface Denied {
  readonly denied: string
}

export const deniedOut = ({ resource, reason }: { resource?: LapseResource; reason: string }): Denied => {
  if (!resource) throw new LapseError('not_found')
  if (reason === 'used_up') throw new LapseError('used_up', { detail: mostOf(resource) })
  // Not kept: once it is restored the same request goes through.
  if (resource.status === 'suspended') throw new LapseError('suspended', { detail: 'Restore the organization first.' })
  if (resource.status === 'scheduled')
    throw new LapseError('not_started', { detail: `It can be used from ${resource.startsAt?.toISOString()} on.` })
  return { denied: `It is ${resource.word}, since ${resource.endedAt?.toISOString()}.` }
}

const mostOf = ({ uses, maxUses, maxUsesEach }: LapseResource): string =>
  maxUses !== null && uses >= maxUses ? `${maxUses} times in all.` : `${maxUsesEach} times each.`

/** @throws LapseError `already_ended` */
export const unlessDenied = <T extends object>(answer: T | Denied): T => {
  if ('denied' in answer) throw new LapseError('already_ended', { detail: answer.denied })
  return answer
}
