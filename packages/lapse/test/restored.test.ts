import { keepWitness, readWitness } from '@lapse/queue'
import { testDatabase, testRedis, until } from '@lapse/testkit'
import pg from 'pg'
import { afterAll, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { createLapse, defineKind } from '../src/index.ts'

const pass = defineKind({
  name: 'pass',
  payload: z.strictObject({}),
  lifetime: { max: '900d' },
  reminders: [],
  grace: '1h',
})

const database = await testDatabase()
const owner = new pg.Client({ connectionString: database.ownerUrl })
await owner.connect()
afterAll(() => owner.end())
beforeEach(() => owner.query('DELETE FROM resource; DELETE FROM pulse'))

const open = async (horizonMs?: number) => {
  const { url, prefix } = testRedis()
  const lapse = createLapse({ databaseUrl: database.url, redisUrl: url, prefix, kinds: [pass], horizonMs })
  afterAll(() => lapse.close())
  await until(() => lapse.queues.redis.status === 'ready', { what: 'the connection to Redis' })
  const engine = lapse.engine({ onError: () => {} })
  await engine.beginAnew()
  await engine.lookAhead()
  const timerOf = async ({ id }: { id: string }, step = 'expire') => lapse.queues.timers.remove(`${id}-${step}-v1`)
  return {
    lapse,
    engine,
    /** As if it had ended since the backup. */
    endInRedis: timerOf,
    /** Redis has been told of an event that the database does not have, in place of the last that it has. */
    forget: async () => {
      await engine.recognizeRestore()
      const witness = await readWitness(lapse.queues)
      if (!witness) throw new Error('Redis knows of no event')
      await keepWitness(lapse.queues, {
        ...witness,
        resourceId: '00000000-0000-7000-8000-000000000000',
        at: Date.now(),
      })
    },
    rewound: async () => (await lapse.restored.read())?.resources.map(({ id, was }) => ({ id, was })),
  }
}

it('a database that has given out the same ids of events again is not taken for the one that was', async () => {
  const { lapse, engine, forget } = await open()
  await lapse.issue('pass', { expiresIn: '1h' })
  expect(await engine.recognizeRestore()).toBeUndefined()
  await forget()
  const loss = await engine.recognizeRestore()
  expect(loss?.until.getTime()).toBeGreaterThanOrEqual(loss?.since.getTime() ?? Number.NaN)
  expect(await engine.recognizeRestore()).toBeUndefined()
  expect(await lapse.restored.read()).toMatchObject({ ...loss, resources: [] })
  await lapse.restored.done()
  expect(await lapse.restored.read()).toBeUndefined()
})

it('of many who notice it at once one writes it down', async () => {
  const { lapse, engine, forget, endInRedis } = await open()
  const { id } = await lapse.issue('pass', { expiresIn: '1h' })
  await forget()
  await endInRedis({ id })
  const found = await Promise.all(Array.from({ length: 10 }, () => engine.recognizeRestore()))
  expect(found.filter((loss) => loss !== undefined)).toHaveLength(1)
  expect(await lapse.events({ resourceId: id, type: 'rewound' })).toHaveLength(1)
})

it('what is in grace is known by the timer of its grace, and what is beyond the horizon is not said to have ended', async () => {
  const { lapse, engine, forget, endInRedis, rewound } = await open(24 * 3_600_000)
  const far = await lapse.issue('pass', { expiresIn: '30d' })
  const [kept, ended] = [await lapse.issue('pass', { expiresIn: '1s' }), await lapse.issue('pass', { expiresIn: '1s' })]
  await until(async () => (await lapse.get(ended.id)).status === 'grace', { what: 'the grace' })
  await engine.sweep()
  const armed = async () => (await lapse.queues.timers.getJob(`${ended.id}-end-grace-v1`)) !== undefined
  await until(armed, { what: 'the timer of the grace' })
  await forget()
  await endInRedis(ended, 'end-grace')
  await engine.recognizeRestore()
  expect(await rewound()).toEqual([{ id: ended.id, was: 'ended' }])
  expect([far.id, kept.id]).not.toContain(ended.id)
})

it('two losses that nobody has seen to are one', async () => {
  const { lapse, engine, forget, endInRedis, rewound } = await open()
  const [first, second] = [
    await lapse.issue('pass', { expiresIn: '1h' }),
    await lapse.issue('pass', { expiresIn: '1h' }),
  ]
  await forget()
  await endInRedis(first)
  const one = await engine.recognizeRestore()
  await engine.lookAhead()
  await forget()
  await endInRedis(second)
  const two = await engine.recognizeRestore()
  expect(await lapse.restored.read()).toMatchObject({ since: one?.since, until: two?.until })
  expect(await rewound()).toEqual(expect.arrayContaining([first, second].map(({ id }) => ({ id, was: 'ended' }))))
})
