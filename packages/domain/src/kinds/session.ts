import { z } from 'zod'
import { defineKind } from '../kind.ts'

const payload = z.strictObject({
  /** What its holder's browser calls itself, for the list of one's own sessions. */
  agent: z.string().max(200).optional(),
})

export type SessionPayload = z.infer<typeof payload>

/**
 * Somebody is signed in; see `people/sessions.ts`. The default is how long it lasts without being used, the maximum how
 * long it lasts at most.
 */
export const session = defineKind({
  name: 'session',
  verbs: 'sessions',
  payload,
  lifetime: { default: '7d', max: '30d' },
  reminders: [],
  uses: 'unlimited',
  words: { revoked: 'signed out' },
})
