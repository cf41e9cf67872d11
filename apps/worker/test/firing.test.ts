import { type TestProcess, until } from '@lapse/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sleepUntil, stage } from './stage.ts'

describe('firing', () => {
  let app: Awaited<ReturnType<typeof stage>>
  let worker: TestProcess

  beforeAll(async () => {
    app = await stage()
    worker = await app.startWorker()
  })
  afterAll(() => worker.stop())

  it('A1 a lifetime shortened from an hour ends between +0 and +1 s of its new end, with one event', async () => {
    const { id } = await app.lapse.issue('pass', { expiresIn: '1h' })
    const renewed = await app.lapse.renew('pass', id, { expiresIn: '2s' })
    const expired = await app.happened(id, 'expired')
    expect(expired.at.getTime() - renewed.endsAt.getTime()).toBe(expired.latenessMs)
    expect(expired.latenessMs).toBeGreaterThanOrEqual(0)
    expect(app.lateness(expired)).toBeLessThan(1_000)
    expect(expired.trigger).toBe('job')
    expect((await app.story(id)).map((event) => event.type)).toEqual(['issued', 'renewed', 'expired'])
  })

  it('ends at its instant though the queue hands out nothing: the worker has an alarm of its own', async () => {
    const { timers } = app.lapse.queues
    await timers.pause()
    const { id } = await app.lapse.issue('pass', { expiresIn: '3s' })
    expect(await app.happened(id, 'expired')).toMatchObject({ trigger: 'job' })
    await timers.resume()
  })

  it('A5 the same expire job run three times makes one transition, one mail, one event', async () => {
    const email = 'a5@example.com'
    const { id, kind, version } = await app.lapse.issue('pass', { expiresIn: '1s', payload: { email } })
    await app.happened(id, 'expired')
    await app.inbox.waitForMail((mail) => mail.to.includes(email))
    const forged = [1, 2, 3].map((n) => ({
      name: 'expire',
      data: { id, kind, version },
      opts: { jobId: `forged-${n}-${id}` },
    }))
    await app.lapse.queues.timers.addBulk(forged)
    await until(async () => (await app.lapse.queues.timers.getJobCountByTypes('waiting', 'active')) === 0, {
      what: 'the jobs to be done',
    })
    expect((await app.story(id)).map((event) => event.type)).toEqual(['issued', 'expired'])
    expect(await app.lapse.deliveries.list({ resourceId: id })).toHaveLength(1)
    expect(app.mailsTo(email)).toEqual(['pass expired'])
  })

  it('A6 a job promoted before its time changes nothing: still active, ends at its end, and the early wake-up is recorded', async () => {
    const { id, endsAt } = await app.lapse.issue('pass', { expiresIn: '3s' })
    const job = await app.lapse.queues.timers.getJob(`${id}-expire-v1`)
    await job?.promote()
    const early = await app.happened(id, 'timer-early')
    expect(early.reason).toMatch(/woken \d+ ms before its time/)
    expect((await app.lapse.get(id)).status).toBe('active')
    const expired = await app.happened(id, 'expired')
    expect(expired.at.getTime()).toBeGreaterThanOrEqual(endsAt.getTime())
    expect(expired.trigger).toBe('job')
  })

  it('a forged job for what does not exist, of another version or another shape is dropped, and the worker goes on', async () => {
    const { id } = await app.lapse.issue('pass', { expiresIn: '1h' })
    await app.lapse.queues.timers.addBulk([
      { name: 'expire', data: { id: '00000000-0000-7000-8000-000000000000', kind: 'pass', version: 1 } },
      { name: 'expire', data: { id, kind: 'pass', version: 7 } },
      { name: 'destroy', data: { id, kind: 'pass', version: 1 } },
      { name: 'expire', data: { id: "'; DROP TABLE resource; --", kind: 'pass', version: 1 } },
      { name: 'expire', data: 'nonsense' },
    ])
    expect((await app.happened(id, 'timer-stale')).reason).toMatch(/version 7.*version 1/)
    const next = await app.lapse.issue('pass', { expiresIn: '1s' })
    await app.happened(next.id, 'expired')
    expect((await app.lapse.get(id)).status).toBe('active')
    await until(async () => (await app.lapse.queues.timers.getJobCountByTypes('waiting', 'active')) === 0, {
      what: 'the forged jobs to be gone',
    })
  })
})

describe('firing without workers', () => {
  it('A2 with workers down across the end it is denied from then on, and after the start it expires once, with its mail', async () => {
    const app = await stage()
    const email = 'a2@example.com'
    const { id, endsAt } = await app.lapse.issue('pass', { expiresIn: '1s', payload: { email } })
    await sleepUntil(endsAt, 20)
    expect((await app.lapse.get(id)).status).toBe('expired')
    expect(await app.lapse.count({ kind: 'pass', live: true })).toBe(0)
    const worker = await app.startWorker()
    const expired = await app.happened(id, 'expired', 10_000)
    expect(expired.trigger).toMatch(/sweep|job/)
    await app.inbox.waitForMail((mail) => mail.to.includes(email))
    await worker.stop()
    expect((await app.story(id)).map((event) => event.type)).toEqual(['issued', 'expired'])
    expect(app.mailsTo(email)).toHaveLength(1)
  })
})
