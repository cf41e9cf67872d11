import pg from 'pg'
import type { Instant } from './history.ts'

/** Tells the time by PostgreSQL's clock, whatever this process's own says, and while PostgreSQL is away. */
export class Time {
  readonly #url: string
  readonly #samples: { offsetMs: number; errorMs: number }[] = []
  #client: pg.Client | undefined
  #timer: NodeJS.Timeout | undefined
  #worstMs = 0

  private constructor(url: string) {
    this.#url = url
  }

  /** Asks it once a second, over a connection of its own. */
  static async start(url: string): Promise<Time> {
    const time = new Time(url)
    for (let tries = 0; tries < 5; tries++) await time.#ask()
    if (time.#samples.length === 0) throw new Error('PostgreSQL does not say what time it is.')
    const repeat = async () => {
      await time.#ask()
      time.#timer = setTimeout(repeat, 1_000).unref()
    }
    time.#timer = setTimeout(repeat, 1_000).unref()
    return time
  }

  now(): Instant {
    const best = this.#samples.reduce((a, b) => (b.errorMs < a.errorMs ? b : a))
    return performance.now() + best.offsetMs
  }

  /** How far `now()` may have been off; and a millisecond that answers cut off. */
  get uncertaintyMs(): number {
    return this.#worstMs + 2
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    // The server may be away: then there is nothing to end.
    await Promise.allSettled([this.#client?.end()])
  }

  async #ask(): Promise<void> {
    try {
      this.#client ??= await connected(this.#url)
      const before = performance.now()
      const { rows } = await this.#client.query('SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now')
      const after = performance.now()
      this.#samples.push({ offsetMs: Number(rows[0].now) - (before + after) / 2, errorMs: (after - before) / 2 })
      if (this.#samples.length > 10) this.#samples.shift()
      if (this.#samples.length >= 5)
        this.#worstMs = Math.max(this.#worstMs, Math.min(...this.#samples.map(({ errorMs }) => errorMs)))
    } catch {
      // It is away: what was measured before goes on.
      void Promise.allSettled([this.#client?.end()])
      this.#client = undefined
    }
  }
}

const connected = async (connectionString: string): Promise<pg.Client> => {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 1_000, query_timeout: 1_000 })
  client.on('error', () => {})
  await client.connect()
  return client
}
