import { z } from 'zod'
import { DefinitionError, type Duration, defineKind, optionMs } from '../kind.ts'

const payload = z.strictObject({
  /** What its holder's browser calls itself, for the list of one's own sessions. */
  agent: z.string().max(200).optional(),
})

export type SessionPayload = z.infer<typeof payload>

export interface SessionOptions {
  /** How long it lasts without being used; `7d`. */
  idle?: Duration | undefined
  /** How long it lasts at most, however it is used; `30d`. */
  longest?: Duration | undefined
}

/** Somebody is signed in; see `people/sessions.ts`. */
export const session = ({ idle = '7d', longest = '30d' }: SessionOptions = {}) => {
  if (optionMs('sessions.longest', longest) < optionMs('sessions.idle', idle))
    throw new DefinitionError('sessions: longest is below idle, 7 days unless set. Set both.')
  return defineKind({
    name: 'session',
    verbs: 'sessions',
    payload,
    lifetime: { default: idle, max: longest },
    reminders: [],
    uses: 'unlimited',
    words: { revoked: 'signed out' },
  })
}
