import type { Connection } from './connection.ts'
import { isShardCount } from './shards.ts'

/** A process says this often which number of shards it uses, when it uses it. */
const claimMs = 10_000

/** Nobody arms timers in a division that has not been claimed for so long. */
const abandonedS = 60

/** As many are in use at once, at the very most: whoever can write to Redis must not be able to have thousands run. */
const most = 4

/** Who has never heard of shards has one. */
const claimScript = `
if tonumber(ARGV[1]) > 1 and redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZADD', KEYS[1], 0, 1) end
return redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])`

const abandonedScript = `return redis.call('ZRANGE', KEYS[1], 0, redis.call('TIME')[1] - ARGV[1], 'BYSCORE')`

const forgetScript = `
local claimed = redis.call('ZSCORE', KEYS[1], ARGV[1])
if claimed and tonumber(claimed) > redis.call('TIME')[1] - ARGV[2] then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])`

/**
 * Into how many shards the timers are divided, as every process in use says it: while their number is being changed there
 * are two such divisions at once, and workers run both.
 */
export class Divisions {
  /** How many shards this process uses. */
  readonly own: number
  readonly #redis: Connection
  readonly #key: string
  #claimedAt = Number.NEGATIVE_INFINITY

  constructor(redis: Connection, prefix: string, own: number) {
    this.#redis = redis
    this.#key = `${prefix}:divisions`
    this.own = own
  }

  /** Says that its own is in use, unless it has lately said so. */
  async claim(): Promise<void> {
    if (performance.now() - this.#claimedAt < claimMs) return
    this.#claimedAt = performance.now()
    try {
      await this.#redis.eval(claimScript, 1, this.#key, this.own)
    } catch (error) {
      this.#claimedAt = Number.NEGATIVE_INFINITY
      throw error
    }
  }

  /** All that are in use or still hold timers, one's own first, and then those that were last claimed. */
  async all(): Promise<number[]> {
    const known = await this.#redis.zrevrange(this.#key, '0', '63')
    return [this.own, ...this.#others(known)].slice(0, most)
  }

  /** Those that nobody arms timers in any more. */
  async abandoned(): Promise<number[]> {
    const counts = (await this.#redis.eval(abandonedScript, 1, this.#key, abandonedS)) as string[]
    return this.#others(counts).slice(0, most)
  }

  /** Unless somebody has come back to it. */
  async forget(count: number): Promise<void> {
    await this.#redis.eval(forgetScript, 1, this.#key, count, abandonedS)
  }

  #others(counts: readonly string[]): number[] {
    return counts.map(Number).filter((count) => isShardCount(count) && count !== this.own)
  }
}
