import { setTimeout as sleep } from 'node:timers/promises'
import type { Queues } from 'lapse'
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'

export interface Rate {
  readonly points: number
  /** From the first point that is taken. */
  readonly seconds: number
}

/** No request waits longer than this for Redis to count it. */
const patienceMs = 300

/** Rejects when a request has waited long enough, for all of its limits together. */
export const patience = (): Promise<never> => {
  const late = sleep(patienceMs, undefined, { ref: false }).then(() => {
    throw new Error('Redis takes too long')
  })
  // A request that was counted in time has stopped listening: then it is no error.
  late.then(undefined, ignoreLate)
  return late
}

const ignoreLate = () => {}

/** What comes after the request has given up waiting: a refusal is an answer. */
export const uncountedUnless =
  (refusal: abstract new (...args: never[]) => object, uncounted: (error: unknown) => void) =>
  (error: unknown): void => {
    if (!(error instanceof refusal)) uncounted(error)
  }

/**
 * Takes only what is left, so that a refusal counts nothing, and gives back only to the window that was taken from: any
 * that began later has longer to live.
 */
const script = `
local used, left = tonumber(redis.call('get', KEYS[1]) or 0), redis.call('pttl', KEYS[1])
local by, seconds, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if by > 0 and used >= most then return { used + by, left } end
if by < 0 and left > seconds * 1000 then return { used, left } end
if used + by <= 0 then
  redis.call('del', KEYS[1])
  return { 0, 0 }
end
if used == 0 then
  redis.call('set', KEYS[1], by, 'EX', seconds)
  return { by, seconds * 1000 }
end
return { redis.call('incrby', KEYS[1], by), left }`

/** Gives back the point that was taken, once, to where it came from. Nobody waits for it. */
export type GiveBack = () => void

/**
 * Counts in Redis for all processes together, and in this process while Redis is away, hangs or only reads. Who has no point
 * left in either has none, so that taking and looking never differ: where they do, a guess shows.
 */
export const createLimiter = (
  redis: Queues['redis'],
  keyPrefix: string,
  { points, seconds }: Rate,
  uncounted: (error: unknown) => void,
) => {
  const options = { keyPrefix, points, duration: seconds }
  const shared = new RateLimiterRedis({ ...options, storeClient: redis, customIncrTtlLuaScript: script })
  const own = new OwnLimiter(options)

  const taken = async (from: RateLimiterAbstract, key: string): Promise<GiveBack> => {
    const { msBeforeNext } = await from.consume(key)
    const end = performance.now() + msBeforeNext
    let given = false
    return () => {
      const left = end - performance.now()
      if (given || left <= 0) return
      given = true
      from.reward(key, 1, { customDuration: Math.ceil(left / 1_000) }).catch(uncounted)
    }
  }

  const refuseFull = (seen: RateLimiterRes | null): void => {
    if (seen && seen.consumedPoints >= points) throw seen
  }

  return {
    /** Takes a point. Rejects with a RateLimiterRes when none is left. */
    take: async (key: string, late: Promise<never>): Promise<GiveBack> => {
      refuseFull(await own.get(key))
      const asked = taken(shared, key)
      try {
        return await Promise.race([asked, late])
      } catch (error) {
        if (error instanceof RateLimiterRes) throw error
        uncounted(error)
        // It counts here: what Redis may yet answer is undone, be it a refusal.
        asked.then((giveBack) => giveBack(), uncountedUnless(RateLimiterRes, uncounted))
        return taken(own, key)
      }
    },
    /** Takes nothing. Rejects with a RateLimiterRes when no point is left. */
    look: async (key: string, late: Promise<never>): Promise<void> => {
      refuseFull(await own.get(key))
      const seen = await Promise.race([shared.get(key), late]).catch(uncounted)
      refuseFull(seen ?? null)
    },
  }
}

/** A refusal counts nothing here either. */
class OwnLimiter extends RateLimiterMemory {
  override async consume(key: string): Promise<RateLimiterRes> {
    try {
      return await super.consume(key)
    } catch (full) {
      await this.reward(key)
      throw full
    }
  }
}
