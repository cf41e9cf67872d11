import { createLapse } from 'lapse'
import { type Ground, onFreshGround } from '../ground.ts'
import { kinds, plain } from '../lapse.config.ts'
import type { Figure, Line } from '../measure.ts'

const hour = 3_600_000
const day = 24 * hour
const batch = 500_000

/**
 * A horizon of a day, and resources that end over ninety of them: what Redis holds, and what the look-ahead takes. A tenth of
 * them that end within nine days are as many a day, and the yardstick: what lies beyond the horizon should cost nothing.
 */
export const horizon: Line = async ({ quick }) => {
  const count = quick ? 200_000 : 5_000_000
  const problems: string[] = []
  const few = await lookAt(count / 10, 9, problems)
  const many = await lookAt(count, 90, problems)
  const yardstick = `${count / 10} over 9 days`
  const figure = (what: string, unit: Figure['unit'], of: (looked: Looked) => number): Figure => ({
    line: 'horizon',
    what: `${what}, ${count} over 90 days`,
    unit,
    value: of(many),
    yardstick: { what: yardstick, value: of(few) },
    ratio: of(many) / of(few),
  })
  const memory = figure('Redis, a horizon of 24 h', 'bytes', ({ bytes }) => bytes)
  return {
    problems,
    figures: [
      { ...memory, target: { what: '≤ 1.1 times', met: (memory.ratio ?? 0) <= 1.1 } },
      figure('each of the timers within it', 'bytes', ({ bytes, timers }) => bytes / timers),
      figure('each row in PostgreSQL, indexes included', 'bytes', ({ row }) => row),
      figure('look-ahead after a flush', 's', ({ anew }) => anew),
      figure('look-ahead each minute', 'ms', ({ usual }) => usual),
    ],
  }
}

interface Looked {
  readonly bytes: number
  readonly timers: number
  /** Bytes. */
  readonly row: number
  /** Seconds. */
  readonly anew: number
  /** Milliseconds. */
  readonly usual: number
}

const lookAt = (count: number, days: number, problems: string[]): Promise<Looked> =>
  onFreshGround(async (ground) => {
    await fill(ground, count, days)
    const { databaseUrl, redisUrl, prefix, redis } = ground
    const lapse = createLapse({ databaseUrl, redisUrl, prefix, kinds, horizonMs: day })
    try {
      await lapse.queues.begun
      const engine = lapse.engine({ onError: (error) => problems.push(`horizon: ${error}`) })
      const before = await usedMemory(ground)
      const from = Date.now()
      const anew = await seconds(async () => {
        await engine.beginAnew()
        await engine.lookAhead()
      })
      const timers = await redis.zcard(`${prefix}:timers:delayed`)
      const bytes = (await usedMemory(ground)) - before
      const usual = 1_000 * (await seconds(() => engine.lookAhead()))
      const { rows } = await ground.pool.query<{ least: number; most: number }>(
        `SELECT count(*) FILTER (WHERE due_at <= to_timestamp($1::float8 / 1000) + interval '1 day')::float8 AS least,
          count(*)::float8 AS most FROM resource WHERE due_at <= clock_timestamp() + interval '1 day'`,
        [from],
      )
      const { least = 0, most = 0 } = rows[0] ?? {}
      if (timers < least || timers > most) problems.push(`horizon: ${timers} timers instead of ${least} to ${most}`)
      const size = await ground.pool.query<{ bytes: number }>(
        `SELECT pg_total_relation_size('resource')::float8 AS bytes`,
      )
      return { bytes, timers, row: (size.rows[0]?.bytes ?? 0) / count, anew, usual }
    } finally {
      await lapse.close()
    }
  })

/** Rows that end one after the other, the first in an hour, evenly until so many days from now. */
const fill = async ({ pool, owner }: Ground, count: number, days: number): Promise<void> => {
  for (let from = 0; from < count; from += batch)
    await pool.query(
      `INSERT INTO resource (id, kind, issued_at, changed_at, expires_at, ends_at, reminders, due_at, next_step)
       SELECT gen_random_uuid(), $1, now() - interval '1 hour', now() - interval '1 hour', at, at, '{}', at, 'expire'
       FROM generate_series($2::int, $3::int) AS i,
         LATERAL (SELECT now() + interval '1 hour' + i * ($4::float8 * interval '1 day' / $5::float8) AS at) AS e`,
      [plain.name, from, Math.min(from + batch, count) - 1, days, count],
    )
  await owner.query('VACUUM (ANALYZE) resource')
}

const seconds = async (act: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await act()
  return (performance.now() - start) / 1_000
}

const usedMemory = async ({ redis }: Ground): Promise<number> =>
  Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1])
