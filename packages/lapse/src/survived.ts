import { domainErrorPlaces } from '@lapse/domain'
import { queueErrorPlaces } from '@lapse/queue'

/** Where the library survives errors: the values of the label `where` of `lapse_errors_total`. */
export const errorPlaces = [
  ...domainErrorPlaces,
  ...queueErrorPlaces,
  'after-commit',
  'enqueue',
  'inspect-timers',
] as const
export type ErrorPlace = (typeof errorPlaces)[number]

/** Label values are a closed set: what is not in it is `(other)`, so that no input makes series of its own. */
export const closedSet = (values: readonly string[]): ((value: string) => string) => {
  const known = new Set(values)
  return (value) => (known.has(value) ? value : '(other)')
}

/** Waits for it, but no longer than until the process is to end: then it throws the reason. */
export const unlessStopped = <T>(waited: Promise<T>, stop: AbortSignal): Promise<T> =>
  Promise.race([
    waited,
    new Promise<never>((_, reject) => {
      stop.throwIfAborted()
      stop.addEventListener('abort', () => reject(stop.reason), { once: true })
    }),
  ])

/** The same error is logged once in this time, and counted every time: an absent Redis would fill the log. */
const quietMs = 60_000

/** Errors that are remembered for that; then it begins anew. */
const mostRemembered = 1_000

/** Counts every error that was survived, and logs what is new. */
export const survivor = (
  log: { warn(about: object, message: string): void },
  count: (where: string) => void,
): ((where: string, error: unknown) => void) => {
  const logged = new Map<string, number>()
  return (where, error) => {
    count(where)
    const news = `${where}: ${error instanceof Error ? error.message : error}`
    const last = logged.get(news)
    if (last !== undefined && performance.now() - last < quietMs) return
    if (logged.size > mostRemembered) logged.clear()
    logged.set(news, performance.now())
    log.warn({ where, err: error }, 'survived an error')
  }
}
