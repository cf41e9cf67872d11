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

/** Enqueues side effects that are due, or will be soon. Fails fast when Redis is away; the sweep feeds what was left out. */
export const enqueueDeliveries = async (queues: Queues, deliveries: readonly Outstanding[]): Promise<void> => {
  const channels = new Set(deliveries.map((delivery) => delivery.channel))
  for (const channel of channels) {
    const batch = deliveries.filter((delivery) => delivery.channel === channel)
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

/** How many more a channel's queue should be fed: it is kept short, and the ledger long. */
export const appetite = async (queues: Queues, channel: Channel, full = 50_000): Promise<number> =>
  Math.max(0, full - (await queues[channel].count()))
