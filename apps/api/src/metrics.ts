import { gauges, type Lapse, type LapseOptions, withDeadline } from 'lapse'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

type Lapsed = Parameters<NonNullable<LapseOptions['onLapsed']>>[0]

/** So long PostgreSQL may take to answer. */
const askMs = 2_000

/** What this process has seen; and with `watch`, what PostgreSQL says when asked. */
export const createMetrics = () => {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const duration = new Histogram({
    name: 'lapse_http_request_duration_seconds',
    help: 'From the request to its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  })
  const transitions = new Counter({
    name: 'lapse_transitions_total',
    help: 'Steps taken, by what happened and by the layer that did it.',
    labelNames: ['kind', 'type', 'trigger'],
    registers,
  })
  const refusals = new Counter({
    name: 'lapse_rate_limited_total',
    help: 'Requests and mails refused because there were too many, by limit.',
    labelNames: ['limit'],
    registers,
  })
  const redemptions = new Counter({
    name: 'lapse_redemptions_total',
    help: 'Tokens and codes that were redeemed, by what came of it; the events of the type refused have the reasons.',
    labelNames: ['kind', 'outcome'],
    registers,
  })
  const signInRequests = new Counter({
    name: 'lapse_sign_in_requests_total',
    help: 'Links to sign in that were asked for, for known and unknown addresses.',
    registers,
  })
  return {
    registry,
    watch: (lapse: Lapse) => {
      for (const { read, ...about } of gauges)
        new Gauge({
          ...about,
          registers,
          async collect() {
            // Without PostgreSQL there is the rest.
            const values = await withDeadline(read(lapse), askMs).catch(() => [])
            this.reset()
            for (const [labels, value] of values) this.set(labels, value)
          },
        })
    },
    /** `route` is the pattern, so that no id becomes a label. */
    answered: (method: string, route: string, status: number, seconds: number) =>
      duration.observe({ method, route, status }, seconds),
    redeemed: (kind: string, outcome: string) => redemptions.inc({ kind, outcome }),
    signInRequested: () => signInRequests.inc(),
    limited: (limit: string) => refusals.inc({ limit }),
    lapsed: (rows: Lapsed) => {
      for (const { kind, type } of rows) transitions.inc({ kind, type, trigger: 'lazy' })
    },
  }
}

export type Metrics = ReturnType<typeof createMetrics>
