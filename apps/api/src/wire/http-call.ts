import {
  type ChangedHttpCall as Changed,
  callMethods,
  type Attempt as LapseAttempt,
  type HttpCall as LapseHttpCall,
} from 'lapse'
import { z } from 'zod'
import { Attempt, attemptOut } from './delivery.ts'
import { timer } from './resource.ts'

const moment = z.string().meta({ format: 'date-time' })
const id = z.string().meta({ format: 'uuid' })

const example = {
  id: '019abcde-0000-7000-8000-000000000009',
  state: 'scheduled',
  method: 'POST',
  url: 'https://example.com/hooks/remind',
  attempts: 10,
  timeout_seconds: 15,
  reference: 'remind-42',
  scope: null,
  organization_id: null,
  subject: null,
  version: 1,
  issued_at: '2026-12-01T10:00:00.000Z',
  expires_at: '2026-12-01T12:00:00.000Z',
  ended_at: null,
  delivery_id: null,
  attempts_made: 0,
  next_attempt_at: null,
  last_error: null,
  made_at: null,
}

export const HttpCall = z
  .object({
    id,
    state: z
      .enum(['scheduled', 'suspended', 'due', 'made', 'dead', 'cancelled'])
      .describe(
        '`due`: its time has come, and it is being made or tried again; `dead`: given up, and retried by its delivery; `suspended` with its organization, while time goes on.',
      ),
    method: z.enum(callMethods),
    url: z.string().describe('Without its query, which is shown to nobody, nor are headers and body.'),
    attempts: z.int().describe('How often it is tried at most.'),
    timeout_seconds: z.int().describe('How long each may take.'),
    reference: z.string().nullable(),
    scope: z.string().nullable(),
    organization_id: id.nullable(),
    subject: z.string().nullable(),
    version: z.int().describe('Goes up each time it is rescheduled.'),
    issued_at: moment,
    expires_at: moment.describe('The instant it is made.'),
    ended_at: moment.nullable(),
    delivery_id: id.nullable().describe('The Idempotency-Key it is made with, and its place in the ledger.'),
    attempts_made: z.int(),
    next_attempt_at: moment.nullable(),
    last_error: z.string().nullable(),
    made_at: moment.nullable().describe('When an attempt had succeeded.'),
  })
  .meta({ id: 'HttpCall', description: 'A call that is made when its time comes.', examples: [example] })

export const LoggedHttpCall = HttpCall.extend({ log: z.array(Attempt) }).meta({
  id: 'LoggedHttpCall',
  description: 'A call with the log of its attempts.',
  examples: [{ ...example, log: [] }],
})

export const ChangedHttpCall = HttpCall.extend({ timer }).meta({
  id: 'ChangedHttpCall',
  description: 'A call after a change.',
  examples: [{ ...example, timer: 'armed' }],
})

export const httpCallOut = ({ payload, delivery, ...call }: LapseHttpCall): z.infer<typeof HttpCall> => ({
  id: call.id,
  state: call.state,
  method: payload.method,
  url: payload.url,
  attempts: payload.attempts,
  timeout_seconds: payload.timeoutSeconds,
  reference: call.reference,
  scope: call.scope,
  organization_id: call.organizationId,
  subject: call.subject,
  version: call.version,
  issued_at: call.issuedAt.toISOString(),
  expires_at: call.expiresAt.toISOString(),
  ended_at: call.endedAt?.toISOString() ?? null,
  delivery_id: delivery?.id ?? null,
  attempts_made: delivery?.attempts ?? 0,
  next_attempt_at: delivery?.nextAttemptAt?.toISOString() ?? null,
  last_error: delivery?.lastError ?? null,
  made_at: (call.state === 'made' && delivery?.settledAt?.toISOString()) || null,
})

export const loggedHttpCallOut = ({
  log,
  ...call
}: LapseHttpCall & { readonly log: readonly LapseAttempt[] }): z.infer<typeof LoggedHttpCall> => ({
  ...httpCallOut(call),
  log: log.map(attemptOut),
})

export const changedHttpCallOut = (changed: Changed): z.infer<typeof ChangedHttpCall> => ({
  ...httpCallOut(changed.httpCall),
  timer: changed.timer,
})
