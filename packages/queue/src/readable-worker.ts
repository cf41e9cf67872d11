import { Worker } from 'bullmq'
import { jsonOf } from './stored.ts'

/**
 * A job whose data is no JSON would throw inside BullMQ, keep its place among the active ones, and come back every time
 * its lock runs out. Here its data is `null`: it is dropped as malformed, and gone.
 */
export class ReadableWorker extends Worker {
  protected override createJob(...[json, id]: Parameters<Worker['createJob']>): ReturnType<Worker['createJob']> {
    return super.createJob(jsonOf(json.data || '{}') === undefined ? { ...json, data: 'null' } : json, id)
  }
}
