import type { Befallen, Organization as LapseOrganization } from 'lapse'
import { z } from 'zod'

const moment = z.string().meta({ format: 'date-time' })

const example = {
  id: '019abcde-0000-7000-8000-000000000002',
  reference: 'acme',
  name: 'Acme',
  status: 'active',
  plan: 'pro',
  seat_limit: 25,
  created_at: '2026-12-01T10:00:00.000Z',
  changed_at: '2026-12-01T10:00:00.000Z',
}

export const organizationStatuses = ['active', 'suspended', 'deleted'] as const

export const Organization = z
  .object({
    id: z.string().meta({ format: 'uuid' }),
    reference: z.string().nullable().describe("The application's own id for it."),
    name: z.string(),
    status: z
      .enum(organizationStatuses)
      .describe(
        '`suspended`: what was issued in it is blocked until it is restored; `deleted`: that has ended, for good.',
      ),
    plan: z.string().nullable(),
    seat_limit: z.int().nullable().describe('How many members it may have; `null`: any number.'),
    created_at: moment,
    changed_at: moment,
  })
  .meta({ id: 'Organization', description: 'Whom resources are issued in.', examples: [example] })

export const organizationOut = (organization: LapseOrganization): z.infer<typeof Organization> => ({
  id: organization.id,
  reference: organization.reference,
  name: organization.name,
  status: organization.status,
  plan: organization.plan,
  seat_limit: organization.seatLimit,
  created_at: organization.createdAt.toISOString(),
  changed_at: organization.changedAt.toISOString(),
})

export const AffectedOrganization = z
  .object({
    organization: Organization,
    affected: z.int().describe('How many resources went along with it; 0 when it had that status already.'),
  })
  .meta({
    id: 'AffectedOrganization',
    description: 'An organization after a change of its status.',
    examples: [{ organization: { ...example, status: 'suspended' }, affected: 12 }],
  })

export const affectedOut = ({ organization, affected }: Befallen): z.infer<typeof AffectedOrganization> => ({
  organization: organizationOut(organization),
  affected,
})
