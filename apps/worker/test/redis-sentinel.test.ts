import { setTimeout as sleep } from 'node:timers/promises'
import { privateSentinels, until } from '@lapse/testkit'
import { describe, expect, it } from 'vitest'
import { stage } from './stage.ts'

describe('with sentinels', () => {
  it('the master is killed under load: nothing is lost, all that is due ends once, and then by its own timer again', async () => {
    const sentinels = await privateSentinels()
    const app = await stage(sentinels)
    const worker = await app.startWorker()
    const ids: string[] = []
    const pass = async (expiresIn: number) => {
      const { id, timer } = await app.lapse.issue('pass', { expiresIn })
      ids.push(id)
      return { id, timer }
    }
    let loading = true
    const load = (async () => {
      for (let i = 0; loading; i++) {
        await pass(1_000 + (i % 8) * 1_000)
        await sleep(10)
      }
    })()
    await sleep(1_500)
    await sentinels.master.kill()
    await until(async () => (await sentinels.masterUrl()) === sentinels.replica.url, {
      timeout: 20_000,
      what: 'the replica to be the master',
    })
    await until(async () => (await pass(1_000)).timer === 'armed', { what: 'timers to be armed again' })
    loading = false
    await load
    // Exact again, as soon as the worker is connected too.
    const byItself = async () => {
      const { id, timer } = await pass(2_000)
      return timer === 'armed' && (await app.happened(id, 'expired')).trigger === 'job'
    }
    await until(byItself, { timeout: 30_000, what: 'timers to fire by themselves again' })
    const ended = async () => (await app.sql(`SELECT count(*)::int AS n FROM event WHERE type = 'expired'`)).rows[0].n
    await until(async () => (await ended()) === ids.length, { timeout: 20_000, what: 'all to end' })
    const { rows } =
      await app.sql(`SELECT count(DISTINCT resource_id)::int AS resources, min(lateness_ms) >= 0 AS not_early
      FROM event WHERE type = 'expired'`)
    expect(rows).toEqual([{ resources: ids.length, not_early: true }])
    await worker.stop()
  }, 120_000)
})
