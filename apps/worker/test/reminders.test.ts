import { type TestProcess, until } from '@lapse/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sleepUntil, stage } from './stage.ts'

describe('reminders', () => {
  let app: Awaited<ReturnType<typeof stage>>

  beforeAll(async () => {
    app = await stage()
  })

  it('F2 a two-day resource has no reminder at T-3d, a one-hour resource has none', async () => {
    const [twoDays, oneHour, long] = await app.lapse.issueAll(
      (['2d', '1h', '10d'] as const).map((expiresIn) => ({ kind: 'trial' as const, expiresIn })),
    )
    expect(await app.timers(twoDays?.id ?? '')).toEqual([`${twoDays?.id}-expire-v1`, `${twoDays?.id}-remind-86400-v1`])
    expect(await app.timers(oneHour?.id ?? '')).toEqual([`${oneHour?.id}-expire-v1`])
    const job = await app.lapse.queues.timers.getJob(`${long?.id}-remind-259200-v1`)
    expect((job?.timestamp ?? 0) + (job?.delay ?? 0)).toBe((long?.expiresAt.getTime() ?? 0) - 3 * 86_400_000)
  })

  it('F4 with workers down across both reminders at most one goes out, with the time that really remains', async () => {
    const email = 'f4@example.com'
    const { id } = await app.lapse.issue('trial', { expiresIn: '10d', payload: { email } })
    // As if nine days and four hours had passed with nobody there: T-3d and T-1d are both missed.
    await app.sql(
      `UPDATE resource SET issued_at = issued_at - d, expires_at = expires_at - d, ends_at = ends_at - d, due_at = due_at - d
       FROM (SELECT interval '9 days 4 hours' AS d) AS passed WHERE id = $1`,
      [id],
    )
    const worker = await app.startWorker()
    const reminded = await app.happened(id, 'reminded')
    await app.inbox.waitForMail((mail) => mail.to.includes(email))
    await until(async () => (await app.lapse.overdue()).length === 0, { what: 'nothing to be due' })
    await worker.stop()
    // It is the reminder of T-1d, four hours late.
    expect(reminded.latenessMs).toBeGreaterThan(4 * 3_600_000 - 60_000)
    expect(reminded.latenessMs).toBeLessThan(5 * 3_600_000)
    expect((await app.story(id)).map((event) => event.type)).toEqual(['issued', 'reminded'])
    expect(app.mailsTo(email)).toEqual(['Your trial of our product ends in 20 hours'])
  })

  it('F4 with workers down past the end no reminder goes out at all', async () => {
    const email = 'f4-late@example.com'
    const { id, endsAt } = await app.lapse.issue('lease', { expiresIn: '2500ms', grace: 0, payload: { email } })
    await sleepUntil(endsAt, 50)
    const worker = await app.startWorker()
    await app.inbox.waitForMail((mail) => mail.subject === 'lease expired' && mail.to.includes(email))
    await worker.stop()
    expect((await app.story(id)).map((event) => event.type)).toEqual(['issued', 'expired'])
    expect(app.mailsTo(email)).toEqual(['lease expired'])
  })
})

