import type { Queues } from 'lapse'
import { type GiveBack, patience, uncountedUnless } from './limiter.ts'

/** How long one waits before the next try, by how many have failed: a second, two, four, up to a minute. */
const delayMs = (failures: number): number => Math.min(60_000, 1_000 * 2 ** (failures - 1))

/** What is not tried for so long begins anew. */
const forgottenMs = 15 * 60 * 1000

/** It has to wait so much longer. */
export class Delayed extends Error {
  readonly ms: number
  constructor(ms: number) {
    super('Too soon after a failure')
    this.ms = ms
  }
}

/** As `delayMs` has it, by Redis's clock. Gives back only the try that has set the wait. */
const script = `
local time = redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stored = redis.call('hmget', KEYS[1], 'failures', 'until')
local failures, waits = tonumber(stored[1] or 0), tonumber(stored[2] or 0)
local given = tonumber(ARGV[1])
if given > 0 then
  if waits == given then redis.call('hset', KEYS[1], 'failures', failures - 1, 'until', 0) end
  return { 0, 0 }
end
if waits > now then return { waits - now, 0 } end
waits = now + math.min(60000, 1000 * 2 ^ failures)
redis.call('hset', KEYS[1], 'failures', failures + 1, 'until', waits)
redis.call('pexpire', KEYS[1], ARGV[2])
return { 0, waits }`

/**
 * Tries that have to wait ever longer after each failure. One is taken before the work, so that of many at once one goes
 * through, and given back when it was right. Redis counts for all processes; while it is away each counts for itself.
 */
export const createDelays = (
  redis: Queues['redis'],
  prefix: string,
  uncounted: (error: unknown) => void = () => {},
) => {
  const own = new OwnDelays()

  const ask = async (key: string, given: number): Promise<[wait: number, until: number]> =>
    (await redis.eval(script, 1, `${prefix}:${key}`, given, forgottenMs)) as [number, number]

  const taken = async (key: string): Promise<GiveBack> => {
    const [wait, until] = await ask(key, 0)
    if (wait > 0) throw new Delayed(wait)
    return () => void ask(key, until).catch(uncounted)
  }

  /** @throws Delayed */
  return async (key: string): Promise<GiveBack> => {
    own.refuse(key)
    const asked = taken(key)
    try {
      return await Promise.race([asked, patience()])
    } catch (error) {
      if (error instanceof Delayed) throw error
      uncounted(error)
      // It counts here: what Redis may yet answer is undone, be it a refusal.
      asked.then((giveBack) => giveBack(), uncountedUnless(Delayed, uncounted))
      return own.take(key)
    }
  }
}

interface Waiting {
  readonly failures: number
  readonly until: number
}

/** The same in memory. */
class OwnDelays {
  readonly #waiting = new Map<string, Waiting>()

  refuse(key: string): void {
    const wait = (this.#waiting.get(key)?.until ?? 0) - performance.now()
    if (wait > 0) throw new Delayed(wait)
  }

  take(key: string): GiveBack {
    this.refuse(key)
    const now = performance.now()
    const before = this.#waiting.get(key)
    const failures = before && now - before.until < forgottenMs ? before.failures + 1 : 1
    const mine = { failures, until: now + delayMs(failures) }
    this.#keep(key, mine)
    return () => {
      if (this.#waiting.get(key) === mine) this.#keep(key, { failures: failures - 1, until: 0 })
    }
  }

  /** The latest come last; the oldest makes room. */
  #keep(key: string, waiting: Waiting): void {
    this.#waiting.delete(key)
    this.#waiting.set(key, waiting)
    const [oldest] = this.#waiting.keys()
    if (this.#waiting.size > 10_000 && oldest !== undefined) this.#waiting.delete(oldest)
  }
}
