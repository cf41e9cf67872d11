import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Asks `probe` until it answers something truthy, and resolves to that.
 * @param probe may throw while it is too early; the last error is shown when time is up.
 * @param options.timeout milliseconds, 20,000 by default: a failure takes longer, and a busy machine is no failure.
 * @param options.what names what was awaited, for the error.
 */
export const until = async <T>(
  probe: () => T | Promise<T>,
  { timeout = 20_000, what = 'the condition' }: { timeout?: number; what?: string } = {},
): Promise<Exclude<T, undefined | null | false | 0 | ''>> => {
  let last: unknown
  for (const deadline = performance.now() + timeout; ; await sleep(10)) {
    try {
      last = await probe()
      if (last) return last as Exclude<T, undefined | null | false | 0 | ''>
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline) {
      const seen = last instanceof Error ? last.message : JSON.stringify(last)
      throw new Error(`${what} did not come about within ${timeout} ms; last seen: ${seen}`, { cause: last })
    }
  }
}
