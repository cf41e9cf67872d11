import type { Session as LapseSession } from 'lapse'
import { z } from 'zod'
import { statuses } from './resource.ts'
import { User } from './user.ts'

const moment = z.string().meta({ format: 'date-time' })
const id = z.string().meta({ format: 'uuid' })

const example = {
  id: '019abcde-0000-7000-8000-000000000006',
  status: 'active',
  word: 'active',
  user_id: '019abcde-0000-7000-8000-000000000003',
  agent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  issued_at: '2026-12-01T10:00:00.000Z',
  expires_at: '2026-12-08T10:00:00.000Z',
  ended_at: null,
  current: true,
}

export const Session = z
  .object({
    id,
    status: z.enum(statuses).describe('By the database clock.'),
    word: z.string().describe('The same in its own words: `active`, `signed out`, `expired`.'),
    user_id: id,
    agent: z.string().nullable().describe('What the browser called itself.'),
    issued_at: moment,
    expires_at: moment.describe('When it ends unless it is used; at most 30 days after it was issued.'),
    ended_at: moment.nullable(),
    current: z.boolean().describe('Whether it is the one that asks.'),
  })
  .meta({ id: 'Session', description: 'Somebody is signed in.', examples: [example] })

export const UserSession = z
  .object({ session: Session, user: User })
  .meta({ id: 'UserSession', description: 'A session, and whose it is.' })

export const IssuedSession = UserSession.extend({
  token: z.string().optional().describe('Shown once, and not to whoever repeats the request.'),
}).meta({ id: 'IssuedSession', description: 'Signed in: from now on send the token as a bearer token.' })

export const sessionOut = (session: LapseSession, currentId?: string): z.infer<typeof Session> => ({
  id: session.id,
  status: session.status,
  word: session.word,
  // Every session is somebody's.
  user_id: session.subject ?? '',
  agent: session.payload.agent ?? null,
  issued_at: session.issuedAt.toISOString(),
  expires_at: session.expiresAt.toISOString(),
  ended_at: session.endedAt?.toISOString() ?? null,
  current: session.id === currentId,
})
