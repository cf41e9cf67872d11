import { z } from 'zod'
import { defineKind } from '../kind.ts'

export const callMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

const payload = z.strictObject({
  method: z.enum(callMethods),
  /** Without its query, which may hold a secret: the whole address is enclosed. */
  url: z.string(),
  /** In all, before it is given up. */
  attempts: z.int().min(1, 'From 1 to 28.').max(28, 'From 1 to 28.'),
  /** How long each may take. */
  timeoutSeconds: z.int().min(1, 'From 1 to 30.').max(30, 'From 1 to 30.'),
})

export type HttpCallPayload = z.infer<typeof payload>

/** A call that is made when its time comes; see `calls/http-calls.ts`. */
export const httpCall = defineKind({
  name: 'http-call',
  verbs: 'http-calls',
  payload,
  lifetime: { max: '366d' },
  reminders: [],
  uses: 'unlimited',
  words: { active: 'scheduled', expired: 'due', revoked: 'cancelled' },
  calls: ['expired'],
})
