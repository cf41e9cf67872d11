import type { Delivery, DeliveryFilter, Domain, Suppression } from '@lapse/domain'

export interface RetryOptions {
  /** Where an earlier call has stopped. */
  readonly after?: string | undefined
  /** Begins no new batch after so long; goes on to the end without. */
  readonly timeMs?: number | undefined
}

export interface Retried {
  readonly retried: number
  readonly done: boolean
  /** Where to go on when that was not all. */
  readonly after: string | null
}

const batchSize = 1_000

type Owed = Awaited<ReturnType<Domain['deliveries']['retry']>>

/** @throws LapseError `invalid` */
export const retryDead = async (
  domain: Domain,
  enqueue: (owed: Owed) => Promise<void>,
  filter: Omit<DeliveryFilter, 'status'>,
  { after: start, timeMs = Number.POSITIVE_INFINITY }: RetryOptions = {},
): Promise<Retried> => {
  const began = performance.now()
  for (let retried = 0, after = start; ; ) {
    const batch = await domain.deliveries.retryDead(filter, { after, limit: batchSize })
    await enqueue(batch.deliveries)
    retried += batch.deliveries.length
    if (batch.after === null || performance.now() - began >= timeMs)
      return { retried, done: batch.after === null, after: batch.after }
    after = batch.after
  }
}

/** Why a delivery is not to be retried or called off. */
export const whyNot = ({ status }: Delivery): string => {
  const isOutstanding = status === 'pending' || status === 'failed'
  return `It is ${status}${isOutstanding ? ', and tried right now or in a moment: look again then' : ''}.`
}

/** Why a mail to such an address is not to be retried. */
export const whyBounced = ({ id, address, detail, at }: Suppression): string =>
  `Mail to ${address} has come back, at ${at.toISOString()}${detail === null ? '' : `: ${detail}`}. Lift that first, with DELETE /v1/mail-suppressions/${id}.`
