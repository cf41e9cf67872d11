import {
  attemptStatuses,
  channels,
  deliveryStatuses,
  type Attempt as LapseAttempt,
  type Delivery as LapseDelivery,
} from 'lapse'
import { z } from 'zod'

const moment = z.string().meta({ format: 'date-time' })

export const Delivery = z
  .object({
    id: z.string().meta({ format: 'uuid' }).describe('The idempotency key that goes out with it.'),
    resource_id: z
      .string()
      .meta({ format: 'uuid' })
      .nullable()
      .describe('`null`: of no resource, but a test or an alert.'),
    kind: z.string(),
    version: z.int(),
    event: z.string().describe("The event's type, numbered where it may happen twice: `reminded:86400`."),
    channel: z.enum(channels),
    target: z.string(),
    status: z.enum(deliveryStatuses).describe('`failed` is tried again; `dead` has been given up.'),
    attempts: z.int(),
    next_attempt_at: moment.nullable(),
    last_error: z.string().nullable(),
    created_at: moment,
    settled_at: moment.nullable(),
  })
  .meta({ id: 'Delivery', description: 'One side effect to one target.' })

export const Attempt = z.object({
  number: z.int(),
  at: moment,
  duration_ms: z.int().nullable().describe('`null` while it runs, and when its process died.'),
  status: z
    .enum(attemptStatuses)
    .describe(
      '`sending`: its last byte may be out, and no answer has come. `unknown`: none came, so it may have arrived. `interrupted`: its worker stopped, or its turn did not come; that counts as no try.',
    ),
  error: z.string().nullable(),
  code: z.int().nullable().describe('What HTTP or SMTP answered.'),
  answer: z.string().nullable().describe('The beginning of what was answered, without secrets.'),
  next_attempt_at: moment.nullable().describe('When it was to be tried again.'),
})

export const LoggedDelivery = Delivery.extend({ log: z.array(Attempt) }).meta({
  id: 'LoggedDelivery',
  description: 'A delivery with the log of its attempts.',
})

export const deliveryOut = (delivery: LapseDelivery): z.infer<typeof Delivery> => ({
  id: delivery.id,
  resource_id: delivery.resourceId,
  kind: delivery.kind,
  version: delivery.version,
  event: delivery.event,
  channel: delivery.channel,
  target: delivery.target,
  status: delivery.status,
  attempts: delivery.attempts,
  next_attempt_at: delivery.nextAttemptAt?.toISOString() ?? null,
  last_error: delivery.lastError,
  created_at: delivery.createdAt.toISOString(),
  settled_at: delivery.settledAt?.toISOString() ?? null,
})

export const attemptOut = ({ number, at, durationMs, nextAt, ...attempt }: LapseAttempt): z.infer<typeof Attempt> => ({
  number,
  at: at.toISOString(),
  duration_ms: durationMs,
  status: attempt.status,
  error: attempt.error,
  code: attempt.code,
  answer: attempt.answer,
  next_attempt_at: nextAt?.toISOString() ?? null,
})

export const loggedDeliveryOut = (
  delivery: LapseDelivery & { readonly log: readonly LapseAttempt[] },
): z.infer<typeof LoggedDelivery> => ({
  ...deliveryOut(delivery),
  log: delivery.log.map(attemptOut),
})
