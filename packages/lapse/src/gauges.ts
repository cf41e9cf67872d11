import type { Lapse } from './lapse.ts'

interface Gauge {
  readonly name: string
  readonly help: string
  readonly labelNames: string[]
  /** What it is just now. */
  readonly read: (lapse: Lapse) => Promise<readonly (readonly [labels: Record<string, string>, value: number])[]>
}

/** How it all goes, whichever process is asked: a worker that is gone tells nothing any more. */
export const gauges: readonly Gauge[] = [
  {
    name: 'lapse_alert',
    help: 'Whether an alert is raised.',
    labelNames: ['name'],
    read: async (lapse) => (await lapse.alerts.list()).map(({ name, raised }) => [{ name }, raised ? 1 : 0]),
  },
  {
    name: 'lapse_oldest_pending_seconds',
    help: 'How long the oldest side effect that is due has waited.',
    labelNames: ['channel'],
    read: async (lapse) => (await lapse.oldestPending()).map(({ channel, ms }) => [{ channel }, ms / 1_000]),
  },
  {
    name: 'lapse_open_circuits',
    help: 'Circuit breakers that are open: receivers that are down, whose side effects are held.',
    labelNames: ['channel'],
    read: async (lapse) => (await lapse.circuits.countOpen()).map(({ channel, count }) => [{ channel }, count]),
  },
  {
    name: 'lapse_last_sweep_seconds',
    help: 'How long ago the last sweep was, by the database clock.',
    labelNames: [],
    read: async (lapse) => {
      const ms = await lapse.sinceSweep()
      return ms === undefined ? [] : [[{}, ms / 1_000]]
    },
  },
  {
    name: 'lapse_redis_accepts_writes',
    help: 'Whether Redis accepts the writes of this process: 1, or 0 when it refuses them or is away.',
    labelNames: [],
    read: async (lapse) => [[{}, lapse.queues.health.state.status === 'ok' ? 1 : 0]],
  },
]
