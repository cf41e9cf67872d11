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
 * Enqueues side effects that are due, or will be soon, as far as there is room for them. Fails fast when Redis is away. The
 * sweep feeds what was left out: nobody needs jobs that would wait for minutes.
 */
export const enqueueDeliveries = async (
  queues: Queues,
  deliveries: readonly Outstanding[],
  full?: Full,
): Promise<void> => enqueueAll(queues, await thatFit(queues, deliveries, full))

/** Whether or not there is room for them. */
export const enqueueAll = async (queues: Queues, deliveries: readonly Outstanding[]): Promise<void> => {
  for (const [channel, batch] of byChannel(deliveries))
    for (let i = 0; i < batch.length; i += 1_000)
      await queues[channel].addBulk(
        batch.slice(i, i + 1_000).map((delivery) => ({
          name: 'deliver',
          data: { delivery: delivery.id },
          opts: { jobId: deliveryId(delivery), delay: delivery.inMs ?? 0, lifo: delivery.urgent ?? false },
        })),
      )
}

/** Those that wait for their own time stand in nobody's way. */
const thatFit = async (queues: Queues, deliveries: readonly Outstanding[], full?: Full): Promise<Outstanding[]> => {
  const fit = await Promise.all(
    byChannel(deliveries).map(async ([channel, all]) => {
      const room = all.length > few ? await appetite(queues, channel, full) : all.length
      const isLater = ({ inMs = 0 }: Outstanding) => inMs > 0
      return [...all.filter((one) => !isLater(one)).slice(0, room), ...all.filter(isLater)]
    }),
  )
  return fit.flat()
}

const byChannel = (deliveries: readonly Outstanding[]): [Channel, Outstanding[]][] =>
  [...new Set(deliveries.map(({ channel }) => channel))].map((channel) => [
    channel,
    deliveries.filter((delivery) => delivery.channel === channel),
  ])

/** How many more a channel's queue should be fed: it is kept short, and the ledger long. */
export const appetite = async (queues: Queues, channel: Channel, full: Full = {}): Promise<number> => {
  const { waiting = 0, prioritized = 0 } = await queues[channel].getJobCounts('waiting', 'prioritized')
  return Math.max(0, (full[channel] ?? usualFull) - waiting - prioritized)
}
