import { closedSet, errorPlaces, gauges, type Lapse, type LapseOptions, withDeadline } from 'lapse'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

type Lapsed = Parameters<NonNullable<LapseOptions['onLapsed']>>[0]

/** So long PostgreSQL may take to answer. */
const askMs = 2_000

/** Where the API survives errors, beside the library. */
const places = [...errorPlaces, 'watch', 'limits', 'metrics']

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']

/** Answers before a verb was reached. Anybody can cause them, on every route and with every method. */
const refusals = new Set([400, 401, 403, 404, 405, 408, 413, 414, 415, 429, 431])

/** What this process has seen, and what PostgreSQL says when asked; without it, the rest. */
export const createMetrics = (lapse: Lapse) => {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const [kindOf, placeOf, methodOf] = [closedSet(lapse.kinds), closedSet(places), closedSet(methods)]
  const duration = new Histogram({
    name: 'lapse_http_request_duration_seconds',
    help: 'From the request to its answer, by the pattern of its route; those that were refused share one.',
    labelNames: ['method', 'route', 'status'],
    // Each is a series for every route, method and status.
    buckets: [0.005, 0.025, 0.1, 0.5, 2.5, 10],
    registers,
  })
  const transitions = new Counter({
    name: 'lapse_transitions_total',
    help: 'Steps taken, by what happened and by the layer that did it.',
    labelNames: ['kind', 'type', 'trigger'],
    registers,
  })
  const limited = new Counter({
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
  const errors = new Counter({
    name: 'lapse_errors_total',
    help: 'Errors that were survived.',
    labelNames: ['where'],
    registers,
  })
  // A counter that appears with its first error has no increase to alert on.
  for (const where of new Set(places)) errors.inc({ where }, 0)
  for (const { read, ...about } of gauges)
    new Gauge({
      ...about,
      registers,
      async collect() {
        const values = await withDeadline(read(lapse), askMs).catch(() => {
          errors.inc({ where: 'metrics' })
          return []
        })
        this.reset()
        for (const [labels, value] of values) this.set(labels, value)
      },
    })
  return {
    registry,
    /** `route` is the pattern; `undefined` where none matched. */
    answered: (method: string, route: string | undefined, status: number, seconds: number) =>
      duration.observe(
        refusals.has(status) || route === undefined
          ? { method: '(any)', route: '(refused)', status: refusals.has(status) ? 'refused' : status }
          : { method: methodOf(method), route, status },
        seconds,
      ),
    redeemed: (kind: string, outcome: string) => redemptions.inc({ kind: kindOf(kind), outcome }),
    signInRequested: () => signInRequests.inc(),
    limited: (limit: string) => limited.inc({ limit }),
    lapsed: (rows: Lapsed) => {
      for (const { kind, type } of rows) transitions.inc({ kind: kindOf(kind), type, trigger: 'lazy' })
    },
    failed: (where: string) => errors.inc({ where: placeOf(where) }),
  }
}

export type Metrics = ReturnType<typeof createMetrics>
