import type { Channel } from '@lapse/domain'
import { deliveryId } from './jobs.ts'
import type { Queues } from './queues.ts'

interface Outstanding {
  readonly id: string
  readonly channel: Channel
  readonly round?: number
  readonly inMs?: number
  /** Before all that waits. */
  readonly urgent?: boolean
}

/** How many may wait in a channel's queue at once; `usualFull` unless said otherwise. */
export type Full = Partial<Record<Channel, number>>

const usualFull = 50_000

/** As many as are enqueued without asking whether there is room. */
const few = 50

/**
 * Enqueues side effects that are due, or will be soon. Fails fast when Redis is away; the sweep feeds what was left out, as
 * it does what finds a full queue: nobody needs jobs that would wait there for minutes.
 */
export const enqueueDeliveries = async (
  queues: Queues,
  deliveries: readonly Outstanding[],
  full: Full = {},
): Promise<void> => {
  const channels = new Set(deliveries.map((delivery) => delivery.channel))
  for (const channel of channels) {
    const all = deliveries.filter((delivery) => delivery.channel === channel)
    const room = all.length > few ? await appetite(queues, channel, full) : all.length
    const batch = room < all.length ? roomFor(all, room) : all
    for (let i = 0; i < batch.length; i += 1_000)
      await queues[channel].addBulk(
        batch.slice(i, i + 1_000).map((delivery) => ({
          name: 'deliver',
          data: { delivery: delivery.id },
          opts: { jobId: deliveryId(delivery), delay: delivery.inMs ?? 0, lifo: delivery.urgent ?? false },
        })),
      )
  }
}

/** Those that wait for their own time stand in nobody's way. */
const roomFor = (deliveries: readonly Outstanding[], room: number): Outstanding[] => {
  const later = deliveries.filter(({ inMs = 0 }) => inMs > 0)
  return [...deliveries.filter(({ inMs = 0 }) => inMs <= 0).slice(0, room), ...later]
}

/** How many more a channel's queue should be fed: it is kept short, and the ledger long. */
export const appetite = async (queues: Queues, channel: Channel, full: Full = {}): Promise<number> => {
  const { waiting = 0, prioritized = 0 } = await queues[channel].getJobCounts('waiting', 'prioritized')
  return Math.max(0, (full[channel] ?? usualFull) - waiting - prioritized)
}
