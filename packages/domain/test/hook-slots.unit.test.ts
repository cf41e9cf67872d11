import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { HookSlots } from '../src/hook-slots.ts'
import { signal } from './support.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

/** Lets everything run that waits for nothing. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Runs of kinds that end when they are told to; `running` lists those that have begun and not ended. */
const stage = (connections: number) => {
  const slots = new HookSlots(connections)
  const running: string[] = []
  const run = (kind: string, abort?: AbortSignal) => {
    const end = signal()
    const act = async () => {
      running.push(kind)
      await end.given
      running.splice(running.indexOf(kind), 1)
    }
    return { end: end.give, done: slots.run(kind, act, abort) }
  }
  return { slots, running, run }
}

describe('transactions with hooks', () => {
  it('hold four of ten connections at most, and one for each kind', async () => {
    const { slots, running, run } = stage(10)
    const runs = ['a', 'a', 'b', 'c', 'd', 'e'].map((kind) => run(kind))
    await turn()
    expect(running).toEqual(['a', 'b', 'c', 'd'])
    expect(slots.isFree('f')).toBe(false)
    for (const { end } of runs) end()
    await Promise.all(runs.map(({ done }) => done))
    expect([running, slots.isFree('f')]).toEqual([[], true])
  })

  it('of a kind take turns with those of others that have waited longer', async () => {
    const { running, run } = stage(1)
    const [first, second, third] = [run('a'), run('a'), run('b')]
    const again = first.done.then(() => run('a'))
    first.end()
    await again
    second.end()
    await second.done
    await turn()
    expect(running).toEqual(['b'])
    third.end()
    const last = await again
    last.end()
    await last.done
  })

  it('of kinds that were slow leave half of the slots to the others', async () => {
    const { slots, running, run } = stage(10)
    const first = ['a', 'b', 'c', 'd'].map((kind) => run(kind))
    await turn()
    vi.advanceTimersByTime(1_001)
    for (const { end } of first) end()
    await Promise.all(first.map(({ done }) => done))
    const again = ['a', 'b', 'c', 'd', 'e'].map((kind) => run(kind))
    await turn()
    expect(running).toEqual(['a', 'b', 'e'])
    expect([slots.isSlow('a'), slots.isFree('c'), slots.isFree('f')]).toEqual([true, false, true])
    for (const { end } of again) end()
    await Promise.all(again.map(({ done }) => done))
    vi.advanceTimersByTime(60_000)
    expect(['a', 'b', 'c', 'd'].map((kind) => slots.isSlow(kind))).toEqual([false, false, false, false])
  })

  it('that fail give their slot back, and those that are called off no longer wait for one', async () => {
    const { slots, run } = stage(1)
    await expect(slots.run('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    const [holder, stop] = [run('a'), new AbortController()]
    const waiting = run('b', stop.signal)
    stop.abort(new Error('stopping'))
    await expect(waiting.done).rejects.toThrow('stopping')
    await expect(run('b', stop.signal).done).rejects.toThrow('stopping')
    holder.end()
    await holder.done
    expect(slots.isFree('b')).toBe(true)
  })
})
