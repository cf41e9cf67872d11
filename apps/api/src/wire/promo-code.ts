import type { PromoCode as LapsePromoCode, Redemption as LapseRedemption, PromoDenial, TimerState } from 'lapse'
import { z } from 'zod'
import { statuses, timer } from './resource.ts'

const moment = z.string().meta({ format: 'date-time' })
const id = z.string().meta({ format: 'uuid' })

const example = {
  id: '019abcde-0000-7000-8000-000000000006',
  status: 'active',
  word: 'active',
  code: 'SUMMER-26',
  description: 'A fifth off in summer',
  benefit: { percent: 20 },
  organization_id: null,
  uses: 3,
  max_uses: 1000,
  max_uses_each: 1,
  issued_at: '2026-12-01T10:00:00.000Z',
  starts_at: null,
  expires_at: '2026-12-31T10:00:00.000Z',
  ended_at: null,
}

export const PromoCode = z
  .object({
    id,
    status: z.enum(statuses).describe('By the database clock; `scheduled` until `starts_at`.'),
    word: z.string().describe('The same in its own words: `used up`, `withdrawn`.'),
    code: z
      .string()
      .describe('As it is shown. Case, spaces, dashes, and O for 0, I or L for 1, U for V do not matter.'),
    description: z.string().nullable(),
    benefit: z.record(z.string(), z.unknown()).nullable().describe('What it gives; your own affair.'),
    organization_id: id.nullable(),
    uses: z.int(),
    max_uses: z.int().nullable().describe('`null`: any number.'),
    max_uses_each: z.int().nullable().describe('How often each holder may; `null`: as often as anybody.'),
    issued_at: moment,
    starts_at: moment.nullable().describe('Not good before; `null`: from its issue on.'),
    expires_at: moment,
    ended_at: moment.nullable(),
  })
  .meta({ id: 'PromoCode', description: 'A code that people type to get something.', examples: [example] })

export const ChangedPromoCode = PromoCode.extend({ timer }).meta({
  id: 'ChangedPromoCode',
  description: 'A promo code after a change.',
  examples: [{ ...example, timer: 'armed' }],
})

export const promoCodeOut = ({ payload, ...promoCode }: LapsePromoCode): z.infer<typeof PromoCode> => ({
  id: promoCode.id,
  status: promoCode.status,
  word: promoCode.word,
  code: payload.code,
  description: payload.description ?? null,
  benefit: payload.benefit ?? null,
  organization_id: promoCode.organizationId,
  uses: promoCode.uses,
  max_uses: promoCode.maxUses,
  max_uses_each: promoCode.maxUsesEach,
  issued_at: promoCode.issuedAt.toISOString(),
  starts_at: promoCode.startsAt?.toISOString() ?? null,
  expires_at: promoCode.expiresAt.toISOString(),
  ended_at: promoCode.endedAt?.toISOString() ?? null,
})

export const changedPromoCodeOut = (changed: {
  readonly promoCode: LapsePromoCode
  readonly timer: TimerState
}): z.infer<typeof ChangedPromoCode> => ({ ...promoCodeOut(changed.promoCode), timer: changed.timer })

const reason = z
  .enum(['unknown', 'scheduled', 'suspended', 'expired', 'revoked', 'used_up', 'used_up_by_holder'])
  .optional()
  .describe('When it is not. `used_up_by_holder`: it is still good for others.')

const promo_code = PromoCode.optional().describe('Unless it is unknown.')

export const Redeemable = z
  .object({ redeemable: z.boolean(), reason, promo_code })
  .meta({ id: 'Redeemable', description: 'May it be redeemed now?' })

export const Redeemed = z
  .object({ redeemed: z.boolean(), reason, promo_code })
  .meta({ id: 'Redeemed', description: 'Whether it was redeemed, and why not.' })

/** What goes with either verdict. */
export const verdictOut = (verdict: {
  readonly reason?: PromoDenial | undefined
  readonly promoCode?: LapsePromoCode | undefined
}) => ({
  ...(verdict.reason && { reason: verdict.reason }),
  ...(verdict.promoCode && { promo_code: promoCodeOut(verdict.promoCode) }),
})

export const Redemption = z
  .object({ holder: z.string(), uses: z.int(), first_at: moment, last_at: moment })
  .meta({ id: 'Redemption', description: 'Who has redeemed it, how often, and when first and last.' })

export const redemptionOut = ({ holder, uses, firstAt, lastAt }: LapseRedemption): z.infer<typeof Redemption> => ({
  holder,
  uses,
  first_at: firstAt.toISOString(),
  last_at: lastAt.toISOString(),
})
