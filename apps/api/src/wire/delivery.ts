import type { Delivery as LapseDelivery } from 'lapse'
import { z } from 'zod'

const moment = z.string().meta({ format: 'date-time' })

export const deliveryStatuses = ['pending', 'sent', 'failed', 'dead', 'cancelled'] as const
export const channels = ['email', 'webhook', 'handler'] as const

export const Delivery = z
  .object({
    id: z.string().meta({ format: 'uuid' }).describe('The idempotency key that goes out with it.'),
    resource_id: z.string().meta({ format: 'uuid' }),
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

const Attempt = z.object({
  number: z.int(),
  at: moment,
  duration_ms: z.int().nullable().describe('`null` while it runs, and when its process died.'),
  status: z.enum(['started', 'sent', 'failed', 'dead']),
  error: z.string().nullable(),
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

type Logged = LapseDelivery & {
  log: readonly {
    number: number
    at: Date
    durationMs: number | null
    status: z.infer<typeof Attempt>['status']
    error: string | null
  }[]
}

export const loggedDeliveryOut = (delivery: Logged): z.infer<typeof LoggedDelivery> => ({
  ...deliveryOut(delivery),
  log: delivery.log.map(({ number, at, durationMs, status, error }) => ({
    number,
    at: at.toISOString(),
    duration_ms: durationMs,
    status,
    error,
  })),
})
