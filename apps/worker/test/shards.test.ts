import { testRedis, until } from '@lapse/testkit'
import { createLapse } from 'lapse'
import { afterAll, describe, expect, it } from 'vitest'
import { kinds } from './kinds.config.ts'
import { stage } from './stage.ts'

describe('changing the number of shards', () => {
  it('one, four, two, with old and new workers side by side: nothing is lost, each ends once, by its timer and not by the sweep', async () => {
    const redis = testRedis()
    const app = await stage(redis)
    const among = (timerShards: number) => {
      const { DATABASE_URL: databaseUrl, LAPSE_SECRET: secret } = app.env
      const lapse = createLapse({
        ...{ databaseUrl, redisUrl: redis.url, prefix: redis.prefix, kinds, secrets: [secret], timerShards },
      })
      afterAll(() => lapse.close())
      return lapse
    }
    const [four, two] = [among(4), among(2)]
    await Promise.all([four.queues.begun, two.queues.begun])
    // Without a sweep and a look-ahead: what no timer ends stays.
    const alone = { LAPSE_SWEEP_SECONDS: '3600', LAPSE_LOOK_AHEAD_SECONDS: '300' }
    const worker = (count: number) => app.startWorker({ ...alone, LAPSE_TIMER_SHARDS: String(count) })
    const ends = async (issuers: Pick<typeof four, 'issueAll'>[], twice = false) => {
      const drafts = Array.from({ length: 40 }, (_, i) => ({ kind: 'pass' as const, expiresIn: 1_500 + i * 25 }))
      const made = (await Promise.all(issuers.map((lapse) => lapse.issueAll(drafts)))).flat()
      const issued = made.map(({ id }) => id)
      // From where it belongs, and from somewhere else.
      if (twice)
        await four.queues.shards()[0]?.addBulk(
          made.map(({ id, kind, endsAt }) => ({
            ...{ name: 'expire', data: { id, kind, version: 1 } },
            opts: { jobId: `${id}-expire-v1`, delay: Math.max(0, endsAt.getTime() - Date.now()) },
          })),
        )
      const ended = () =>
        app.sql(
          `SELECT count(*)::int AS events, count(DISTINCT resource_id)::int AS resources, string_agg(DISTINCT trigger::text, ' ') AS triggers
           FROM event WHERE type = 'expired' AND resource_id = ANY ($1)`,
          [issued],
        )
      const all = { events: issued.length, resources: issued.length, triggers: 'job' }
      await until(async () => (await ended()).rows[0].events >= issued.length, { timeout: 20_000, what: 'all to end' })
      expect((await ended()).rows).toEqual([all])
    }

    const old = await worker(1)
    const later = await app.lapse.issue('pass', { expiresIn: '1h' })
    const upward = await worker(4)
    const last = await four.issue('pass', { expiresIn: '1h' })
    await ends([app.lapse, four], true)
    // Whoever is left runs the shards of all.
    await old.stop()
    await ends([app.lapse])
    const downward = await worker(2)
    await upward.stop()
    await ends([app.lapse])
    await ends([four])
    await ends([two])

    // It has brought what is to come into its own shards; when nobody uses the others any more they are emptied.
    const inTwo = async () => {
      const counts = await Promise.all(two.queues.shards().map((shard) => shard.getDelayedCount()))
      return counts.reduce((sum, count) => sum + count, 0)
    }
    expect(await inTwo()).toBe(2)
    // A timer that a process of the old number has armed in the meantime.
    const late = await four.issue('pass', { expiresIn: '1h' })
    await app.lapse.queues.redis.zadd(`${redis.prefix}:divisions`, 'XX', 0, '1', 0, '4')
    await downward.stop()
    const emptied = await app.startWorker({ LAPSE_TIMER_SHARDS: '2', LAPSE_LOOK_AHEAD_SECONDS: '1' })
    await until(async () => (await two.queues.divisions.all()).length === 1, { what: 'the others to be forgotten' })
    expect(await inTwo()).toBe(3)
    for (const lapse of [app.lapse, four])
      for (const shard of lapse.queues.shards())
        expect(await shard.getJobCountByTypes('delayed', 'waiting', 'active')).toBe(0)
    expect(await Promise.all([later, last, late].map(({ id }) => two.story(id)))).toMatchObject(
      [1, 2, 3].map(() => ({ timers: [{ standing: { state: 'delayed' } }] })),
    )
    await emptied.stop()
  }, 120_000)
})
