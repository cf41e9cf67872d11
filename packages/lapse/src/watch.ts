import type { Lapse } from './lapse.ts'

export interface Watching {
  /** Resolves when nobody is looking any more. */
  stop(): Promise<void>
}

/** Looks for what an operator should know, again and again, on a timer of this process's own that needs nobody. */
export const startWatch = (lapse: Lapse, everyMs: number, onError: (error: unknown) => void): Watching => {
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> = Promise.resolve()
  let stopped = false
  const wait = () => {
    timer = setTimeout(() => {
      looking = lapse.alerts
        .watch()
        .catch(onError)
        .finally(() => stopped || wait())
    }, everyMs)
    timer.unref()
  }
  wait()
  return {
    stop: () => {
      stopped = true
      clearTimeout(timer)
      return looking
    },
  }
}
