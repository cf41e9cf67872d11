import type { Lapse, Resealed } from 'lapse'

/** Sooner, a process that has not been restarted with both keys yet could get what it cannot open. */
const afterMs = 10 * 60_000

/** So that a large set takes a small part of what the database can do. */
const pauseMs = 100

/** Seals under the first key what another has sealed, once, when every process has had time to know both. */
export const resealLater = (
  lapse: Lapse,
  { onDone, onError }: { onDone: (done: Resealed) => void; onError: (error: unknown) => void },
): (() => void) => {
  const stop = new AbortController()
  const pause = () => new Promise<void>((resolve) => setTimeout(resolve, pauseMs))
  const reseal = () => lapse.reseal({ signal: stop.signal, onBatch: pause }).then(onDone, onError)
  const timer = setTimeout(() => void reseal(), afterMs)
  timer.unref()
  return () => {
    clearTimeout(timer)
    stop.abort()
  }
}
