import type { Event as LapseEvent } from 'lapse'
import { z } from 'zod'
import { statuses } from './resource.ts'

export const triggers = ['job', 'lazy', 'sweep', 'manual', 'cascade'] as const

export const Event = z
  .object({
    id: z.string().describe('Grows with time.'),
    resource_id: z.string().meta({ format: 'uuid' }),
    kind: z.string(),
    type: z
      .string()
      .describe('`issued`, `used`, `consumed`, `renewed`, `revoked`, `reminded`, `grace`, `expired`, `purged` …'),
    version: z.int(),
    at: z.string().meta({ format: 'date-time' }).describe('By the database clock.'),
    from: z.enum(statuses).nullable(),
    to: z.enum(statuses).nullable(),
    trigger: z.enum(triggers).describe('The layer that did it.'),
    lateness_ms: z
      .number()
      .nullable()
      .describe('From the instant it should have happened; `null` where there was none.'),
    actor: z.string().nullable(),
    reason: z.string().nullable(),
    data: z.record(z.string(), z.unknown()).nullable().describe('Before and after, and what else there is to know.'),
  })
  .meta({
    id: 'Event',
    description: 'One row of the audit, which is never changed.',
    examples: [
      {
        id: '42',
        resource_id: '019abcde-0000-7000-8000-000000000001',
        kind: 'trial',
        type: 'expired',
        version: 1,
        at: '2026-12-16T10:00:00.011Z',
        from: 'grace',
        to: 'expired',
        trigger: 'job',
        lateness_ms: 11,
        actor: null,
        reason: null,
        data: null,
      },
    ],
  })

export const eventOut = (event: LapseEvent): z.infer<typeof Event> => ({
  id: event.id,
  resource_id: event.resourceId,
  kind: event.kind,
  type: event.type,
  version: event.version,
  at: event.at.toISOString(),
  from: event.from,
  to: event.to,
  trigger: event.trigger,
  lateness_ms: event.latenessMs,
  actor: event.actor,
  reason: event.reason,
  data: event.data && (withInstants(event.data) as Record<string, unknown>),
})

/** PostgreSQL writes instants into JSON in a form of its own. */
const withInstants = (data: unknown): unknown => {
  if (typeof data !== 'object' || data === null) return data
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [
      key,
      typeof value === 'string' && /_at$|^next_try$/.test(key) ? new Date(value).toISOString() : withInstants(value),
    ]),
  )
}
