import { type ChildProcess, spawn } from 'node:child_process'
import { until } from './until.ts'

export interface Child {
  readonly pid: number
  /** Everything it has written so far, both streams. */
  output(): string
  /** Waits until `probe` answers; fails with the output when the process ends first. */
  ready(probe: () => Promise<unknown>): Promise<void>
  signal(signal: NodeJS.Signals): void
  /** Sends `signal` and waits for the end, with SIGKILL after 15 s; answers the exit code (null when killed). */
  end(signal: NodeJS.Signals): Promise<number | null>
  running(): boolean
}

/** Starts a process that the tests talk to. It stays in vitest's process group, so `npm test` leaves none behind. */
export const spawnChild = (
  program: string,
  args: readonly string[],
  { env, cwd, name }: { env: NodeJS.ProcessEnv; cwd?: string; name: string },
): Child => {
  const child: ChildProcess = spawn(program, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const ended = new Promise<void>((resolve) => {
    child
      .on('error', (error) => {
        output += error.message
        resolve()
      })
      .on('close', () => resolve())
  })
  const running = () => child.pid !== undefined && child.exitCode === null && child.signalCode === null
  return {
    pid: child.pid ?? 0,
    output: () => output,
    running,
    signal: (signal) => void child.kill(signal),
    ready: async (probe) => {
      const answered = async () => !running() || ((await probe()) as boolean)
      await until(answered, { timeout: 60_000, what: `${name} getting ready` }).catch((error: Error) => {
        child.kill('SIGKILL')
        throw new Error(`${error.message}\n${output}`)
      })
      if (!running()) throw new Error(`${name} ended while starting (code ${child.exitCode}):\n${output}`)
    },
    end: async (signal) => {
      if (running()) child.kill(signal)
      // A stopped process takes no SIGTERM before it goes on.
      child.kill('SIGCONT')
      const force = setTimeout(() => child.kill('SIGKILL'), 15_000)
      await ended
      clearTimeout(force)
      return child.exitCode
    },
  }
}
