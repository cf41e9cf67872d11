import { type Ground, onFreshGround } from '../ground.ts'
import { reminded } from '../lapse.config.ts'
import { chunks, type Line, times } from '../measure.ts'
import { usedMemory } from '../size.ts'

const timers = 3
const day = 86_400_000

/** What Redis needs for one pending resource: two reminders and the end. */
export const memory: Line = async ({ quick }) => {
  const count = quick ? 3_000 : 10_000
  const problems: string[] = []
  const lapse = await onFreshGround(async (ground) => {
    const before = await usedMemory(ground.redis)
    for (const batch of chunks(
      times(count, () => ({ kind: reminded.name, expiresIn: '10d' as const })),
      1_000,
    ))
      await ground.lapse.issueAll(batch)
    const total = ((await usedMemory(ground.redis)) - before) / count
    const armed = await ground.lapse.queues.timers.getDelayedCount()
    if (armed !== timers * count) problems.push(`memory: ${armed} timers instead of ${timers * count}`)
    return { total, job: await jobSize(ground, 'timers') }
  })
  const least = await onFreshGround(async (ground) => {
    const before = await usedMemory(ground.redis)
    for (const batch of chunks(
      times(timers * count, (i) => i),
      1_000,
    ))
      await ground.queue.addBulk(batch.map((i) => ({ name: 'e', data: {}, opts: { jobId: `j${i}`, delay: 10 * day } })))
    return { total: ((await usedMemory(ground.redis)) - before) / count, job: await jobSize(ground, 'yardstick') }
  })
  const yardstick = 'empty jobs, short ids'
  const line = { line: 'memory', unit: 'bytes' } as const
  return {
    problems,
    figures: [
      {
        ...line,
        what: `each of ${count} resources, all in all`,
        value: lapse.total,
        yardstick: { what: yardstick, value: least.total },
        ratio: lapse.total / least.total,
      },
      {
        ...line,
        what: 'one timer, its hash alone',
        value: lapse.job,
        yardstick: { what: yardstick, value: least.job },
        ratio: lapse.job / least.job,
      },
    ],
  }
}

/** The mean of a sample. */
const jobSize = async ({ redis, prefix }: Ground, queue: string): Promise<number> => {
  const ids = await redis.zrange(`${prefix}:${queue}:delayed`, '0', '999')
  const sizes = await Promise.all(ids.map((id) => redis.memory('USAGE', `${prefix}:${queue}:${id}`)))
  return sizes.reduce<number>((sum, size) => sum + Number(size), 0) / sizes.length
}
