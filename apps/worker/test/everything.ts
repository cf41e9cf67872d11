import type { stage } from './stage.ts'

type Stage = Awaited<ReturnType<typeof stage>>

/** Every row of every table, as text: where a secret may be looked for. */
export const everyRow = async ({ sql }: Pick<Stage, 'sql'>): Promise<string> => {
  const { rows: tables } = await sql(`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`)
  const contents = await Promise.all(
    tables.map(async ({ name }) =>
      (await sql(`SELECT t::text AS row FROM "${name}" t`)).rows.map(({ row }) => row).join('\n'),
    ),
  )
  return contents.join('\n')
}

/** Every key of this test in Redis, with its value. */
export const everyKey = async ({ lapse, env }: Pick<Stage, 'lapse' | 'env'>): Promise<string> => {
  const { redis } = lapse.queues
  const readers: Record<string, (key: string) => Promise<unknown>> = {
    string: (key) => redis.get(key),
    hash: (key) => redis.hgetall(key),
    list: (key) => redis.lrange(key, 0, -1),
    set: (key) => redis.smembers(key),
    zset: (key) => redis.zrange(key, '0', '-1'),
    stream: (key) => redis.xrange(key, '-', '+'),
  }
  const keys = await redis.keys(`*${env.LAPSE_PREFIX}*`)
  const values = await Promise.all(keys.map(async (key) => readers[await redis.type(key)]?.(key)))
  return JSON.stringify(keys.map((key, i) => [key, values[i]]))
}
