import { z } from 'zod'
import { defineKind } from '../kind.ts'

const payload = z.strictObject({
  /** What is shared, for who has opened it. */
  title: z.string(),
  /** Where the content is, when that has an address. */
  url: z.string().optional(),
  /** Who shares it. */
  sharedBy: z.string().optional(),
  /** Whether a password has to be typed. */
  protected: z.boolean(),
})

export type ShareLinkPayload = z.infer<typeof payload>

/** Whoever has the link may see something for a while; see `products/share-links.ts`. */
export const shareLink = defineKind({
  name: 'share-link',
  verbs: 'share-links',
  payload,
  lifetime: { default: '7d', max: '90d' },
  reminders: [],
  uses: 'unlimited',
  // Whoever has just opened it may look for a while, and a revocation has to reach them.
  usedUp: 'stays',
})
