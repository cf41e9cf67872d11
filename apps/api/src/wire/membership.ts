import { type Membership as LapseMembership, roles } from 'lapse'
import { z } from 'zod'

export const role = z.enum(roles).describe('In rising order.')

export const Membership = z
  .object({
    id: z.string().meta({ format: 'uuid' }),
    organization_id: z.string().meta({ format: 'uuid' }),
    user_id: z.string().meta({ format: 'uuid' }),
    role,
    joined_at: z.string().meta({ format: 'date-time' }),
  })
  .meta({
    id: 'Membership',
    description: 'A user in an organization.',
    examples: [
      {
        id: '019abcde-0000-7000-8000-000000000004',
        organization_id: '019abcde-0000-7000-8000-000000000002',
        user_id: '019abcde-0000-7000-8000-000000000003',
        role: 'member',
        joined_at: '2026-12-01T10:00:00.000Z',
      },
    ],
  })

export const membershipOut = (membership: LapseMembership): z.infer<typeof Membership> => ({
  id: membership.id,
  organization_id: membership.organizationId,
  user_id: membership.userId,
  role: membership.role,
  joined_at: membership.joinedAt.toISOString(),
})
