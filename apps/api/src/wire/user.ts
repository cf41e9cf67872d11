import type { User as LapseUser } from 'lapse'
import { z } from 'zod'

const moment = z.string().meta({ format: 'date-time' })

const example = {
  id: '019abcde-0000-7000-8000-000000000003',
  reference: 'user-7',
  email: 'Ada@Example.com',
  canonical: 'ada@example.com',
  name: 'Ada Lovelace',
  verified_at: '2026-12-01T10:05:00.000Z',
  created_at: '2026-12-01T10:00:00.000Z',
  changed_at: '2026-12-01T10:05:00.000Z',
}

export const User = z
  .object({
    id: z.string().meta({ format: 'uuid' }),
    reference: z.string().nullable().describe("The application's own id for them."),
    email: z.string().describe('The address as it was given; mail goes there.'),
    canonical: z.string().describe('The address as it is compared.'),
    name: z.string().nullable(),
    verified_at: moment.nullable().describe('When they proved to read what is sent there; `null` until then.'),
    created_at: moment,
    changed_at: moment,
  })
  .meta({ id: 'User', description: 'A person with an address.', examples: [example] })

export const userOut = (user: LapseUser): z.infer<typeof User> => ({
  id: user.id,
  reference: user.reference,
  email: user.email,
  canonical: user.canonical,
  name: user.name,
  verified_at: user.verifiedAt?.toISOString() ?? null,
  created_at: user.createdAt.toISOString(),
  changed_at: user.changedAt.toISOString(),
})
