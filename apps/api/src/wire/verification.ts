import { type Verification as LapseVerification, type Verified as Proven, purposes, type Requested } from 'lapse'
import { z } from 'zod'
import { statuses, timer } from './resource.ts'
import { User, userOut } from './user.ts'

const moment = z.string().meta({ format: 'date-time' })

const example = {
  id: '019abcde-0000-7000-8000-000000000007',
  status: 'active',
  word: 'pending',
  purpose: 'reset-password',
  email: 'Ada@Example.com',
  issued_at: '2026-12-01T10:00:00.000Z',
  expires_at: '2026-12-01T10:30:00.000Z',
  timer: 'armed',
}

export const purpose = z
  .enum(purposes)
  .describe(
    'Good for 10 minutes (`sign-in`, `code`), 30 minutes (`reset-password`) or a day (`confirm-email`), unless configured otherwise.',
  )

export const ChangedVerification = z
  .object({
    id: z.string().meta({ format: 'uuid' }),
    status: z.enum(statuses).describe('By the database clock.'),
    word: z.string().describe('The same in its own words: `pending`, `verified`.'),
    purpose,
    email: z.string().describe('As it was given; the mail goes there.'),
    issued_at: moment,
    expires_at: moment,
    timer,
  })
  .meta({
    id: 'ChangedVerification',
    description: 'Somebody is asked to prove that they read an address.',
    examples: [example],
  })

const shownOnce = 'With `deliver: "return"`. Shown once, and not to whoever repeats the request.'

export const IssuedVerification = ChangedVerification.extend({
  token: z.string().optional().describe(shownOnce),
  code: z.string().optional().describe(`Eight digits, for the purpose \`code\`. ${shownOnce}`),
}).meta({ id: 'IssuedVerification', description: 'A new verification.', examples: [example] })

/** Without the token and the code: this is what is kept under an Idempotency-Key. */
export const changedVerificationOut = ({
  verification,
  timer,
}: Pick<Requested, 'timer'> & { readonly verification: LapseVerification }): z.infer<typeof ChangedVerification> => ({
  id: verification.id,
  status: verification.status,
  word: verification.word,
  purpose: verification.payload.purpose,
  email: verification.payload.email,
  issued_at: verification.issuedAt.toISOString(),
  expires_at: verification.expiresAt.toISOString(),
  timer,
})

export const Verified = z
  .object({
    purpose,
    email: z.string().describe('The address that is read by whoever had the token or the code.'),
    user: User.nullable().describe('Who has this address, and is verified now; `null`: nobody.'),
  })
  .meta({ id: 'Verified', description: 'It was good, and is used now.' })

export const verifiedOut = ({ purpose, email, user }: Proven): z.infer<typeof Verified> => ({
  purpose,
  email,
  user: user ? userOut(user) : null,
})
