import { Job, Queue, Worker } from 'bullmq'
import { jsonOf } from './stored.ts'

/**
 * A job whose data is no JSON would throw inside BullMQ: it would come back to its worker every time its lock runs out, and
 * keep Bull Board from listing its neighbours. Here its data is `null`: the runner drops it as malformed.
 */
class ReadableJob extends Job {
  // biome-ignore lint/suspicious/noExplicitAny: as BullMQ has it.
  static override fromJSON<T = any, R = any, N extends string = string>(
    ...[queue, json, id]: Parameters<typeof Job.fromJSON>
  ): Job<T, R, N> {
    const isReadable = jsonOf(json.data || '{}') !== undefined
    // biome-ignore lint/complexity/noThisInStatic: BullMQ makes one of the class that it is called on.
    return super.fromJSON<T, R, N>(queue, isReadable ? json : { ...json, data: 'null' }, id)
  }
}

export class ReadableWorker extends Worker {
  protected override get Job(): typeof Job {
    return ReadableJob as unknown as typeof Job
  }
}

export class ReadableQueue extends Queue {
  protected override get Job(): typeof Job {
    return ReadableJob as unknown as typeof Job
  }
}
