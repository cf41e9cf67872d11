import { createSocket } from 'node:dgram'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, mailSink, makeDue, type SinkAnswer, type TestSink, testSink, until } from '@lapse/testkit'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { stage } from './stage.ts'

const folder = mkdtempSync(join(tmpdir(), 'lapse-neighbours-'))
afterAll(() => rmSync(folder, { recursive: true }))

type Stage = Awaited<ReturnType<typeof stage>>
type Noisy = Awaited<ReturnType<typeof endpointOf>>

/** Longer than an attempt may hang (15 s): whoever waits for one that does arrives after it has ended. */
const patienceMs = 25_000
const many = 200

/** Hangs with what it has begun, so it is killed. */
const workerOf = async (app: Stage, env: Record<string, string> = {}): Promise<void> => {
  const worker = await app.startWorker(env)
  onTestFinished(() => worker.kill())
}

/** So many events of an organization, for an endpoint of its own. */
const endpointOf = async ({ lapse }: Stage, url: string) => {
  const { id: organization } = await lapse.organizations.create({ name: 'Acme' })
  const { endpoint } = await lapse.webhookEndpoints.create({ url, organization, kinds: ['pass'], events: ['issued'] })
  const issue = (count: number) =>
    lapse.issueAll(
      Array.from({ length: count }, () => ({ kind: 'pass' as const, organization, expiresIn: '1d' as const })),
    )
  const deliveries = async () =>
    (await lapse.deliveries.list({ target: endpoint.id }, { limit: 200 })).map(({ id }) => id)
  return { id: endpoint.id, issue, deliveries }
}

/** How many attempts of a channel, to these targets, have ended and not been sent. */
const endedAttempts = async ({ sql }: Stage, targets: readonly string[], channel: string): Promise<number> => {
  const { rows } = await sql(
    `SELECT count(*)::int AS n FROM delivery_attempt a JOIN delivery d ON d.id = a.delivery_id
    WHERE d.channel = $2::lapse_channel AND d.target = ANY ($1) AND a.duration_ms IS NOT NULL AND a.status <> 'sent'`,
    [targets, channel],
  )
  return rows[0].n
}

describe('K1: 200 events for a webhook receiver that never answers', () => {
  type Noise = (app: Stage, noisy: Noisy, silent: TestSink) => Promise<unknown>
  /** All of them taken, and written down as that. */
  const taken: Noise = async ({ sql }, noisy) => {
    await noisy.issue(many)
    const sent = `SELECT count(*)::int AS n FROM delivery WHERE target = $1 AND status = 'sent'`
    await until(async () => (await sql(sent, [noisy.id])).rows[0].n === many, {
      timeout: 60_000,
      what: 'all to be sent',
    })
  }
  let hanging = 0
  const hangs: SinkAnswer = () => void hanging++
  const noise: Record<string, Noise> = {
    'tried for the first time': async (_, noisy, silent) => {
      silent.answerAlways(hangs)
      await noisy.issue(many)
    },
    'tried again': async ({ sql }, noisy, silent) => {
      silent.answerAlways(500)
      await noisy.issue(many)
      const tried = `SELECT count(*)::int AS n FROM delivery WHERE target = $1 AND attempts > 0 AND leased_until IS NULL`
      await until(async () => (await sql(tried, [noisy.id])).rows[0].n > 0, { what: 'first tries that failed' })
      silent.answerAlways(hangs)
      await makeDue(sql, await noisy.deliveries())
    },
    'given up and retried by hand': async (app, noisy, silent) => {
      await taken(app, noisy, silent)
      await app.sql(`UPDATE delivery SET status = 'dead' WHERE target = $1`, [noisy.id])
      silent.answerAlways(hangs)
      await app.lapse.deliveries.retryDead({ target: noisy.id })
    },
    replayed: async (app, noisy, silent) => {
      await taken(app, noisy, silent)
      silent.answerAlways(hangs)
      await app.lapse.webhookEndpoints.replay(noisy.id, { since: new Date(Date.now() - 3_600_000) })
    },
  }

  for (const [how, begin] of Object.entries(noise))
    it(`${how}: another endpoint's webhook goes out while they hang`, { timeout: 90_000 }, async () => {
      const app = await stage()
      const [silent, taking] = await Promise.all([testSink({ host: '127.0.0.2' }), testSink()])
      const noisy = await endpointOf(app, `${silent.url}hook`)
      const quiet = await endpointOf(app, `${taking.url}hook`)
      await workerOf(app, { LAPSE_SWEEP_SECONDS: '1' })
      hanging = 0
      await begin(app, noisy, silent)
      // Where their circuit breaker is open this is its next probe.
      await until(() => hanging > 0, { timeout: 40_000, what: 'one that hangs' })
      const failed = await endedAttempts(app, [noisy.id], 'webhook')
      const [issued] = await quiet.issue(1)
      const arrived = await taking.waitForRequest(({ body }) => body.includes(issued?.id ?? '-'), patienceMs)
      expect(arrived).toBeDefined()
      // Not that they had to end for it: on a busy machine some come to their timeout meanwhile.
      expect((await endedAttempts(app, [noisy.id], 'webhook')) - failed).toBeLessThan(many / 2)
    })
})

