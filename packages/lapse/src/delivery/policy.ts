import type { Backoff, Channel, Claim, HttpCallPayload, Registry } from '@lapse/domain'
import { occurrenceOf } from './sender.ts'

/** For who is somebody else's to repair: 5 s, doubling up to 6 h, 28 attempts in two to four days. */
export const overDays: Backoff = { baseMs: 5_000, capMs: 6 * 3_600_000, attempts: 28 }

/** Retries for days, beginning as the usual ones do, unless those go on for longer. */
export const forDays = (usual: Backoff): Backoff => ({
  baseMs: usual.baseMs,
  capMs: Math.max(usual.capMs, overDays.capMs),
  attempts: Math.max(usual.attempts, overDays.attempts),
})

/** When this side effect is tried again. `usual` is for what nothing else is said of. */
export const policyOf = (registry: Registry, usual: Backoff, channel: Channel, claim: Claim): Backoff => {
  if (channel === 'webhook') return overDays
  if (channel === 'email') return usual
  const { row, event } = occurrenceOf(claim)
  if (channel === 'call') return { ...overDays, attempts: (row.payload as HttpCallPayload).attempts }
  return { ...usual, ...registry.find(claim.kind)?.handlers[event.type]?.policy }
}
