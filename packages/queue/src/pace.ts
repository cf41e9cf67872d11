import { setTimeout as sleep } from 'node:timers/promises'
import type { Queues } from './queues.ts'

/** Resolves when it is one's turn. Rejects when Redis is away. */
export type Pace = () => Promise<void>

/** A second, and what is added to it: whoever goes up to so much later than another did makes no second too full. */
const spanUs = 1_050_000

/** A turn that was this long on its way, because the process is busy, may be old: it is given up. */
const oldMs = 40

/**
 * Takes a turn if fewer than so many were taken within the span, and says in how many microseconds to ask again if not.
 * A clock that was set back must not hold everybody up until it has caught up.
 */
const script = `
local time = redis.call('TIME')
local now, most, span = time[1] * 1000000 + time[2], tonumber(ARGV[1]), tonumber(ARGV[2])
if redis.call('LLEN', KEYS[1]) >= most then
  local wait = redis.call('LINDEX', KEYS[1], most - 1) + span - now
  if wait > 0 and wait <= span then return wait end
end
redis.call('LPUSH', KEYS[1], string.format('%.0f', now))
redis.call('LTRIM', KEYS[1], 0, most - 1)
redis.call('PEXPIRE', KEYS[1], 2000)
return 0`

/**
 * At most `perSecond` turns in any second, over all processes together. A count that begins anew each second would let two
 * seconds' worth meet where they touch; here each turn is measured against the one that was so many before.
 */
export const createPace = (
  { redis, prefix }: Pick<Queues, 'redis' | 'prefix'>,
  name: string,
  perSecond: number,
): Pace => {
  const ask = async (): Promise<number> =>
    (await redis.eval(script, 1, `${prefix}:pace:${name}`, perSecond, spanUs)) as number

  const turn = async (): Promise<void> => {
    // Whoever is always late goes at last: late is better than never.
    for (let old = 0; old < 5; ) {
      const asked = performance.now()
      const waitUs = await ask()
      if (waitUs > 0) await sleep(Math.ceil(waitUs / 1_000))
      else if (performance.now() - asked < oldMs) return
      else old++
    }
  }

  // In one line, so that a process asks once for all who wait in it.
  let line: Promise<unknown> = Promise.resolve()
  return () => {
    const mine = line.then(turn)
    // The caller hears of the error of its turn; the next one begins all the same.
    line = Promise.allSettled([mine])
    return mine
  }
}
