import { createDomain, defineKind } from '@lapse/domain'
import { mailSink, testDatabase, testSink, until } from '@lapse/testkit'
import pg from 'pg'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createDeliverer } from '../src/delivery/deliverer.ts'
import { Dispatcher } from '../src/delivery/dispatcher.ts'
import { createMailer } from '../src/mail/mailer.ts'

const pass = defineKind({ name: 'pass', payload: z.strictObject({}), lifetime: { max: '1d' }, reminders: [] })

const { url, ownerUrl } = await testDatabase()
const owner = new pg.Pool({ connectionString: ownerUrl, max: 2 })
const domain = createDomain({
  ...{ url, kinds: [pass], secrets: ['a key for the tests of unknown outcomes alone'] },
  allowAddresses: ['127.0.0.1'],
})
const closing: (() => unknown)[] = []
afterEach(async () => void (await Promise.all(closing.splice(0).map((close) => close()))))
afterAll(async () => {
  await domain.close()
  await owner.end()
})

const backoff = { baseMs: 10_000, capMs: 10_000, attempts: 5 }
const deliveryOf = async (id: string) => domain.deliveries.get(id)

describe('a mail server', () => {
  /** One mail in the outbox, and a worker's side of it; its leases are short. */
  const worker = async (server: { url: string }, leaseMs: number, mailAnswerMs = 60_000) => {
    const mailer = createMailer({ transport: server.url, from: 'lapse@example.com' })
    const deliverer = createDeliverer(domain, { mailer, leaseMs, mailAnswerMs, backoff })
    const errors: unknown[] = []
    const dispatcher = new Dispatcher(domain, deliverer, {
      slots: { email: 4 },
      onError: (error) => errors.push(error),
    })
    closing.push(async () => {
      mailer.close()
      await dispatcher.stop()
    })
    return { dispatcher, errors }
  }
  const mail = async (): Promise<string> => {
    const letter = { subject: 'A letter', lines: ['It takes its time.'] }
    const [owed] = await domain.deliveries.owe({ type: 'lapse.letter', data: {}, letter }, [
      { channel: 'email', target: 'ada@example.com' },
    ])
    return owed?.id ?? ''
  }

  it('L5: that takes longer to accept than a lease lasts gets one copy, whichever worker looks meanwhile', async () => {
    const sink = await mailSink()
    const accepting: (() => void)[] = []
    sink.beforeAnswer = (phase) =>
      phase === 'message' ? new Promise<void>((resolve) => void accepting.push(resolve)) : undefined
    const leaseMs = 2_000
    const [one, other] = [await worker(sink, leaseMs), await worker(sink, leaseMs)]
    const id = await mail()
    one.dispatcher.wake()
    await until(() => sink.mails.length === 1, { what: 'the last byte' })
    // Long after the lease that it was claimed with, nobody else may have it.
    await until(
      async () => {
        const { rows } = await owner.query(
          `SELECT FROM delivery WHERE id = $1 AND created_at < now() - 3 * $2::int * interval '1 millisecond'`,
          [id, leaseMs],
        )
        return rows.length === 1
      },
      { timeout: 30_000, what: 'three leases to have gone by' },
    )
    other.dispatcher.wake()
    one.dispatcher.wake()
    await other.dispatcher.stop()
    for (const accept of accepting) accept()
    await until(async () => (await deliveryOf(id)).status === 'sent', { what: 'the acceptance written down' })
    expect(sink.mails).toHaveLength(1)
    expect(await deliveryOf(id)).toMatchObject({ attempts: 1, log: [{ status: 'sent' }] })
  })

  it('that cuts the line after the last byte gets a second copy, and not at once', async () => {
    const sink = await mailSink()
    sink.beforeAnswer = (phase) => {
      if (phase !== 'message') return undefined
      sink.disconnect()
      return new Promise<void>(() => {})
    }
    const { dispatcher } = await worker(sink, 60_000)
    const id = await mail()
    dispatcher.wake()
    await until(async () => (await deliveryOf(id)).status === 'failed', { what: 'the end of the attempt' })
    const { log } = await deliveryOf(id)
    expect(log).toMatchObject([{ status: 'unknown', nextAt: expect.any(Date) }])
    expect((log[0]?.nextAt?.getTime() ?? 0) - (log[0]?.at.getTime() ?? 0)).toBeGreaterThanOrEqual(60_000)
    expect(sink.mails).toHaveLength(1)
  })

  it('that never answers after the last byte gets no second copy unless a person asks for it', async () => {
    const sink = await mailSink()
    sink.beforeAnswer = (phase) => (phase === 'message' ? new Promise<void>(() => {}) : undefined)
    const { dispatcher } = await worker(sink, 60_000, 500)
    const id = await mail()
    dispatcher.wake()
    await until(async () => (await deliveryOf(id)).status === 'dead', { what: 'the end of the attempt' })
    expect(sink.mails).toHaveLength(1)
    expect(await deliveryOf(id)).toMatchObject({
      lastError: expect.stringContaining('may have arrived'),
      log: [{ status: 'unknown' }],
    })
    sink.beforeAnswer = () => undefined
    await domain.deliveries.retry(id)
    dispatcher.wake()
    await until(async () => (await deliveryOf(id)).status === 'sent', { what: 'the second copy' })
    expect(sink.mails).toHaveLength(2)
  })

  it('that is given up by the end of its lease before the last byte gets nothing more of it', async () => {
    const sink = await mailSink()
    let letOn = () => {}
    sink.beforeAnswer = (phase) => {
      if (phase !== 'recipient') return undefined
      return new Promise<void>((resolve) => {
        letOn = resolve
      })
    }
    const { dispatcher } = await worker(sink, 60_000)
    const id = await mail()
    dispatcher.wake()
    await until(async () => (await deliveryOf(id)).attempts === 1, { what: 'the attempt' })
    await owner.query(`UPDATE delivery SET leased_until = now() - interval '1 hour' WHERE id = $1`, [id])
    sink.beforeAnswer = () => undefined
    await until(
      async () => {
        letOn()
        return (await deliveryOf(id)).status === 'sent'
      },
      { timeout: 20_000, what: 'the second attempt' },
    )
    expect(sink.mails).toHaveLength(1)
    expect((await deliveryOf(id)).log.at(-1)).toMatchObject({ status: 'sent' })
  })
})

