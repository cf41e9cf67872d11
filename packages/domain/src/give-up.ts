import { type Duration, durationMs } from './kind.ts'

/** Thrown by whoever delivers a side effect: it must never be tried again. It is dead, and can be retried by hand. */
export class GiveUp extends Error {
  override readonly name: string = 'GiveUp'
}

/** Thrown by whoever delivers a side effect: try it again, and not before. Any other error is tried again when its time comes. */
export class TryAgain extends Error {
  override readonly name: string = 'TryAgain'
  readonly inMs: number

  /** @throws TypeError when `after` is not a duration, such as `'5m'` or a number of milliseconds */
  constructor(message: string, after: Duration, options?: ErrorOptions) {
    super(message, options)
    this.inMs = durationMs(after)
  }
}
