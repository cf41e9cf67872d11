import { testDatabase, testRedis, until } from '@lapse/testkit'
import { afterAll, expect, it } from 'vitest'
import { z } from 'zod'
import { createLapse, defineKind } from '../src/index.ts'

const terms = { payload: z.strictObject({}), lifetime: { max: '1d' as const }, reminders: [] }
let release = () => {}
const released = new Promise<void>((resolve) => {
  release = resolve
})
const slow = defineKind({ name: 'slow', ...terms, hooks: { expired: () => released } })
const quick = defineKind({ name: 'quick', ...terms })

it('a hook that takes its time holds up neither the timers of other kinds, nor the sweep of them, nor a denial', async () => {
  const [database, redis] = [await testDatabase(), testRedis()]
  const lapse = createLapse({
    ...{ databaseUrl: database.url, redisUrl: redis.url, prefix: redis.prefix },
    kinds: [slow, quick],
  })
  afterAll(() => lapse.close())
  const engine = lapse.engine({ onError: () => {} })
  const ended = (id: string) =>
    until(async () => (await lapse.events({ resourceId: id, type: 'expired' })).length > 0, { what: 'the end' })

  const waiting = await lapse.issue('slow', { expiresIn: '1s' })
  const denied = await lapse.issue('slow', { expiresIn: '1s' })
  const [byJob, bySweep] = await lapse.issueAll(
    [1, 2].map(() => ({ kind: 'quick' as const, expiresIn: '1s' as const })),
  )
  await until(async () => (await lapse.count({ live: true })) === 0, { what: 'all to be over' })
  const wake = (resource: { id: string; kind: string } | undefined) =>
    engine.wake('expire', { id: resource?.id ?? '', kind: resource?.kind ?? '', version: 1 })

  // Its hook is under way, and will be until the end of this test; its job gives its place back.
  expect(await wake(waiting)).toMatchObject({ do: 'retry' })
  expect(await wake(byJob)).toEqual({ do: 'done' })
  await ended(byJob?.id ?? '')
  const sweeping = engine.sweep()
  await ended(bySweep?.id ?? '')
  expect(await lapse.check('slow', denied.id)).toMatchObject({ allowed: false, reason: 'expired' })
  expect(await lapse.events({ resourceId: waiting.id, type: 'expired' })).toEqual([])
  release()
  await ended(waiting.id)
  await sweeping
})
