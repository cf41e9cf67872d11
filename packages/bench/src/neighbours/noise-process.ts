import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** Requests that are made again and again, so many at once. */
export interface Noise {
  readonly url: string
  readonly headers: Record<string, string>
  readonly lanes: number
  readonly requests: readonly { readonly method: string; readonly path: string; readonly body?: object }[]
  readonly pauseMs?: number
}

/** Runs `during` while a process of its own makes this noise; answers also how its requests were answered, by status. */
export const withNoise = async <T>(
  noise: Noise,
  during: () => Promise<T>,
): Promise<{ result: T; answers: Record<string, number> }> => {
  const child = fork(fileURLToPath(new URL('./noise.js', import.meta.url)))
  try {
    const begun = once(child, 'message')
    // It may be megabytes, more than a command line holds.
    child.send(noise)
    await begun
    const result = await during()
    const counted = once(child, 'message')
    child.send('how many?')
    const [answers] = await counted
    return { result, answers }
  } finally {
    child.kill('SIGKILL')
  }
}