describe('K1: the same', () => {
  it('of calls by host: a call to another host is made while 200 hang', { timeout: 90_000 }, async () => {
    const app = await stage()
    const [silent, taking] = await Promise.all([testSink({ host: '127.0.0.2' }), testSink()])
    silent.answerAlways(() => {})
    await workerOf(app)
    const ids: string[] = []
    for (let i = 0; i < many; i++)
      ids.push((await app.lapse.httpCalls.schedule({ url: `${silent.url}call`, expiresInMs: 1_000 })).httpCall.id)
    await until(() => silent.requests.length > 0, { what: 'a call that hangs' })
    await app.lapse.httpCalls.schedule({ url: `${taking.url}call`, expiresInMs: 1_000 })
    await taking.waitForRequest(() => true, patienceMs)
    const { rows } = await app.sql(
      `SELECT count(*)::int AS n FROM delivery_attempt a JOIN delivery d ON d.id = a.delivery_id
      WHERE d.resource_id = ANY ($1) AND a.duration_ms IS NOT NULL`,
      [ids],
    )
    // Not that they had to end for it: on a busy machine some come to their timeout meanwhile.
    expect(rows[0].n).toBeLessThan(many / 2)
  })

  it("of handlers by kind: another kind's handler runs while 200 hang", { timeout: 90_000 }, async () => {
    const app = await stage()
    const log = join(folder, 'handlers.log')
    writeFileSync(log, '')
    const called = (ids: readonly string[]) =>
      readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => ids.some((id) => line.includes(id)))
    await workerOf(app, { HANDLER_LOG: log })
    const noisy = await app.lapse.issueAll(
      Array.from({ length: many }, () => ({ kind: 'vigil' as const, expiresIn: '1s' as const })),
    )
    const ids = noisy.map(({ id }) => id)
    await until(() => called(ids).length > 0, { what: 'a handler that hangs' })
    const { id } = await app.lapse.issue('errand', { expiresIn: '1s' })
    await until(() => called([id]).length > 0, { timeout: patienceMs, what: "the other kind's handler" })
    const { rows } = await app.sql(
      `SELECT count(*)::int AS n FROM delivery_attempt a JOIN delivery d ON d.id = a.delivery_id
      WHERE d.resource_id = ANY ($1) AND a.duration_ms IS NOT NULL`,
      [ids],
    )
    // Not that they had to end for it: on a busy machine some come to their timeout meanwhile.
    expect(rows[0].n).toBeLessThan(many / 2)
  })

  it('of names that are not resolved: another webhook goes out while 20 of them are asked for', {
    timeout: 90_000,
  }, async () => {
    const app = await stage()
    let asked = 0
    const silent = createSocket('udp4', () => {
      asked += 1
    })
    await new Promise<void>((resolve) => silent.bind(0, '127.0.0.1', resolve))
    afterAll(() => void silent.close())
    const taking = await testSink()
    const { id: organization } = await app.lapse.organizations.create({ name: 'Slow' })
    const slow = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const url = `https://host-${i}.slow.example/hook`
        return (await app.lapse.webhookEndpoints.create({ url, organization, events: ['issued'] })).endpoint.id
      }),
    )
    const quiet = await endpointOf(app, `${taking.url}hook`)
    await workerOf(app, {
      NODE_OPTIONS: `--import=${fileURLToPath(new URL('../../../scripts/private-names.mjs', import.meta.url))}`,
      PRIVATE_NAME_SERVER: `127.0.0.1:${silent.address().port}`,
    })
    await app.lapse.issueAll(
      Array.from({ length: 10 }, () => ({ kind: 'pass' as const, organization, expiresIn: '1d' as const })),
    )
    await until(() => asked > 0, { what: 'a question for a name' })
    const before = await endedAttempts(app, slow, 'webhook')
    await quiet.issue(1)
    await taking.waitForRequest(() => true, patienceMs)
    // Some may have ended meanwhile: no more than were under way for one of the organization at a time.
    expect((await endedAttempts(app, slow, 'webhook')) - before).toBeLessThan(many / 2)
  })
})

