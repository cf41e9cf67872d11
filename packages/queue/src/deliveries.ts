import type { Channel } from '@lapse/domain'
import { deliveryId } from './jobs.ts'
import type { Queues } from './queues.ts'

interface Outstanding {
  readonly id: string
  readonly channel: Channel
  readonly round?: number
  readonly inMs?: number
}

/** A wake-up serves all that is due, so that of a large set the first few are enough to have every worker look. */
const wakeUpsEach = 50

/** What waits for longer is found by the dispatchers themselves, which look so often. */
const laterMs = 5_000

/**
 * Enqueues a wake-up for side effects that are due, or will be within moments. Fails fast when Redis is away. Nothing hangs
 * on them: the dispatchers look at PostgreSQL by themselves too.
 */
export const enqueueDeliveries = async (queues: Queues, deliveries: readonly Outstanding[]): Promise<void> => {
  const byChannel = new Map<Channel, Outstanding[]>()
  for (const delivery of deliveries) {
    const batch = byChannel.get(delivery.channel) ?? []
    if (batch.length < wakeUpsEach && (delivery.inMs ?? 0) <= laterMs) batch.push(delivery)
    byChannel.set(delivery.channel, batch)
  }
  for (const [channel, batch] of byChannel)
    if (batch.length > 0)
      await queues[channel].addBulk(
        batch.map((delivery) => ({
          name: 'deliver',
          data: { delivery: delivery.id },
          opts: { jobId: deliveryId(delivery), delay: delivery.inMs ?? 0 },
        })),
      )
}
