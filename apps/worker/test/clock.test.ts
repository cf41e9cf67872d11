import { describe, expect, it } from 'vitest'
import { rootToken, sleepUntil, stage } from './stage.ts'

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
      expect(app.lateness(expired)).toBeLessThan(2_500)
      expect(worker.output()).toMatch(new RegExp(`clock is \\d+ ms ${side}`))
      await worker.stop()
    })

  for (const [side, offset] of [
    ['ahead', fiveMinutes],
    ['behind', -fiveMinutes],
  ] as const)
    it(`C2 with the API's clock five minutes ${side} the database's decides, of the issue, the timer and the answer`, async () => {
      const app = await stage()
      const [worker, api] = [await app.startWorker(), await app.startApi({}, offset)]
      const call = async (path: string, body?: object) => {
        const headers = { authorization: `Bearer ${rootToken}`, ...(body && { 'content-type': 'application/json' }) }
        const answer = await fetch(`${api.url}/v1/resources${path}`, {
          ...{ method: 'POST', headers },
          ...(body && { body: JSON.stringify(body) }),
        })
        return (await answer.json()) as Record<string, string>
      }
      const { id = '', issued_at = '', expires_at = '' } = await call('', { kind: 'pass', expires_in: 2 })
      expect(Math.abs(Date.parse(issued_at) - Date.now())).toBeLessThan(60_000)
      expect(Date.parse(expires_at) - Date.parse(issued_at)).toBe(2_000)
      expect(await call(`/${id}/check`)).toMatchObject({ allowed: true })
      const expired = await app.happened(id, 'expired')
      expect(expired).toMatchObject({ trigger: 'job' })
      expect(app.lateness(expired)).toBeLessThan(1_000)
      expect(await call(`/${id}/check`)).toMatchObject({ allowed: false, reason: 'expired' })
      await Promise.all([worker.stop(), api.stop()])
    })
})
