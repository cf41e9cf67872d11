import { fileURLToPath } from 'node:url'
import { fullestSecond, mailSink, type SunkMail, until } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { rootToken, stage } from './stage.ts'

type App = Awaited<ReturnType<typeof stage>>

/** So many mails that are due, and not in any queue: whoever starts finds them in the ledger. */
const owe = async (app: App, count: number): Promise<void> => {
  const drafts = Array.from({ length: count }, (_, i) => ({
    kind: 'pass' as const,
    expiresIn: '1h' as const,
    payload: { email: `person${i}@example.com` },
  }))
  for (let i = 0; i < count; i += 1_000) await app.lapse.issueAll(drafts.slice(i, i + 1_000))
  await app.sql(`UPDATE resource SET issued_at = issued_at - interval '1h', expires_at = expires_at - interval '1h',
    ends_at = ends_at - interval '1h', due_at = due_at - interval '1h'`)
}
const outstanding = async ({ lapse }: App): Promise<number> =>
  (await lapse.outstanding()).filter(({ channel }) => channel === 'email').reduce((sum, { count }) => sum + count, 0)
const allSent = (app: App) => until(async () => (await outstanding(app)) === 0, { timeout: 100_000, what: 'all mails' })
const perMessage = (mails: readonly SunkMail[]): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const { messageId } of mails) counts.set(messageId, (counts.get(messageId) ?? 0) + 1)
  return counts
}

describe('the mail rate', () => {
  it('G1: is not exceeded in any second, by two workers together, and what is tried again counts too', async () => {
    const [app, sink] = [await stage(), await mailSink()]
    await owe(app, 300)
    sink.refuse = ({ data }) => (data !== undefined && sink.seen.length % 10 === 0 ? 451 : undefined)
    const env = { SMTP_URL: sink.url, LAPSE_MAIL_RATE: '50' }
    const workers = [await app.startWorker(env), await app.startWorker(env)]
    await allSent(app)
    for (const worker of workers) await worker.stop()
    expect(perMessage(sink.mails).size).toBe(300)
    expect(sink.mails).toHaveLength(300)
    expect(sink.seen.length).toBeGreaterThan(300)
    expect(fullestSecond(sink.seen)).toBeLessThanOrEqual(50)
  }, 120_000)
})

describe('a worker that is killed between the acceptance of a mail and its note of it', () => {
  it.each([
    [1, 6],
    [10, 3],
  ])(
    'leaves at most %i to be sent again, %i times: nothing is lost, and copies have one Message-ID',
    async (most, kills) => {
      const [app, sink] = [await stage(), await mailSink()]
      await owe(app, 300)
      const env = { SMTP_URL: sink.url, LAPSE_MAIL_COPIES: String(most), LAPSE_MAIL_RATE: '1000' }
      for (let kill = 1; kill <= kills; kill++) {
        let accepted = 0
        const worker = await app.startWorker(env)
        await new Promise<void>((resolve) => {
          sink.onMail = () => {
            if (++accepted !== 5 * kill) return
            // Now: accepted, and its sender has not heard of that.
            process.kill(worker.pid, 'SIGKILL')
            resolve()
          }
        })
        await worker.kill()
        sink.onMail = () => {}
        // As if the leases had run out, and as if Redis had forgotten the jobs that the dead worker holds.
        await app.sql(`UPDATE delivery SET leased_until = NULL WHERE leased_until IS NOT NULL`)
        await app.lapse.queues.email.obliterate({ force: true })
      }
      const worker = await app.startWorker(env)
      await allSent(app)
      await worker.stop()
      const copies = [...perMessage(sink.mails).values()]
      expect(copies).toHaveLength(300)
      expect(sink.mails.length - 300).toBeGreaterThan(0)
      expect(sink.mails.length - 300).toBeLessThanOrEqual(kills * most)
      const { rows } = await app.sql(`SELECT id, count(*) OVER () AS n FROM delivery WHERE status = 'sent'`)
      expect(rows).toHaveLength(300)
      expect(new Set(rows.map(({ id }) => `<${id}@localhost>`))).toEqual(new Set(perMessage(sink.mails).keys()))
    },
    120_000,
  )
})

describe('mails of the application', () => {
  it('are owed by the API and written by the worker; a mistake in one is told by its name, and tried again', async () => {
    const app = await stage()
    const env = { LAPSE_CONFIG: fileURLToPath(new URL('./templates.config.ts', import.meta.url)) }
    const [api, worker] = [await app.startApi(env), await app.startWorker(env)]
    const post = async (path: string, body: object) => {
      const headers = { authorization: `Bearer ${rootToken}`, 'content-type': 'application/json' }
      const answer = await fetch(`${api.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
      return (await answer.json()) as { id: string }
    }
    const [mine, broken] = [
      await post('/v1/trials', { email: 'mine@example.com' }),
      await post('/v1/trials', { email: 'broken@example.com', plan: 'gold' }),
    ]
    await post(`/v1/resources/${mine.id}/revoke`, {})
    await post(`/v1/resources/${broken.id}/expire`, {})
    const mail = await app.inbox.waitForMail()
    expect([mail.to, mail.subject]).toEqual([['mine@example.com'], 'Your trial has been revoked'])
    const failed = await until(
      async () => (await app.lapse.deliveries.list({ resourceId: broken.id, status: 'failed' }))[0],
    )
    expect(failed?.lastError).toBe('The mail template trial.expired failed: there is no plan gold')
    await Promise.all([api.stop(), worker.stop()])
  })
})
