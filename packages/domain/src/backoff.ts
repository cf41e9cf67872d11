/** When a side effect is tried again. */
export interface Backoff {
  /** The wait after the first failure, in milliseconds; it doubles with every other. */
  readonly baseMs: number
  readonly capMs: number
  /** Attempts in all, before it is given up. */
  readonly attempts: number
}

/**
 * The wait after the nth failed attempt (1 for the first), in milliseconds; `undefined` when it is time to give up.
 * Between half and all of the doubled base, so that what failed together does not come back together.
 */
export const backoff = (policy: Backoff, attempt: number, random: number = Math.random()): number | undefined => {
  if (attempt >= policy.attempts) return undefined
  const full = Math.min(policy.capMs, policy.baseMs * 2 ** (attempt - 1))
  return Math.ceil(full * (0.5 + random / 2))
}
