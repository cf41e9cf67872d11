import type { Timer } from '@lapse/domain'
import { readTimerId } from './jobs.ts'
import type { Queues } from './queues.ts'
import { scorePerMs } from './timers.ts'

/** A timer as it waits in Redis, whoever has put it there. */
export interface WaitingTimer extends Pick<Timer, 'id' | 'step' | 'version' | 'offset'> {
  readonly firesAt: number
  /** Takes it away, unless it is being worked on. */
  remove(): Promise<unknown>
}

/** All timers that wait while it reads, page by page; some may come twice. */
export async function* waitingTimers({ redis, shards, divisions }: Queues): AsyncGenerator<WaitingTimer[]> {
  for (const queue of (await divisions.all()).flatMap((count) => shards(count)))
    for (let cursor = '0'; ; ) {
      const [next, found] = await redis.zscan(queue.toKey('delayed'), cursor, 'COUNT', 1_000)
      const page: WaitingTimer[] = []
      for (let i = 0; i < found.length; i += 2) {
        const [name = '', score] = [found[i], found[i + 1]]
        const timer = readTimerId(name)
        if (!timer) continue
        const firesAt = Math.floor(Number(score) / scorePerMs)
        page.push({ ...timer, firesAt, remove: () => queue.remove(name) })
      }
      if (page.length > 0) yield page
      cursor = next
      if (cursor === '0') break
    }
}
