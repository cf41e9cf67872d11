import { describe, expect, it } from 'vitest'
import { LockQueue } from '../src/lock-queue.ts'

/** Some that lock the same; each goes on until it is let go. */
const queued = (count: number) => {
  const queue = new LockQueue()
  const running: ((error?: Error) => void)[] = []
  const act = () =>
    new Promise<string>((resolve, reject) => {
      running.push((error) => (error ? reject(error) : resolve('done')))
    })
  const run = () => queue.run('a row', act).catch(({ code }) => code as string)
  const all = Array.from({ length: count }, run)
  return { queue, running, run, all, turn: () => new Promise(setImmediate) }
}

const tally = (outcomes: readonly string[]) =>
  Object.fromEntries([...new Set(outcomes)].map((one) => [one, outcomes.filter((other) => other === one).length]))

const lockTimeout = () => Object.assign(new Error('canceling statement due to lock timeout'), { code: '55P03' })

describe('those who lock the same row', () => {
  it('are three at a time; the others come to their turn as these get further', async () => {
    const { running, all, turn } = queued(40)
    await turn()
    expect(running).toHaveLength(3)
    for (let done = 0; done < 40; done++) {
      running[done]?.()
      await turn()
    }
    expect(tally(await Promise.all(all))).toEqual({ done: 40 })
  })

  it('are refused when none of the three gets further, and so is who comes then; until one does', async () => {
    const { running, all, run, turn } = queued(10)
    expect(tally(await Promise.all(all.slice(3)))).toEqual({ busy: 7 })
    expect(await run()).toBe('busy')
    running[0]?.()
    await all[0]
    const next = run()
    await turn()
    expect(running).toHaveLength(4)
    for (const go of running) go()
    expect(await next).toBe('done')
  })

  it('are refused as soon as one of the three was refused the lock: they would wait as long again', async () => {
    const { running, all, run, turn } = queued(10)
    await turn()
    running[0]?.(lockTimeout())
    expect(tally(await Promise.all([all[0], ...all.slice(3)] as Promise<string>[]))).toEqual({ '55P03': 1, busy: 7 })
    expect(await run()).toBe('busy')
    for (const go of running) go()
    await Promise.all(all)
    const next = run()
    await turn()
    running.at(-1)?.()
    expect(await next).toBe('done')
  })

  it('are told apart by their key, whatever its case', async () => {
    const { queue } = queued(3)
    expect(await queue.run('another row', async () => 'done')).toBe('done')
    const late = queue.run('A ROW', async () => 'done')
    expect(await Promise.race([late, new Promise((resolve) => setImmediate(resolve, 'waits'))])).toBe('waits')
    late.catch(() => {})
  })
})
