import { askRedis, privateCluster, until } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { rootToken, stage } from './stage.ts'

const shards = 3

// biome-ignore lint/suspicious/noExplicitAny: an answer of any shape
type Body = any

describe('on a Redis Cluster of three masters', () => {
  it('all goes its way over API and worker, a shard on each master; one master lost costs its timers only, and is caught up', async () => {
    const cluster = await privateCluster()
    const app = await stage(cluster, shards)
    const api = await app.startApi({ LAPSE_BOARD_PASSWORD: 'of the board only' })
    const worker = await app.startWorker()
    const call = async (path: string, body?: object, authorization = `Bearer ${rootToken}`) => {
      const answer = await fetch(new URL(path, api.url), {
        ...(body && { method: 'POST', body: JSON.stringify(body) }),
        headers: { authorization, ...(body && { 'content-type': 'application/json' }) },
      })
      return { status: answer.status, body: (await answer.json()) as Body }
    }
    const pass = (expiresIn: number) =>
      call('/v1/resources', { kind: 'pass', expires_in: expiresIn, payload: { email: 'guest@example.com' } })

    // Issued, ended by its own timer, and told by mail.
    const issued = await Promise.all(Array.from({ length: 30 }, () => pass(5)))
    expect(new Set(issued.map(({ status, body }) => `${status} ${body.timer}`))).toEqual(new Set(['201 armed']))
    const counts = await Promise.all(app.lapse.queues.shards().map((shard) => shard.getDelayedCount()))
    expect([Math.min(...counts) > 0, counts.reduce((sum, count) => sum + count)]).toEqual([true, 30])
    for (const { body } of issued) expect(await app.happened(body.id, 'expired')).toMatchObject({ trigger: 'job' })
    await until(() => app.mailsTo('guest@example.com').length === 30, { what: 'the mails' })

    // What looks at Redis can look at a cluster.
    const findings = await app.lapse.diagnose()
    expect(findings.filter(({ verdict }) => verdict === 'wrong')).toEqual([])
    expect(findings.find(({ about }) => about === 'workers')?.text).toMatch(/^1 is connected/)
    const board = await call('/queues/api/queues', undefined, `Basic ${btoa('lapse:of the board only')}`)
    const names: string[] = board.body.queues.map(({ name }: { name: string }) => name)
    expect(names.filter((name) => name.startsWith('timers'))).toEqual([
      'timers-1-of-3',
      'timers-2-of-3',
      'timers-3-of-3',
    ])
    expect(await fetch(`${worker.url}/metrics`).then((answer) => answer.text())).toMatch(
      /lapse_queue_depth\{queue="timers-3-of-3",state="delayed"\} 0/,
    )
    // The limits count there.
    const refused = await Promise.all(
      Array.from({ length: 35 }, () => call('/v1/resources', undefined, 'Bearer wrong')),
    )
    expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([401, 429]))
    const counted = await Promise.all(
      cluster.masters.map(({ url }) => askRedis(url, (redis) => redis.keys('lapse:limits:*'))),
    )
    expect(counted.flat()).not.toEqual([])

    const far = await Promise.all(Array.from({ length: 12 }, () => pass(86_400)))
    // Long ago, as far as the look-ahead is concerned.
    await app.sql(`UPDATE resource SET changed_at = changed_at - interval '1 hour'`)

    // The second master is gone: its timers are pending, those of the others armed; all end.
    await cluster.masters[1]?.kill()
    const during = await Promise.all(Array.from({ length: 30 }, () => pass(5)))
    expect(during.map(({ status, body }) => `${status} ${body.timer}`).toSorted()).toEqual(
      expect.arrayContaining(['201 armed', '201 pending']),
    )
    expect(new Set(during.map(({ status }) => status))).toEqual(new Set([201]))
    for (const { body } of during) await app.happened(body.id, 'expired')

    // It is back, without its data: what is to come is armed again, and what is new comes by itself.
    await cluster.masters[1]?.start()
    for (const { body } of far)
      await until(async () => (await app.timers(body.id)).length === 1, {
        timeout: 30_000,
        what: 'the timer, armed again',
      })
    const byThemselves = async () => {
      const passes = await Promise.all(Array.from({ length: 12 }, () => pass(3)))
      const events = await Promise.all(passes.map(({ body }) => app.happened(body.id, 'expired')))
      return passes.every(({ body }) => body.timer === 'armed') && events.every(({ trigger }) => trigger === 'job')
    }
    await until(byThemselves, { timeout: 30_000, what: 'timers of all shards to fire by themselves again' })

    const pending = async () =>
      (await app.sql(`SELECT count(*)::int AS n FROM resource WHERE status = 'active'`)).rows[0].n
    await until(async () => (await pending()) === far.length, { what: 'all others to end' })
    const { rows } =
      await app.sql(`SELECT count(*) = count(DISTINCT resource_id) AS once, min(lateness_ms) >= 0 AS not_early
      FROM event WHERE type = 'expired'`)
    expect(rows).toEqual([{ once: true, not_early: true }])
    await Promise.all([api.stop(), worker.stop()])
  }, 120_000)
})
