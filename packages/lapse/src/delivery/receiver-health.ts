import type { Channel, Health } from '@lapse/domain'
import { CallError } from '../outbound/call.ts'
import { FailedError, isUnreachable } from './sender.ts'

/** A receiver that asks for more is probed after this. */
const longestHoldMs = 3_600_000

/**
 * What a failed attempt says of the receiver, for its circuit breaker. An endpoint has to answer every webhook with 2xx, so
 * any other answer counts. A host that is called and a mail server are only down when they cannot be reached.
 */
export const healthOf = (channel: Channel, cause: unknown): Health['receiver'] => {
  const answered = cause instanceof FailedError
  if (channel === 'handler') return undefined
  if (channel === 'webhook' && (answered || cause instanceof CallError)) {
    const holds = answered && (cause.answer.code === 429 || cause.answer.code === 503)
    return { down: true, ...(holds && { holdMs: Math.min(cause.notBeforeMs, longestHoldMs) }) }
  }
  if (isUnreachable(cause)) return { down: true }
  return answered ? 'up' : undefined
}
