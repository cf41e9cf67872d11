import { endpointEvents, endpointStatuses, type WebhookEndpoint as LapseWebhookEndpoint } from 'lapse'
import { z } from 'zod'

const moment = z.string().meta({ format: 'date-time' })
const id = z.string().meta({ format: 'uuid' })

const example = {
  id: '019abcde-0000-7000-8000-00000000000c',
  organization_id: '019abcde-0000-7000-8000-000000000002',
  url: 'https://example.com/hooks/lapse',
  description: 'Billing',
  kinds: ['trial'],
  events: ['reminded', 'expired'],
  header_names: ['X-Login'],
  contact: 'ada@example.com',
  max_per_second: null,
  status: 'enabled',
  circuit: { state: 'closed', consecutive_failures: 0, opened_at: null, next_probe_at: null },
  failing_since: null,
  disabled_at: null,
  disabled_reason: null,
  previous_secret_until: null,
  created_at: '2026-12-01T10:00:00.000Z',
  changed_at: '2026-12-01T10:00:00.000Z',
}

export const WebhookEndpoint = z
  .object({
    id,
    organization_id: id.nullable().describe('Whose resources it is told of; `null`: of those of all.'),
    url: z.string(),
    description: z.string().nullable(),
    kinds: z.array(z.string()).describe('Empty: of all kinds.'),
    events: z.array(z.enum(endpointEvents)).describe('Empty: of everything that happens to resources.'),
    header_names: z.array(z.string()).describe('Of its own headers; their values are shown to nobody.'),
    contact: z.string().nullable().describe('Who is told when it is disabled; `null`: the operator.'),
    max_per_second: z.int().nullable().describe('At most so many attempts a second; `null`: no limit of its own.'),
    status: z.enum(endpointStatuses),
    circuit: z
      .object({
        state: z.enum(['closed', 'open']),
        consecutive_failures: z.int(),
        opened_at: moment.nullable(),
        next_probe_at: moment.nullable(),
      })
      .describe(
        'Its circuit breaker. `open` after five failures in a row: webhooks are held without using attempts, and one is tried at `next_probe_at`.',
      ),
    failing_since: moment
      .nullable()
      .describe('Since when every attempt has failed. After five days it is disabled; after a 410 at once.'),
    disabled_at: moment.nullable(),
    disabled_reason: z.string().nullable(),
    previous_secret_until: moment.nullable().describe('Until when the secret before this one signs too.'),
    created_at: moment,
    changed_at: moment,
  })
  .meta({ id: 'WebhookEndpoint', description: 'Whoever is told over HTTP.', examples: [example] })

export const IssuedWebhookEndpoint = WebhookEndpoint.extend({
  secret: z.string().optional().describe('What signs. Shown once, and not to whoever repeats the request.'),
}).meta({
  id: 'IssuedWebhookEndpoint',
  description: 'A webhook endpoint with a new secret.',
  examples: [{ ...example, secret: 'whsec_…' }],
})

export const webhookEndpointOut = (endpoint: LapseWebhookEndpoint): z.infer<typeof WebhookEndpoint> => ({
  id: endpoint.id,
  organization_id: endpoint.organizationId,
  url: endpoint.url,
  description: endpoint.description,
  kinds: [...endpoint.kinds],
  events: [...endpoint.events],
  header_names: [...endpoint.headerNames],
  contact: endpoint.contact,
  max_per_second: endpoint.maxPerSecond,
  status: endpoint.status,
  circuit: {
    state: endpoint.circuitOpenedAt ? 'open' : 'closed',
    consecutive_failures: endpoint.consecutiveFailures,
    opened_at: endpoint.circuitOpenedAt?.toISOString() ?? null,
    next_probe_at: endpoint.nextProbeAt?.toISOString() ?? null,
  },
  failing_since: endpoint.failingSince?.toISOString() ?? null,
  disabled_at: endpoint.disabledAt?.toISOString() ?? null,
  disabled_reason: endpoint.disabledReason,
  previous_secret_until: endpoint.previousUntil?.toISOString() ?? null,
  created_at: endpoint.createdAt.toISOString(),
  changed_at: endpoint.changedAt.toISOString(),
})
