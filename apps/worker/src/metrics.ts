import {
  type Channel,
  channels,
  closedSet,
  errorPlaces,
  gauges,
  type Lapse,
  queueNames,
  type Trigger,
  withDeadline,
} from 'lapse'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

type Advanced = Parameters<NonNullable<Parameters<Lapse['engine']>[0]['onAdvanced']>>[0]

/** A row that the sweep had to advance this late had a timer that should have fired. */
const notFiredMs = 1_000

/** So long PostgreSQL and Redis may take to answer a scrape, each. */
const askMs = 2_000

/** Where the worker survives errors, beside the library. The jobs of each queue are a place of their own. */
const places = [
  ...errorPlaces,
  ...queueNames,
  ...['after-commit', 'hook', 're-arm', 'sweep', 'restored', 'watch', 'cleanup', 'reseal', 'shards', 'metrics'],
]

/** Why jobs have nothing to do, in the words of the processors and of the queue. */
const dropReasons = [
  ...['no processor of that name', 'malformed data', 'no such resource', 'stale version', 'kind not configured here'],
  ...[
    'unknown',
    'unknown to this queue',
    'already sent',
    'already dead',
    'already cancelled',
    'bounced',
    'unsubscribed',
  ],
  ...['overtaken by a renewal or an end', 'its endpoint is disabled or deleted', 'its organization is deleted'],
]

/** What this process has seen, and what PostgreSQL and Redis say when asked; without them, the rest. */
export const createMetrics = (lapse: Lapse) => {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const [kindOf, placeOf, reasonOf] = [closedSet([...lapse.kinds, 'lapse']), closedSet(places), closedSet(dropReasons)]
  /** One that does not answer is counted, and leaves its gauges empty. */
  const asked = <T>(answer: Promise<T>, otherwise: T): Promise<T> =>
    withDeadline(answer, askMs).catch(() => {
      errors.inc({ where: 'metrics' })
      return otherwise
    })
  const lateness = new Histogram({
    name: 'lapse_lateness_seconds',
    help: 'From the instant a step was due to the instant it happened, by the database clock.',
    labelNames: ['kind'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600],
    registers,
  })
  const transitions = new Counter({
    name: 'lapse_transitions_total',
    help: 'Steps taken, by what happened and by the layer that did it.',
    labelNames: ['kind', 'type', 'trigger'],
    registers,
  })
  const sweptNotFired = new Counter({
    name: 'lapse_swept_not_fired_total',
    help: 'Steps the sweep had to take although their timer should have fired: what the queue has lost.',
    registers,
  })
  const attempts = new Counter({
    name: 'lapse_delivery_attempts_total',
    help: 'Attempts at side effects, by how they ended.',
    labelNames: ['channel', 'kind', 'status'],
    registers,
  })
  const dropped = new Counter({
    name: 'lapse_jobs_dropped_total',
    help: 'Jobs that had nothing to do, and why.',
    labelNames: ['queue', 'reason'],
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
  new Gauge({
    name: 'lapse_queue_depth',
    help: 'Jobs in Redis, by queue and state.',
    labelNames: ['queue', 'state'],
    registers,
    async collect() {
      // It would be waited for once for each queue.
      if (lapse.queues.health.state.status === 'away') return
      const states = ['delayed', 'waiting', 'active', 'prioritized'] as const
      const counting = lapse.queues.all.map(async (queue) => ({ queue, counts: await queue.getJobCounts(...states) }))
      for (const { queue, counts } of await asked(Promise.all(counting), []))
        for (const [state, count] of Object.entries(counts)) this.set({ queue: queue.name, state }, count)
    },
  })
  const oldestOverdue = new Gauge({
    name: 'lapse_oldest_overdue_seconds',
    help: 'How late the most overdue row is.',
    labelNames: ['kind'],
    registers,
  })
  new Gauge({
    name: 'lapse_overdue',
    help: 'Rows whose step is due and has not been taken.',
    labelNames: ['kind'],
    registers,
    async collect() {
      const rows = await asked(lapse.overdue(), undefined)
      this.reset()
      oldestOverdue.reset()
      if (!rows) return
      for (const kind of new Set([...lapse.kinds, ...rows.map((row) => kindOf(row.kind))])) {
        const own = rows.filter((row) => kindOf(row.kind) === kind)
        this.set(
          { kind },
          own.reduce((sum, { count }) => sum + count, 0),
        )
        oldestOverdue.set({ kind }, Math.max(0, ...own.map(({ oldestMs }) => oldestMs / 1_000)))
      }
    },
  })
  new Gauge({
    name: 'lapse_deliveries',
    help: 'Side effects that are outstanding or have given up.',
    labelNames: ['channel', 'status'],
    registers,
    async collect() {
      const outstanding = await asked(lapse.outstanding(), undefined)
      this.reset()
      if (!outstanding) return
      for (const channel of channels)
        for (const status of ['pending', 'failed', 'dead']) this.set({ channel, status }, 0)
      for (const { channel, status, count } of outstanding) this.set({ channel, status }, count)
    },
  })
  for (const { read, ...about } of gauges)
    new Gauge({
      ...about,
      registers,
      async collect() {
        const values = await asked(read(lapse), [])
        this.reset()
        for (const [labels, value] of values) this.set(labels, value)
      },
    })
  return {
    registry,
    advanced: (rows: Advanced, trigger: Trigger) => {
      // In a burst these are thousands a batch, of a few kinds.
      for (const kind of new Set(rows.map((row) => row.kind))) {
        const observer = lateness.labels({ kind: kindOf(kind) })
        const counts = new Map<string, number>()
        for (const row of rows) {
          if (row.kind !== kind) continue
          observer.observe(row.latenessMs / 1000)
          counts.set(row.type, (counts.get(row.type) ?? 0) + 1)
        }
        for (const [type, count] of counts) transitions.inc({ kind: kindOf(kind), type, trigger }, count)
      }
      // What a hook had refused before is late because of that.
      const missed = (row: Advanced[number]) => row.latenessMs > notFiredMs && row.failures === 0
      if (trigger === 'sweep') sweptNotFired.inc(rows.filter(missed).length)
    },
    attempted: (channel: Channel, kind: string, status: string) =>
      attempts.inc({ channel, kind: kindOf(kind), status }),
    dropped: (queue: string, reason: string) => dropped.inc({ queue, reason: reasonOf(reason) }),
    failed: (where: string) => errors.inc({ where: placeOf(where) }),
  }
}

export type Metrics = ReturnType<typeof createMetrics>