describe('reminders with two workers', () => {
  let app: Awaited<ReturnType<typeof stage>>
  let workers: TestProcess[]

  beforeAll(async () => {
    app = await stage()
    workers = await Promise.all([app.startWorker(), app.startWorker()])
  })
  afterAll(() => Promise.all(workers.map((worker) => worker.stop())))

  it('F1 both reminders, the grace and the end are told once each, by mail, in order', async () => {
    const email = 'f1@example.com'
    const { id } = await app.lapse.issue('lease', { expiresIn: '3s', payload: { email } })
    await app.inbox.waitForMail((mail) => mail.subject === 'lease expired' && mail.to.includes(email))
    expect((await app.story(id)).map((event) => event.type)).toEqual([
      'issued',
      'reminded',
      'reminded',
      'grace',
      'expired',
    ])
    expect(app.mailsTo(email)).toEqual([
      'lease reminder: 2 seconds',
      'lease reminder: a second',
      'lease in grace',
      'lease expired',
    ])
    expect(new Set(app.inbox.mails.map((mail) => mail.messageId)).size).toBe(app.inbox.mails.length)
  })

  it('F3 renewed after the first reminder, the old second one is silent and the new set runs once', async () => {
    const email = 'f3@example.com'
    const { id } = await app.lapse.issue('lease', { expiresIn: '4s', grace: 0, payload: { email } })
    await app.inbox.waitForMail((mail) => mail.to.includes(email))
    await app.lapse.renew('lease', id, { expiresIn: '4s' })
    await app.inbox.waitForMail((mail) => mail.subject === 'lease expired' && mail.to.includes(email))
    const story = await app.story(id)
    expect(story.map((event) => [event.type, event.version])).toEqual([
      ['issued', 1],
      ['reminded', 1],
      ['renewed', 2],
      ['reminded', 2],
      ['reminded', 2],
      ['expired', 2],
    ])
    expect(app.mailsTo(email).filter((subject) => subject.startsWith('lease reminder'))).toHaveLength(3)
  })

  it('F3 consumed or revoked before its reminders, it is silent', async () => {
    const email = 'f3-silent@example.com'
    const consumed = await app.lapse.issue('lease', { expiresIn: '2500ms', payload: { email } })
    const revoked = await app.lapse.issue('lease', { expiresIn: '2500ms', payload: { email } })
    await app.lapse.consume('lease', consumed.id)
    await app.lapse.revoke('lease', revoked.id)
    await sleepUntil(revoked.endsAt, 100)
    expect(await app.timers(consumed.id)).toEqual([])
    expect((await app.story(consumed.id)).map((event) => event.type)).toEqual(['issued', 'consumed'])
    expect((await app.story(revoked.id)).map((event) => event.type)).toEqual(['issued', 'revoked'])
    expect(app.mailsTo(email)).toEqual([])
  })

  it('F3 a reminder that waits in the mail queue when its resource is renewed is cancelled, not sent', async () => {
    const email = 'f3-waiting@example.com'
    app.inbox.failNext(1)
    const { id } = await app.lapse.issue('lease', { expiresIn: '2500ms', payload: { email } })
    await until(async () => (await app.lapse.deliveries.list({ resourceId: id, status: 'failed' }))[0], {
      what: 'the failed try',
    })
    await app.lapse.renew('lease', id, { expiresIn: '1h' })
    const cancelled = await until(
      async () => (await app.lapse.deliveries.list({ resourceId: id, status: 'cancelled' }))[0],
      { what: 'the cancelled reminder' },
    )
    expect(cancelled.lastError).toBe('overtaken by a renewal or an end')
    expect(app.mailsTo(email)).toEqual([])
  })

  it('E1 in grace it is allowed and flagged with the end of grace, after it denied, with one event each way', async () => {
    const { id, expiresAt, endsAt } = await app.lapse.issue('lease', { expiresIn: '1s' })
    await app.happened(id, 'grace')
    expect(await app.lapse.check('lease', id)).toMatchObject({
      allowed: true,
      phase: 'grace',
      resource: { status: 'grace', expiresAt, endsAt },
    })
    await sleepUntil(endsAt, 1)
    expect(await app.lapse.check('lease', id)).toMatchObject({ allowed: false, reason: 'expired' })
    await app.happened(id, 'expired')
    expect((await app.story(id)).map((event) => [event.type, event.from, event.to])).toEqual([
      ['issued', null, 'active'],
      ['grace', 'active', 'grace'],
      ['expired', 'grace', 'expired'],
    ])
  })

  it('E1 without grace it is denied at its end', async () => {
    const { id, expiresAt } = await app.lapse.issue('lease', { expiresIn: '1s', grace: 0 })
    await sleepUntil(expiresAt, 1)
    expect(await app.lapse.check('lease', id)).toMatchObject({ allowed: false, reason: 'expired' })
  })

  it('E2 renewed in grace it is active and has no final event; revoked in grace it is denied at once', async () => {
    const [renewed, revoked] = await app.lapse.issueAll(
      [1, 2].map(() => ({ kind: 'lease' as const, expiresIn: '1s' as const })),
    )
    await Promise.all([app.happened(renewed?.id ?? '', 'grace'), app.happened(revoked?.id ?? '', 'grace')])
    expect(await app.lapse.renew('lease', renewed?.id ?? '', { expiresIn: '1h' })).toMatchObject({
      status: 'active',
      version: 2,
    })
    await app.lapse.revoke('lease', revoked?.id ?? '')
    expect(await app.lapse.check('lease', revoked?.id ?? '')).toMatchObject({ allowed: false, reason: 'revoked' })
    await sleepUntil(renewed?.endsAt ?? new Date(), 200)
    // The alarm may have been before the job, which then comes to what has been renewed, and is recorded.
    const story = async (id = '') =>
      (await app.story(id)).map(({ type }) => type).filter((type) => type !== 'timer-stale')
    expect(await story(renewed?.id)).toEqual(['issued', 'grace', 'renewed'])
    expect(await story(revoked?.id)).toEqual(['issued', 'grace', 'revoked'])
  })
})
