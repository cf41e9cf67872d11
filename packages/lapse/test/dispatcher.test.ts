import { type Channel, defineKind } from '@lapse/domain'
import { testDatabase, testSink, until } from '@lapse/testkit'
import pg from 'pg'
import { afterAll, afterEach, expect, it } from 'vitest'
import { z } from 'zod'
import { createLapse, type Dispatcher } from '../src/index.ts'

const calls: string[] = []
const hanging = new Set<() => void>()
const empty = { payload: z.strictObject({}), lifetime: { max: '1d' }, reminders: [] } as const
/** Its handler hangs until it is let go. */
const slow = defineKind({
  ...{ name: 'slow', ...empty },
  handlers: {
    issued: () => {
      calls.push('slow')
      return new Promise<void>((resolve) => void hanging.add(resolve))
    },
  },
})
const quick = defineKind({ name: 'quick', ...empty, handlers: { issued: () => void calls.push('quick') } })
/** Its first attempt fails. */
const shaky = defineKind({
  ...{ name: 'shaky', ...empty },
  handlers: {
    issued: ({ attempt }) => {
      calls.push(`shaky ${attempt}`)
      if (attempt === 1) throw new Error('not yet')
    },
  },
})

const { url: databaseUrl, ownerUrl } = await testDatabase()
const owner = new pg.Pool({ connectionString: ownerUrl, max: 1 })
/** Nothing listens there: all of this works without Redis. */
const redisUrl = 'redis://127.0.0.1:9'
const lapse = createLapse({
  ...{ databaseUrl, redisUrl, kinds: [slow, quick, shaky], allowAddresses: ['127.0.0.1'] },
  allowAddressesFor: ['*'],
  secrets: ['a key for the tests of the dispatcher alone'],
})
afterAll(async () => {
  await lapse.close()
  await owner.end()
})

const running: Dispatcher[] = []
const errors: unknown[] = []
/** A worker's side of the outbox, as if in a process of its own. */
const dispatcher = (slots: Partial<Record<Channel, number>> = { handler: 8, webhook: 16 }): Dispatcher => {
  const deliver = lapse.deliverer({ backoff: { baseMs: 20, capMs: 20, attempts: 5 } })
  const one = lapse.dispatcher(deliver, { slots, onError: (error) => errors.push(error) })
  running.push(one)
  return one
}
const letGo = () => {
  for (const resolve of hanging) resolve()
  hanging.clear()
}
afterEach(async () => {
  const stopping = Promise.all(running.splice(0).map((one) => one.stop()))
  const releasing = setInterval(letGo, 10)
  await stopping
  clearInterval(releasing)
  calls.length = 0
  await owner.query('DELETE FROM resource')
  await owner.query('DELETE FROM webhook_endpoint')
  expect(errors.splice(0)).toEqual([])
})

const issue = (kind: 'slow' | 'quick' | 'shaky', count: number) =>
  lapse.issueAll(Array.from({ length: count }, () => ({ kind, payload: {}, expiresIn: '1h' })))
const called = (name: string) => calls.filter((call) => call === name).length

it('one look serves all that is due, without Redis and without a wake-up for each', async () => {
  await issue('quick', 300)
  dispatcher().wake()
  await until(() => called('quick') === 300, { what: 'all handlers' })
  const { rows } = await owner.query(`SELECT DISTINCT status, attempts FROM delivery`)
  await until(async () => (await lapse.outstanding()).length === 0, { what: 'all of it written down' })
  expect(rows.every(({ attempts }) => attempts <= 1)).toBe(true)
})

it('a sweep looks at the outbox: what no wake-up has announced goes out', async () => {
  await issue('quick', 3)
  const outbox = dispatcher()
  const engine = lapse.engine({ onError: (error) => errors.push(error), dispatch: (channel) => outbox.wake(channel) })
  await engine.sweep()
  await until(() => called('quick') === 3, { what: 'all handlers' })
})

it('K1 a handler that hangs keeps a few slots, and those of other kinds run beside it', async () => {
  await issue('slow', 200)
  const outbox = dispatcher()
  outbox.wake()
  await until(() => called('slow') === 2, { what: 'the first that hang' })
  await issue('quick', 100)
  outbox.wake('handler')
  await until(() => called('quick') === 100, { what: 'those beside it' })
  expect(called('slow')).toBe(2)
})

it('a lane that is well gains slots, and takes none of the reserved ones', async () => {
  await issue('slow', 200)
  dispatcher({ handler: 16 }).wake()
  let most = 0
  await until(
    () => {
      most = Math.max(most, hanging.size)
      letGo()
      return called('slow') === 200
    },
    { what: 'all of them' },
  )
  expect(most).toBeGreaterThan(2)
  expect(most).toBeLessThanOrEqual(6)
})

it('what fails is tried again at its time, by the process’s own timer', async () => {
  await issue('shaky', 3)
  dispatcher().wake()
  await until(() => called('shaky 2') === 3, { what: 'the second attempts' })
})

it('a lease that is over is taken up by a worker that nobody wakes', async () => {
  await issue('quick', 1)
  const { rows } = await owner.query('SELECT id FROM delivery')
  const outbox = dispatcher()
  await owner.query(
    `UPDATE delivery SET ready = false, attempts = 1, tries = 1, leased_until = now() + interval '300 milliseconds'`,
  )
  outbox.wake()
  await until(() => called('quick') === 1, { what: 'its second attempt' })
  expect(await lapse.deliveries.get(rows[0].id)).toMatchObject({ attempts: 2 })
})

it('K1 an endpoint that never answers holds up no other, of its organization or another’s', async () => {
  const [dead, alive] = [await testSink(), await testSink()]
  dead.answerAlways(() => {})
  const make = (url: string, organization: string, kind: string) =>
    lapse.webhookEndpoints.create({ url, organization, kinds: [kind], events: ['issued'] })
  for (const reference of ['acme', 'umbrella']) await lapse.organizations.create({ name: reference, reference })
  await make(`${dead.url}dead`, 'acme', 'slow')
  await make(`${alive.url}same`, 'acme', 'quick')
  await make(`${alive.url}other`, 'umbrella', 'quick')
  const within = (kind: 'slow' | 'quick', organization: string, count: number) =>
    lapse.issueAll(Array.from({ length: count }, () => ({ kind, organization, payload: {}, expiresIn: '1h' })))
  await within('slow', 'acme', 200)
  const outbox = dispatcher({ webhook: 16 })
  outbox.wake()
  await dead.waitForRequest()
  await within('quick', 'acme', 5)
  await within('quick', 'umbrella', 5)
  outbox.wake('webhook')
  await until(() => alive.requests.length === 10, { what: 'the webhooks of the others' })
  // They came while those of the first were hanging, which have not been answered to this moment.
  expect(dead.requests.length).toBeLessThanOrEqual(2)
  const { rows } = await owner.query(`SELECT FROM delivery_attempt WHERE status = 'failed'`)
  expect(rows).toEqual([])
  // So that their attempts end with the test.
  dead.answerAlways(204)
  await owner.query(`DELETE FROM delivery`)
})
