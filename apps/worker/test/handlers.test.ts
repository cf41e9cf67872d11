import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeDue, until } from '@lapse/testkit'
import { afterAll, expect, it } from 'vitest'
import { stage } from './stage.ts'

const folder = mkdtempSync(join(tmpdir(), 'lapse-handlers-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = join(folder, 'handler.log')

const { lapse, sql, startWorker } = await stage()
const start = () => startWorker({ HANDLER_LOG: file })

type Does = 'fail' | 'hang' | 'give-up' | 'wait'

/** What the worker's handlers have been called with. */
const calls = (id: string): { id: string; deliveryId: string; attempt: number }[] =>
  (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [])
    .map((line) => JSON.parse(line))
    .filter((call) => call.id === id)
const errand = (does: Does) => lapse.issue('errand', { payload: { does }, expiresIn: '1s' })
const deliveryOf = async (id: string) => (await lapse.deliveries.list({ resourceId: id, channel: 'handler' }))[0]
const becomes = (id: string, status: string) =>
  until(
    async () => {
      const delivery = await deliveryOf(id)
      return delivery?.status === status && lapse.deliveries.get(delivery.id)
    },
    { timeout: 20_000, what: `a handler that is ${status}` },
  )

it('D4: one of 500 always fails in its handler: 499 finish; it is denied all the same, tried again, then dead, counted, and retried', async () => {
  const worker = await start()
  const drafts = Array.from({ length: 500 }, (_, i) => ({
    ...{ kind: 'errand' as const, expiresIn: '2s' as const, payload: i === 123 ? { does: 'fail' as const } : {} },
  }))
  const issued = await lapse.issueAll(drafts)
  const bad = issued[123]?.id ?? ''
  const done = async () => {
    const { rows } = await sql(`SELECT count(*)::int AS n FROM delivery WHERE status = 'sent'`)
    return rows[0].n as number
  }
  await until(async () => (await done()) === 499, { timeout: 30_000, what: '499 to finish' })
  expect(await lapse.check('errand', bad)).toMatchObject({ allowed: false, reason: 'expired' })
  const dead = await becomes(bad, 'dead')
  expect(dead).toMatchObject({ attempts: 3, lastError: 'this one never works' })
  expect(dead.log.map(({ status }) => status)).toEqual(['failed', 'failed', 'dead'])
  expect(calls(bad).map(({ attempt, deliveryId }) => [attempt, deliveryId])).toEqual([1, 2, 3].map((n) => [n, dead.id]))
  expect((await lapse.deliveries.list({ status: 'dead' })).map(({ id }) => id)).toEqual([dead.id])
  const metrics = await (await fetch(`${worker.url}/metrics`)).text()
  expect(metrics).toMatch(/lapse_deliveries\{channel="handler",status="dead"\} 1/)
  await lapse.deliveries.retry(dead.id)
  await until(async () => (await lapse.deliveries.get(dead.id)).attempts === 6, { what: 'three more attempts' })
  await becomes(bad, 'dead')
  expect(await done()).toBe(499)
  await worker.stop()
})

it('one that hangs is cut off and tried again; one that gives up is dead at once; one that says when waits until then', async () => {
  const worker = await start()
  const [hanging, givingUp, waiting] = [await errand('hang'), await errand('give-up'), await errand('wait')]
  expect(await becomes(givingUp.id, 'dead')).toMatchObject({ attempts: 1, lastError: 'nobody wants this' })
  const { id, log } = await becomes(waiting.id, 'failed')
  const [first] = log
  expect((first?.nextAt?.getTime() ?? 0) - (first?.at.getTime() ?? 0)).toBeGreaterThanOrEqual(3_600_000)
  // The worker finds it by itself: it asks PostgreSQL every few seconds what waits.
  await makeDue(sql, id)
  expect((await becomes(waiting.id, 'sent')).attempts).toBe(2)
  expect((await becomes(hanging.id, 'sent')).log).toMatchObject([
    { status: 'failed', error: 'it did not finish within 5 seconds' },
    { status: 'sent' },
  ])
  await worker.stop()
})

it('a worker that stops tells its handler, and gives the job back: the next one does it, and no attempt was lost', async () => {
  const first = await start()
  const { id } = await lapse.issue('vigil', { expiresIn: '1s' })
  await until(() => calls(id).length === 1, { what: 'the handler to be called' })
  expect(await first.stop()).toMatchObject({ code: 0 })
  const delivery = await deliveryOf(id)
  expect((await lapse.deliveries.get(delivery?.id ?? '')).log).toMatchObject([
    { status: 'interrupted', error: 'its worker stopped' },
  ])
  const second = await start()
  expect(await becomes(id, 'sent')).toMatchObject({ attempts: 2 })
  const { rows } = await sql('SELECT tries FROM delivery WHERE id = $1', [delivery?.id])
  expect(rows).toEqual([{ tries: 1 }])
  await second.stop()
})