it('K2: a sign-in mail overtakes thousands of notices at a mail server that takes 300 ms', {
  timeout: 120_000,
}, async () => {
  const notices = 3_000
  const [app, sink] = [await stage(), await mailSink({ acceptMs: 300 })]
  await workerOf(app, { SMTP_URL: sink.url, LAPSE_SWEEP_SECONDS: '1' })
  const ids: string[] = []
  for (let i = 0; i < notices; i += 1_000) {
    const drafts = Array.from({ length: 1_000 }, (_, n) => ({
      ...{ kind: 'pass' as const, expiresIn: '1d' as const },
      payload: { email: `notice-${i + n}@example.com` },
    }))
    ids.push(...(await app.lapse.issueAll(drafts)).map(({ id }) => id))
  }
  await app.sql(
    `UPDATE resource SET issued_at = issued_at - s, expires_at = expires_at - s, ends_at = ends_at - s, due_at = due_at - s
    FROM (SELECT interval '2 days' AS s) AS shift WHERE id = ANY ($1)`,
    [ids],
  )
  const owed = async () =>
    (await app.sql(`SELECT count(*)::int AS n FROM delivery WHERE channel = 'email' AND settled_at IS NULL`)).rows[0].n
  await until(async () => sink.mails.length > 50 && (await owed()) > notices / 2, {
    ...{ timeout: 60_000, what: 'notices under way' },
  })
  const email = 'ada@example.com'
  await app.lapse.users.create({ email, verified: true })
  const before = sink.mails.length
  await app.lapse.verifications.request({ purpose: 'sign-in', email, deliver: 'mail' })
  const position = await until(() => sink.mails.findIndex(({ to }) => to.includes(email)) + 1, {
    ...{ timeout: 60_000, what: 'the sign-in mail' },
  })
  // As many as ten connections accept within two seconds, and those that were under way.
  expect(position - 1 - before).toBeLessThanOrEqual(80)
  expect(await owed()).toBeGreaterThan(notices / 4)
})

it('K3: a receiver that is down is probed, not hammered; when it is back all go out, and none has used up an attempt', {
  timeout: 240_000,
}, async () => {
  const count = 1_000
  const app = await stage()
  const port = await freePort()
  const { id, issue } = await endpointOf(app, `http://127.0.0.1:${port}/hook`)
  await workerOf(app, { LAPSE_SWEEP_SECONDS: '1' })
  await issue(count)
  const failures = () => endedAttempts(app, [id], 'webhook')
  await until(async () => (await failures()) > 0, { what: 'a try that failed' })
  // Webhooks of another endpoint come after all of these: by then they have all been tried, or are held.
  const taking = await testSink()
  const quiet = await endpointOf(app, `${taking.url}hook`)
  for (let i = 0; i < 5; i++) {
    const [issued] = await quiet.issue(1)
    await taking.waitForRequest(({ body }) => body.includes(issued?.id ?? '-'), 60_000)
  }
  const probes = await failures()
  expect(probes).toBeLessThan(count / 4)
  const back = await testSink({ port })
  let [open, most] = [0, 0]
  back.answerAlways((response) => {
    most = Math.max(most, ++open)
    setTimeout(() => {
      open--
      response.writeHead(204).end()
    }, 20)
  })
  const sent = `SELECT count(*)::int AS n FROM delivery WHERE target = $1 AND status = 'sent'`
  await until(async () => (await app.sql(sent, [id])).rows[0].n === count, { timeout: 180_000, what: 'all of them' })
  const { rows } = await app.sql(
    `SELECT sum(attempts)::int AS attempts, max(attempts)::int AS most FROM delivery WHERE target = $1`,
    [id],
  )
  // One each, and those that failed while it was down, of which a few more were under way.
  expect(rows[0].attempts - count).toBeLessThanOrEqual(count / 4)
  expect(new Set(back.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(count)
  // Paced: not by all that a worker has.
  expect(most).toBeLessThan(50)
})
