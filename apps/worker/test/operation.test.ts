import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { privateRedis, until } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { stage } from './stage.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

const runWorker = (env: Record<string, string>, ...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['apps/worker/dist/main.js', ...args], {
    cwd: root,
    env: { PATH: process.env.PATH, ...env },
    encoding: 'utf8',
    timeout: 20_000,
  })
  return { status, output: stdout + stderr }
}

describe('operation', () => {
  it('a mail that is refused three times goes out once, with the same Message-ID and every attempt in the log', async () => {
    const app = await stage()
    const worker = await app.startWorker()
    const email = 'retried@example.com'
    app.inbox.failNext(2)
    const { id } = await app.lapse.issue('pass', { expiresIn: '1s', payload: { email } })
    const mail = await app.inbox.waitForMail((one) => one.to.includes(email), 15_000)
    const [delivery] = await until(
      async () => {
        const sent = await app.lapse.deliveries.list({ resourceId: id, status: 'sent' })
        return sent.length > 0 && sent
      },
      { what: 'the delivery to be sent' },
    )
    const { log } = await app.lapse.deliveries.get(delivery?.id ?? '')
    expect(log.map((attempt) => attempt.status)).toEqual(['failed', 'failed', 'sent'])
    expect(log[0]).toMatchObject({ number: 1, error: expect.stringContaining('451'), durationMs: expect.any(Number) })
    expect(mail.messageId).toBe(`<${delivery?.id}@localhost>`)
    expect((await app.lapse.get(id)).status).toBe('expired')
    await worker.stop()
  })

  it('an address that is refused for good becomes a dead delivery at once, counted, listed and retryable', async () => {
    const app = await stage()
    const worker = await app.startWorker()
    app.inbox.failNext(1, 550)
    const { id } = await app.lapse.issue('pass', { expiresIn: '1s', payload: { email: 'gone@example.com' } })
    const dead = await until(async () => (await app.lapse.deliveries.list({ resourceId: id, status: 'dead' }))[0], {
      what: 'the dead delivery',
    })
    expect(dead).toMatchObject({ attempts: 1, lastError: expect.stringContaining('550') })
    const metrics = await (await fetch(`${worker.url}/metrics`)).text()
    expect(metrics).toMatch(/lapse_deliveries\{channel="email",status="dead"\} 1/)
    expect(await app.lapse.deliveries.retryDead()).toMatchObject({ retried: 1, done: true })
    await app.inbox.waitForMail((mail) => mail.to.includes('gone@example.com'))
    await worker.stop()
  })

  it("an application's own kind: its hook commits with the transition, its handler runs until it succeeds, under one key", async () => {
    const app = await stage()
    await app.sql('CREATE TABLE seat_given_back (resource_id uuid)')
    await app.sql('GRANT INSERT ON seat_given_back TO PUBLIC')
    const log = join(tmpdir(), `handler-${Date.now()}.log`)
    const worker = await app.startWorker({ HANDLER_LOG: log })
    const [good, stubborn] = await app.lapse.issueAll([
      { kind: 'seat', expiresIn: '1s' },
      { kind: 'seat', expiresIn: '1s', payload: { stubborn: true } },
    ])
    const goodId = good?.id ?? ''
    await until(async () => (await app.lapse.deliveries.list({ resourceId: goodId, status: 'sent' })).length === 1, {
      what: 'the handler',
    })
    const calls = readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(calls.map((call) => call.attempt)).toEqual([1, 2])
    expect(new Set(calls.map((call) => call.deliveryId)).size).toBe(1)
    expect((await app.sql('SELECT resource_id FROM seat_given_back')).rows).toEqual([{ resource_id: goodId }])
    // The one whose hook throws is put off and denied; nothing of its transition is written.
    const failed = await app.happened(stubborn?.id ?? '', 'hook-failed')
    expect(failed.reason).toContain('the seat will not be given back')
    expect(await app.lapse.check('seat', stubborn?.id ?? '')).toMatchObject({ allowed: false, reason: 'expired' })
    await worker.stop()
  })

  it('J1 everything that happens has one event: who, which layer, when, before and after, why, how late', async () => {
    const app = await stage()
    const worker = await app.startWorker()
    const { id } = await app.lapse.issue('lease', { expiresIn: '1h', subject: 'u1' }, { actor: 'ada', reason: 'sold' })
    await app.lapse.renew('lease', id, { expiresIn: '1s' }, { actor: 'bob', reason: 'a mistake' })
    await app.happened(id, 'expired')
    const [issued, renewed, grace, expired] = await app.story(id)
    expect(issued).toMatchObject({
      type: 'issued',
      trigger: 'manual',
      actor: 'ada',
      reason: 'sold',
      from: null,
      to: 'active',
      latenessMs: null,
    })
    expect(renewed).toMatchObject({ type: 'renewed', actor: 'bob', reason: 'a mistake', from: 'active', to: 'active' })
    expect(renewed?.data).toMatchObject({ before: { version: 1 }, after: { version: 2 } })
    expect(grace).toMatchObject({ type: 'grace', trigger: 'job', from: 'active', to: 'grace', actor: null })
    expect(expired).toMatchObject({
      type: 'expired',
      trigger: 'job',
      from: 'grace',
      to: 'expired',
      latenessMs: expect.any(Number),
    })
    await worker.stop()
  })

  it('it tells what it does to Prometheus, and whether it works to whoever asks', async () => {
    const app = await stage()
    const worker = await app.startWorker()
    const { id } = await app.lapse.issue('pass', { expiresIn: '1s' })
    await app.happened(id, 'expired')
    const metrics = await until(
      async () => {
        const text = await (await fetch(`${worker.url}/metrics`)).text()
        return text.includes('lapse_transitions_total{kind="pass",type="expired",trigger="job"} 1') && text
      },
      { what: 'the transition in the metrics' },
    )
    for (const name of [
      'lapse_lateness_seconds_bucket',
      'lapse_swept_not_fired_total',
      'lapse_deliveries',
      'lapse_queue_depth',
      'lapse_oldest_overdue_seconds',
    ])
      expect(metrics).toContain(name)
    expect(metrics).toContain('lapse_swept_not_fired_total 0')
    expect((await fetch(`${worker.url}/healthz`)).status).toBe(200)
    expect((await fetch(`${worker.url}/elsewhere`)).status).toBe(404)
    expect(await worker.stop()).toMatchObject({ code: 0 })
  })

  it('what is wrong with its environment is told all at once, with examples', () => {
    const { status, output } = runWorker({ REDIS_URL: 'http://example.com', LAPSE_MAIL_RATE: 'many' })
    expect(status).toBe(1)
    expect(output).toMatch(/DATABASE_URL: is missing\. Example: DATABASE_URL=postgresql:/)
    expect(output).toMatch(/REDIS_URL: is not a URL that begins with redis:/)
    expect(output).toMatch(/LAPSE_MAIL_RATE: is not a whole number/)
  })

  it('--check prints the effective configuration without secrets', async () => {
    const app = await stage()
    const url = new URL(app.env.DATABASE_URL)
    url.password = 'a-secret-password'
    const { status, output } = runWorker({ ...app.env, DATABASE_URL: url.href }, '--check')
    expect(status).toBe(0)
    expect(output).toContain('LAPSE_SWEEP_SECONDS=15')
    expect(output).toMatch(/^kinds: trial, invite, .*, pass, lease, seat, errand, vigil$/m)
    expect(output).not.toContain('a-secret-password')
  })

  it.each([
    ['{ mail: { templates: { trail: {} } } }', 'mail.templates.trail is no kind'],
    [`{ grants: { lifetime: { elevated: '30m' } } }`, 'grants: lifetime.elevated is below lifetime.default'],
    [`{ kinds: [{ name: 'invite' }] }`, 'kind "invite" is built in'],
  ])('--check refuses %s as the start would, in one line', async (config, said) => {
    const app = await stage()
    const folder = mkdtempSync(join(tmpdir(), 'lapse-check-'))
    const file = join(folder, 'lapse.config.mjs')
    writeFileSync(file, `export default ${config}`)
    const { status, output } = runWorker({ ...app.env, LAPSE_CONFIG: file }, '--check')
    rmSync(folder, { recursive: true })
    expect([status, output]).toEqual([1, expect.stringContaining(said)])
    expect(output.trim().split('\n')).toHaveLength(1)
  })

  it.each(['volatile-lru', 'allkeys-lru'])(
    'a Redis that may evict timers (%s) keeps nobody from their work: it warns, and raises an alert',
    async (policy) => {
      const redis = await privateRedis({ settings: { 'maxmemory-policy': policy } })
      const app = await stage(redis)
      const worker = await app.startWorker({ LAPSE_WATCH_SECONDS: '1' })
      const api = await app.startApi()
      const { id } = await app.lapse.issue('pass', { expiresIn: '1s' })
      await app.happened(id, 'expired')
      const raised = async () => (await app.lapse.alerts.list()).find((alert) => alert.raised)
      expect(await until(raised, { what: 'the alert' })).toMatchObject({
        name: 'redis-evicts',
        detail: expect.stringContaining(`maxmemory-policy is ${policy}. Set it to noeviction`),
      })
      for (const { output } of [worker, api]) expect(output()).toMatch(/maxmemory-policy is .* Set it to noeviction/)
      await Promise.all([worker.stop(), api.stop()])
    },
  )

  it('it refuses to start on a database without migrations, and says what to do', async () => {
    const app = await stage()
    await app.sql(`DELETE FROM _prisma_migrations`)
    const { status, output } = runWorker(app.env)
    expect(status).toBe(1)
    expect(output).toMatch(/lacks the migration .*npm run migrate deploy/)
  })
})
