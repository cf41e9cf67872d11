import type { TestProcess } from '@lapse/testkit'
import { LapseError } from 'lapse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sleepUntil, stage } from './stage.ts'

describe('renewal', () => {
  let app: Awaited<ReturnType<typeof stage>>
  let worker: TestProcess

  beforeAll(async () => {
    app = await stage()
    worker = await app.startWorker()
  })
  afterAll(() => worker.stop())

  it('B1 renewed just before its end it does not end then, and ends once at its new end', async () => {
    const { id, endsAt } = await app.lapse.issue('pass', { expiresIn: '2500ms' })
    await sleepUntil(endsAt, -1_000)
    const renewed = await app.lapse.renew('pass', id, { expiresIn: '3s' })
    await sleepUntil(endsAt, 100)
    expect((await app.lapse.get(id)).status).toBe('active')
    const expired = await app.happened(id, 'expired')
    expect(expired.at.getTime()).toBeGreaterThanOrEqual(renewed.endsAt.getTime())
    expect((await app.story(id)).map((event) => event.type)).toEqual(['issued', 'renewed', 'expired'])
  })

  it('B2 renewed around the end, 50 at a time, each is either renewed or expired, never both, with no mail for the survivors', async () => {
    const drafts = Array.from({ length: 50 }, (_, i) => ({
      kind: 'pass' as const,
      expiresIn: 2_500,
      payload: { email: `b2-${i}@example.com` },
    }))
    const issued = await app.lapse.issueAll(drafts)
    const end = issued[0]?.endsAt ?? new Date()
    const outcomes = await Promise.all(
      issued.map(async ({ id }, i) => {
        await sleepUntil(end, (i - 40) * 25)
        return app.lapse.renew('pass', id, { expiresIn: '1h' }).then(
          () => 'renewed',
          (error) => (error instanceof LapseError && error.status === 409 ? 'expired' : error),
        )
      }),
    )
    expect(new Set(outcomes)).toEqual(new Set(['renewed', 'expired']))
    for (const [i, { id }] of issued.entries()) {
      if (outcomes[i] === 'expired') await app.inbox.waitForMail((mail) => mail.to.includes(`b2-${i}@example.com`))
      // A timer that was fetched before the renewal and got its turn after it finds the other version.
      const types = (await app.story(id)).map((event) => event.type).filter((type) => type !== 'timer-stale')
      expect(types).toEqual(['issued', outcomes[i]])
      expect((await app.lapse.get(id)).status).toBe(outcomes[i] === 'renewed' ? 'active' : 'expired')
    }
    const survivors = issued.flatMap((_, i) => (outcomes[i] === 'renewed' ? [`b2-${i}@example.com`] : []))
    expect(survivors.flatMap(app.mailsTo)).toEqual([])
  })

  it('B3 renewed after its expiry, revocation or use it stays ended', async () => {
    const [expired, revoked, used] = await app.lapse.issueAll(
      [1, 2, 3].map(() => ({ kind: 'pass' as const, expiresIn: '1h' as const })),
    )
    await app.lapse.expire('pass', expired?.id ?? '')
    await app.lapse.revoke('pass', revoked?.id ?? '')
    await app.lapse.consume('pass', used?.id ?? '')
    for (const { id } of [expired, revoked, used].filter((resource) => resource !== undefined)) {
      const before = await app.lapse.get(id)
      await expect(app.lapse.renew('pass', id, { expiresIn: '1h' })).rejects.toMatchObject({
        code: 'already_ended',
        status: 409,
      })
      expect(await app.lapse.get(id)).toEqual({ ...before, seenAt: expect.any(Date) })
      expect(await app.timers(id)).toEqual([])
    }
  })

  it('B4 shortened, it fires earlier', async () => {
    const { id } = await app.lapse.issue('pass', { expiresIn: '400d' })
    const { endsAt } = await app.lapse.renew('pass', id, { expiresAt: new Date(Date.now() + 1_500) })
    const expired = await app.happened(id, 'expired')
    expect(expired.latenessMs).toBe(expired.at.getTime() - endsAt.getTime())
    expect(app.lateness(expired)).toBeLessThan(1_000)
  })

  it('B5 five renewals leave one expire job and one of each reminder, at their true time', async () => {
    const { id } = await app.lapse.issue('lease', { expiresIn: '1h' })
    for (let i = 0; i < 4; i++) await app.lapse.renew('lease', id, { expiresIn: '2h' })
    const { expiresAt } = await app.lapse.renew('lease', id, { expiresIn: '3h' })
    expect(await app.timers(id)).toEqual([`${id}-expire-v6`, `${id}-remind-1-v6`, `${id}-remind-2-v6`])
    const job = await app.lapse.queues.timers.getJob(`${id}-expire-v6`)
    expect((job?.timestamp ?? 0) + (job?.delay ?? 0)).toBe(expiresAt.getTime())
  })

  it('B6 issued again with the same reference after its end, it ends again', async () => {
    const reference = 'customer-6'
    const first = await app.lapse.issue('pass', { reference, expiresIn: '1s' })
    await app.happened(first.id, 'expired')
    const second = await app.lapse.issue('pass', { reference, expiresIn: '1s' })
    expect(second.id).not.toBe(first.id)
    await app.happened(second.id, 'expired')
    expect(await app.lapse.check('pass', { reference })).toMatchObject({ allowed: false, reason: 'expired' })
  })

  it("B7 renewed past the kind's maximum life it is refused, and the answer says how far it may go", async () => {
    const { id, issuedAt } = await app.lapse.issue('trial', { expiresIn: '50d' })
    const latest = new Date(issuedAt.getTime() + 60 * 86_400_000)
    const tooLate = new Date(latest.getTime() + 1_000)
    await expect(app.lapse.renew('trial', id, { expiresAt: tooLate })).rejects.toMatchObject({
      code: 'lifetime_too_long',
      detail: expect.stringContaining(latest.toISOString()),
    })
    expect((await app.lapse.renew('trial', id, { expiresAt: latest })).expiresAt).toEqual(latest)
  })

  it('B8 revoked or used it leaves no timer behind, and nothing happens at its old end', async () => {
    const revoked = await app.lapse.issue('pass', { expiresIn: '1s' })
    await app.lapse.revoke('pass', revoked.id)
    const used = await app.lapse.issue('pass', { expiresIn: '1s' })
    await app.lapse.consume('pass', used.id)
    expect([...(await app.timers(revoked.id)), ...(await app.timers(used.id))]).toEqual([])
    await sleepUntil(used.endsAt, 100)
    await app.lapse.engine({ onError: () => {} }).sweep()
    expect((await app.story(revoked.id)).map((event) => event.type)).toEqual(['issued', 'revoked'])
    expect((await app.story(used.id)).map((event) => event.type)).toEqual(['issued', 'consumed'])
  })
})