it('a webhook that was sent whole and not answered is recorded as such, and not repeated at once', async () => {
  const sink = await testSink()
  const { webhookEndpoints } = domain.ownVerbs(async () => true)
  const { endpoint } = await webhookEndpoints.create({ url: `${sink.url}hook`, kinds: ['pass'] })
  const { deliveryId } = await webhookEndpoints.test(endpoint.id)
  sink.answerAlways((response) => void response.destroy())
  const deliver = createDeliverer(domain, { backoff })
  expect(await deliver('webhook', deliveryId)).toEqual({ do: 'retry', inMs: 60_000 })
  expect(sink.requests).toHaveLength(1)
  expect(await deliveryOf(deliveryId)).toMatchObject({ status: 'failed', log: [{ status: 'unknown' }] })
})

it('a webhook whose receiver cannot be reached is tried again as soon as anything that failed', async () => {
  const { webhookEndpoints } = domain.ownVerbs(async () => true)
  const { endpoint } = await webhookEndpoints.create({ url: 'http://127.0.0.1:9/hook', kinds: ['pass'] })
  const { deliveryId } = await webhookEndpoints.test(endpoint.id)
  const deliver = createDeliverer(domain, { backoff })
  const outcome = await deliver('webhook', deliveryId)
  expect(outcome.do === 'retry' && outcome.inMs).toBeLessThan(30_000)
  expect((await deliveryOf(deliveryId)).log).toMatchObject([{ status: 'failed' }])
})
