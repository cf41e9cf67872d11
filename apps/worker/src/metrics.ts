import { type Channel, channels, gauges, type Lapse, type Trigger } from 'lapse'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

type Advanced = Parameters<NonNullable<Parameters<Lapse['engine']>[0]['onAdvanced']>>[0]

/** A row that the sweep had to advance this late had a timer that should have fired. */
const notFiredMs = 1_000

/** What this process has seen, and what PostgreSQL and Redis say when asked. */
export const createMetrics = (lapse: Lapse) => {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
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
  new Gauge({
    name: 'lapse_queue_depth',
    help: 'Jobs in Redis, by queue and state.',
    labelNames: ['queue', 'state'],
    registers,
    async collect() {
      for (const queue of lapse.queues.all) {
        const counts = await queue.getJobCounts('delayed', 'waiting', 'active', 'prioritized').catch(() => ({}))
        for (const [state, count] of Object.entries(counts)) this.set({ queue: queue.name, state }, count)
      }
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
      const overdue = new Map((await lapse.overdue()).map((row) => [row.kind, row]))
      this.reset()
      oldestOverdue.reset()
      for (const kind of new Set([...lapse.kinds, ...overdue.keys()])) {
        this.set({ kind }, overdue.get(kind)?.count ?? 0)
        oldestOverdue.set({ kind }, (overdue.get(kind)?.oldestMs ?? 0) / 1000)
      }
    },
  })
  new Gauge({
    name: 'lapse_deliveries',
    help: 'Side effects that are outstanding or have given up.',
    labelNames: ['channel', 'status'],
    registers,
    async collect() {
      this.reset()
      for (const channel of channels)
        for (const status of ['pending', 'failed', 'dead']) this.set({ channel, status }, 0)
      for (const { channel, status, count } of await lapse.outstanding()) this.set({ channel, status }, count)
    },
  })
  for (const { read, ...about } of gauges)
    new Gauge({
      ...about,
      registers,
      async collect() {
        const values = await read(lapse)
        this.reset()
        for (const [labels, value] of values) this.set(labels, value)
      },
    })
  return {
    registry,
    advanced: (rows: Advanced, trigger: Trigger) => {
      // In a burst these are thousands a batch, of a few kinds.
      for (const kind of new Set(rows.map((row) => row.kind))) {
        const observer = lateness.labels({ kind })
        const counts = new Map<string, number>()
        for (const row of rows) {
          if (row.kind !== kind) continue
          observer.observe(row.latenessMs / 1000)
          counts.set(row.type, (counts.get(row.type) ?? 0) + 1)
        }
        for (const [type, count] of counts) transitions.inc({ kind, type, trigger }, count)
      }
      // What a hook had refused before is late because of that.
      const missed = (row: Advanced[number]) => row.latenessMs > notFiredMs && row.failures === 0
      if (trigger === 'sweep') sweptNotFired.inc(rows.filter(missed).length)
    },
    attempted: (channel: Channel, kind: string, status: string) => attempts.inc({ channel, kind, status }),
    dropped: (queue: string, reason: string) => dropped.inc({ queue, reason }),
    failed: (where: string) => errors.inc({ where }),
  }
}

export type Metrics = ReturnType<typeof createMetrics>
