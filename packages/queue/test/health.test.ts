import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  acceptWrites,
  askRedis,
  type PrivateRedis,
  privateCluster,
  privateRedis,
  refusals,
  refuseWrites,
  until,
} from '@lapse/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { openQueues, type RedisState } from '../src/index.ts'

const open = async (url: string) => {
  const queues = openQueues({ redisUrl: url, prefix: `test-${randomUUID()}` })
  afterAll(() => queues.close())
  await until(() => queues.redis.status === 'ready', { what: 'the connection to Redis' })
  const seen: RedisState[] = []
  queues.health.onChange((state) => seen.push(state))
  /** Asks until a probe has seen it. */
  const becomes = (status: RedisState['status']) =>
    until(async () => (await queues.health.check()).status === status, { what: `Redis being ${status}` })
  return { queues, health: queues.health, seen, becomes }
}

const setsOf = async ({ url }: Pick<PrivateRedis, 'url'>): Promise<number> => {
  const stats = await askRedis(url, (client) => client.info('commandstats'))
  return Number(/cmdstat_set:calls=(\d+)/.exec(stats)?.[1] ?? 0)
}

describe('Redis counts as healthy only while it accepts writes', () => {
  it.each(refusals)('%s: it refuses, in its own words, though it answers reads', async (refusal) => {
    const redis = await privateRedis()
    const { queues, health, seen, becomes } = await open(redis.url)
    await becomes('ok')
    await refuseWrites(redis.url, refusal)
    await becomes('refusing')
    expect(health.state).toMatchObject({ reason: expect.stringMatching(new RegExp(`^${refusal} `)) })
    // The connection to a replica is just being made anew.
    await until(async () => (await queues.redis.get('any')) === null, { what: 'an answer' })
    expect(await health.isUsable()).toBe(false)
    await acceptWrites(redis.url, refusal)
    await becomes('ok')
    expect(await health.isUsable()).toBe(true)
    expect(seen.map(({ status }) => status)).toEqual(['refusing', 'ok'])
  })

  it('however many ask at once, it is one write', async () => {
    const redis = await privateRedis()
    const { health } = await open(redis.url)
    const before = await setsOf(redis)
    await Promise.all(Array.from({ length: 5_000 }, () => health.check()))
    expect(await setsOf(redis)).toBe(before + 1)
    await health.check()
    expect(await setsOf(redis)).toBeLessThanOrEqual(before + 2)
  })

  it('any master of a cluster that refuses counts, whichever it is', async () => {
    const cluster = await privateCluster()
    const { health, becomes } = await open(cluster.url)
    await becomes('ok')
    for (const { url } of cluster.masters) {
      await refuseWrites(url, 'NOREPLICAS')
      await becomes('refusing')
      expect(health.state).toMatchObject({ reason: expect.stringMatching(/^NOREPLICAS /) })
      await acceptWrites(url, 'NOREPLICAS')
      await becomes('ok')
    }
  })

  it('one that hangs is away, and nothing waits for it from then on', async () => {
    const redis = await privateRedis()
    const { health, becomes } = await open(redis.url)
    redis.pause()
    await becomes('away')
    // A probe that hangs as well, and not the answer of the last one.
    await until(async () => await Promise.race([health.check().then(() => false), sleep(20, true)]), {
      what: 'a probe under way',
    })
    let probed = false
    const probe = health.check().then(() => {
      probed = true
    })
    expect([await health.isUsable(), probed]).toEqual([false, false])
    await probe
    redis.resume()
    await becomes('ok')
  })

  it('a refusal that no probe has met is known from the command that met it, and a fault of a command is none', async () => {
    const redis = await privateRedis()
    const { queues, health, seen } = await open(redis.url)
    await queues.redis.set('text', 'no list')
    await queues.redis.rpush('text', 'x').catch((error) => health.failed(error))
    await health.check()
    expect(seen).toEqual([])
    await refuseWrites(redis.url, 'OOM')
    const refused = await queues.redis.set('key', 'value').catch((error: unknown) => error)
    await acceptWrites(redis.url, 'OOM')
    health.failed(refused)
    expect(seen).toEqual([{ status: 'refusing', reason: expect.stringMatching(/^OOM command not allowed/) }])
  })

  it('a replica that is connected to again goes on refusing: the moment without a connection is not reported', async () => {
    const redis = await privateRedis()
    const { queues, health, seen, becomes } = await open(redis.url)
    await refuseWrites(redis.url, 'READONLY')
    await becomes('refusing')
    await until(() => queues.redis.status !== 'ready', { what: 'the connection being made anew' })
    health.failed(new Error("Stream isn't writeable"))
    await until(() => queues.redis.status === 'ready', { what: 'the connection' })
    expect(seen.map(({ status }) => status)).toEqual(['refusing'])
  })
})
