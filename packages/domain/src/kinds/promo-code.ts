import { z } from 'zod'
import { defineKind } from '../kind.ts'
import { flowingText } from '../line.ts'

const payload = z.strictObject({
  /** As it is shown; compared as `products/code.ts` folds it. */
  code: z.string(),
  description: flowingText(500).optional(),
  /** What it gives; the host application knows what that means. */
  benefit: z.record(z.string(), z.unknown()).optional(),
})

export type PromoCodePayload = z.infer<typeof payload>

/** A code that people type to get something; see `products/promo-codes.ts`. */
export const promoCode = defineKind({
  name: 'promo-code',
  verbs: 'promo-codes',
  // It has the code in it.
  confidential: ['reference'],
  payload,
  lifetime: { default: '30d', max: '365d' },
  reminders: [],
  uses: 'unlimited',
  words: { consumed: 'used up', revoked: 'withdrawn' },
})
