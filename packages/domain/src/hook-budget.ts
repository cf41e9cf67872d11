import { DeadlineError } from './deadline.ts'
import { type HookError, hookDeadlineMs } from './hooks.ts'
import type { Kind } from './kind.ts'

/**
 * How long the hooks of everything that one transaction cascades to may take together. A hook that exceeds its deadline is
 * not called again in the same transaction: a large organization has hundreds of batches, and each would wait as long.
 */
export class HookBudget {
  readonly #until: number
  readonly #exceeded = new Set<Kind>()

  constructor(ms: number) {
    this.#until = performance.now() + ms
  }

  /** How long hooks of this kind may run now; zero: not at all. */
  leftMs(kind: Kind): number {
    if (this.#exceeded.has(kind)) return 0
    return Math.max(0, Math.min(hookDeadlineMs, this.#until - performance.now()))
  }

  /** Remembers how hooks of this kind have failed. */
  failed(kind: Kind, error: HookError): void {
    if (error.cause instanceof DeadlineError) this.#exceeded.add(kind)
  }
}
