import { randomUUID } from 'node:crypto'
import type { Connection } from './connection.ts'

/** Takes the lease when it is free, or extends it for its holder. */
const takeScript = `
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`

/** Compare and delete: a lease that ran out may belong to another process by now. */
const releaseScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`

/** A key in Redis that one process at a time holds, for `ms` after it was last taken. Every call throws when Redis is away. */
export class Lease {
  readonly ms: number
  readonly #redis: Connection
  readonly #key: string
  readonly #token = randomUUID()

  constructor(redis: Connection, key: string, ms: number) {
    this.#redis = redis
    this.#key = key
    this.ms = ms
  }

  /** Takes or extends it. Answers whether this process holds it. */
  async take(): Promise<boolean> {
    return (await this.#redis.eval(takeScript, 1, this.#key, this.#token, this.ms)) === 1
  }

  /** Gives it back, unless another process holds it. */
  async release(): Promise<void> {
    await this.#redis.eval(releaseScript, 1, this.#key, this.#token)
  }
}
