import { describe, expect, it } from 'vitest'
import { sleepUntil, stage } from './stage.ts'

const fiveMinutes = 300_000

describe('clock', () => {
  it('C1 without a worker, looked at just after its end: denied, every read says expired, and the side effects come once', async () => {
    const app = await stage()
    const email = 'c1@example.com'
    const reference = 'c1'
    const { id, endsAt } = await app.lapse.issue('pass', { reference, expiresIn: '1s', payload: { email } })
    await sleepUntil(endsAt, 1)
    expect((await app.lapse.get(id)).status).toBe('expired')
    expect(await app.lapse.list({ status: 'expired' })).toHaveLength(1)
    expect(await app.lapse.check('pass', id)).toMatchObject({ allowed: false, reason: 'expired' })
    expect(await app.lapse.check('pass', { reference })).toMatchObject({ allowed: false, reason: 'expired' })
    expect(await app.lapse.consume('pass', id)).toMatchObject({ consumed: false, reason: 'expired' })
    expect((await app.story(id)).map((event) => [event.type, event.trigger])).toEqual([
      ['issued', 'manual'],
      ['expired', 'lazy'],
    ])
    const worker = await app.startWorker()
    await app.inbox.waitForMail((mail) => mail.to.includes(email))
    await worker.stop()
    expect(app.mailsTo(email)).toEqual(['pass expired'])
  })

  for (const [side, offset] of [
    ['ahead', fiveMinutes],
    ['behind', -fiveMinutes],
  ] as const)
    it(`C2 with the worker's clock five minutes ${side} the database's decides: nothing early, nothing late`, async () => {
      const app = await stage()
      const worker = await app.startWorker({}, offset)
      const { id } = await app.lapse.issue('pass', { expiresIn: '4s' })
      const expired = await app.happened(id, 'expired')
      expect(expired.latenessMs).toBeGreaterThanOrEqual(0)
      expect(expired.latenessMs).toBeLessThan(2_500)
      expect(worker.output()).toMatch(new RegExp(`clock is \\d+ ms ${side}`))
      await worker.stop()
    })
})
