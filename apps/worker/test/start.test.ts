import { until } from '@lapse/testkit'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { stage } from './stage.ts'

/** Holds the rows of all resources up, and with them the first sweep. */
const holdUp = async ({ database }: Awaited<ReturnType<typeof stage>>) => {
  const owner = new pg.Client({ connectionString: database.ownerUrl })
  await owner.connect()
  await owner.query('BEGIN')
  await owner.query('LOCK TABLE resource IN ACCESS EXCLUSIVE MODE')
  return async () => {
    await owner.query('ROLLBACK')
    await owner.end()
  }
}

describe('a worker that starts', () => {
  it('is alive and has metrics from its first second, and says what it does until the first sweep is done', async () => {
    const app = await stage()
    const release = await holdUp(app)
    const worker = await app.startWorker({}, 0, 'alive')
    const ask = async (path: string) => {
      const answer = await fetch(`${worker.url}${path}`)
      return [answer.status, await answer.text()] as const
    }
    await until(async () => (await ask('/readyz'))[1].includes('the first sweep'), {
      timeout: 40_000,
      what: 'the first sweep to begin',
    })
    expect(await ask('/readyz')).toEqual([503, expect.stringMatching(/^starting: the first sweep/)])
    expect(await ask('/healthz')).toEqual([200, 'alive\n'])
    expect(await ask('/metrics')).toEqual([200, expect.stringContaining('process_cpu_seconds_total')])
    await release()
    await until(async () => (await ask('/readyz'))[0] === 200, { timeout: 40_000, what: 'it to be ready' })
    const [, metrics] = await ask('/metrics')
    expect(metrics).toMatch(/lapse_errors_total\{where="alarm"\} \d/)
    expect((await worker.stop()).code).toBe(0)
  }, 120_000)

  it('stops within ten seconds although it has not started yet', async () => {
    const app = await stage()
    const release = await holdUp(app)
    const worker = await app.startWorker({}, 0, 'alive')
    const stopped = worker.stop()
    await until(() => worker.output().includes('stopping'), { timeout: 40_000, what: 'the signal to be heard' })
    await release()
    const { code, ms } = await stopped
    expect([code, ms < 10_000]).toEqual([0, true])
    expect(worker.output()).not.toContain('is ready')
  }, 120_000)
})
