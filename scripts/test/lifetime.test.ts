import type { ChildProcess } from 'node:child_process'
import { until } from '@lapse/testkit'
import { afterEach, expect, it, vi } from 'vitest'
import { atEnd, end, keepUp, launch } from '../lifetime.mjs'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

it('stops a program that was started again where the one before would have been: after what needs it', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] })
  vi.spyOn(console, 'error').mockReturnValue()
  const exit = vi.spyOn(process, 'exit').mockReturnValue(undefined as never)
  const children: ChildProcess[] = []
  const start = () => {
    const child = launch(process.execPath, ['-e', 'setInterval(() => {}, 1_000)'], { stdio: 'ignore' })
    children.push(child)
    return child
  }
  const runs = () => children.map(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
  const seen: boolean[][] = []
  atEnd(() => void seen.push(runs()))
  keepUp('It', start)
  atEnd(() => void seen.push(runs()))
  for (const count of [2, 3]) {
    await vi.advanceTimersByTimeAsync(5_000)
    children.at(-1)?.kill('SIGKILL')
    await until(() => !runs().includes(true))
    await vi.waitFor(
      async () => {
        await vi.advanceTimersByTimeAsync(5_000)
        expect(children).toHaveLength(count)
      },
      { timeout: 30_000 },
    )
  }
  await end()
  expect(seen).toEqual([
    [false, false, true],
    [false, false, false],
  ])
  expect(exit).toHaveBeenCalledExactlyOnceWith(0)
})
