import { fullestSecond, mailSink, until } from '@lapse/testkit'
import { expect, it } from 'vitest'
import { rootToken, sleepUntil, stage } from './stage.ts'

const count = 3_000
const rate = 100

it('G1, G2: thousands end at one instant: denied at once, expired once each, mailed at the limit; nothing else waits for them', async () => {
  const [app, sink] = [await stage(), await mailSink()]
  const { lapse, sql } = app
  const worker = await app.startWorker({ SMTP_URL: sink.url, LAPSE_MAIL_RATE: String(rate) })
  const api = await app.startApi()
  const ask = async (method: string, path: string) => {
    const answer = await fetch(`${api.url}${path}`, { method, headers: { authorization: `Bearer ${rootToken}` } })
    return (await answer.json()) as Record<string, unknown> & { items: unknown[] }
  }

  const end = new Date(Date.now() + 15_000)
  const ids: string[] = []
  for (let i = 0; i < count; i += 1_000) {
    const drafts = Array.from({ length: 1_000 }, (_, n) => ({
      kind: 'pass' as const,
      expiresAt: end,
      payload: { email: `person${i + n}@example.com` },
    }))
    ids.push(...(await lapse.issueAll(drafts)).map(({ id }) => id))
  }
  // Another kind, half a second into the burst; and one that somebody takes back by then.
  const other = await lapse.issue('lease', { expiresAt: new Date(end.getTime() + 500) })
  const lent = await lapse.issue('pass', { expiresIn: '1h' })
  expect(Date.now(), 'this machine is too busy to issue them in time').toBeLessThan(end.getTime())

  await sleepUntil(end, 1)
  const some = ids.filter((_, i) => i % 300 === 0)
  const checks = await Promise.all(some.map((id) => ask('POST', `/v1/resources/${id}/check`)))
  expect(checks.map(({ allowed, reason }) => [allowed, reason])).toEqual(some.map(() => [false, 'expired']))
  expect((await ask('GET', '/v1/resources?kind=pass&status=active')).items).toMatchObject([{ id: lent.id }])
  expect(await ask('POST', `/v1/resources/${lent.id}/revoke`)).toMatchObject({ status: 'revoked' })
  expect(await ask('POST', `/v1/resources/${lent.id}/check`)).toMatchObject({ allowed: false, reason: 'revoked' })

  const ended = async () => (await sql(`SELECT FROM event WHERE kind = 'pass' AND type = 'expired'`)).rows.length
  await until(async () => (await ended()) >= count, { timeout: 60_000, what: 'the end of them all' })
  const { latenessMs } = await app.happened(other.id, 'grace', 30_000)
  const { rows } = await sql(
    `SELECT count(*)::int AS events, count(DISTINCT e.resource_id)::int AS resources, min(e.lateness_ms)::int AS first,
      max(e.lateness_ms)::int AS last FROM event e WHERE e.kind = 'pass' AND e.type = 'expired'`,
  )
  expect(rows[0]).toMatchObject({ events: count, resources: count })
  expect(rows[0].first).toBeGreaterThanOrEqual(0)
  // It comes when its turn has, and neither mails nor those that came after it make it wait.
  expect(latenessMs).toBeLessThanOrEqual(Math.max(1_000, rows[0].last))

  await until(() => sink.mails.length >= 4 * rate, { timeout: 60_000, what: 'some seconds of mails' })
  const sent = [...sink.mails]
  expect(sent.length).toBeLessThan(count)
  expect(fullestSecond(sent)).toBeLessThanOrEqual(rate)
  expect(new Set(sent.map(({ messageId }) => messageId)).size).toBe(sent.length)
  await worker.stop()
  await api.stop()
}, 150_000)
