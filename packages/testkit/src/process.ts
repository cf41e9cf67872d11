import { fileURLToPath } from 'node:url'
import { afterFile } from './after-file.ts'
import { spawnChild } from './child.ts'
import { freePort } from './free-port.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const skewedClock = new URL('../src/skewed-clock.mjs', import.meta.url).href

export interface TestProcess {
  /** Where it answers: the API, or the worker's health and metrics. */
  readonly url: string
  readonly pid: number
  /** SIGTERM; answers its exit code and how long it took. */
  stop(): Promise<{ code: number | null; ms: number }>
  /** SIGKILL. */
  kill(): Promise<void>
  /** Everything it has written so far. */
  output(): string
}

export interface ProcessOptions {
  entry: 'api' | 'worker'
  /** Its environment, beside PATH, HOST and the port, which it gets by itself. */
  env: Record<string, string>
  /** How far its clock is ahead of ours, in milliseconds. */
  clockOffsetMs?: number
  /** Waits for /readyz (the default), or only for the process to answer /healthz. */
  until?: 'ready' | 'alive'
}

/**
 * Starts apps/<entry> as it is deployed, in a process of its own, and waits until it is ready. Every process has to be
 * stopped or killed by the test; one that is left fails the test file.
 */
export const startProcess = async (options: ProcessOptions): Promise<TestProcess> => {
  const { entry, env, clockOffsetMs = 0 } = options
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const clock = clockOffsetMs === 0 ? [] : ['--import', skewedClock]
  const child = spawnChild(process.execPath, [...clock, `apps/${entry}/dist/main.js`], {
    name: entry,
    cwd: root,
    env: {
      PATH: process.env.PATH,
      HOST: '127.0.0.1',
      LAPSE_ASSERT_ONE_CONNECTION: '1',
      [entry === 'api' ? 'PORT' : 'LAPSE_WORKER_PORT']: String(port),
      LAPSE_TEST_CLOCK_OFFSET_MS: String(clockOffsetMs),
      ...env,
    },
  })
  afterFile(async () => {
    if (!child.running()) return
    await child.end('SIGKILL')
    throw new Error(`The ${entry} that this file started was still running; stop() or kill() it.\n${child.output()}`)
  })
  await child.ready(async () => {
    const answer = await fetch(`${url}/${options.until === 'alive' ? 'healthz' : 'readyz'}`)
    if (!answer.ok) throw new Error(await answer.text())
    return true
  })
  return {
    url,
    pid: child.pid,
    output: child.output,
    stop: async () => {
      const start = performance.now()
      const code = await child.end('SIGTERM')
      return { code, ms: performance.now() - start }
    },
    kill: async () => void (await child.end('SIGKILL')),
  }
}
