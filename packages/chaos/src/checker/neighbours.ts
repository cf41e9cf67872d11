import type { History } from '../history.ts'
import { mayBeCancelled, told } from '../owed.ts'
import type { Rule } from './case.ts'

/** So long may a webhook take at least; and so many times what half of all in this run took, on a machine that is busy. */
const leastMs = 2_500
const times = 4
/** Until the noise has begun everywhere. */
const settledMs = 500

const patience = new WeakMap<History, number>()

const patienceIn = (history: History): number => {
  const known = patience.get(history)
  if (known !== undefined) return known
  const arrivedAt = new Map<string, number>()
  for (const { channel, about, at } of history.arrivals)
    if (channel === 'webhook' && !arrivedAt.has(about)) arrivedAt.set(about, at)
  const waits = history.final.events
    .flatMap(({ id, at }) => (arrivedAt.has(id) ? [(arrivedAt.get(id) ?? at) - at] : []))
    .toSorted((a, b) => a - b)
  const found = Math.max(leastMs, times * (waits[Math.floor((waits.length - 1) / 2)] ?? 0))
  patience.set(history, found)
  return found
}

/**
 * While somebody else's receiver hangs, webhooks arrive before that is over: nothing of others waits for it. What happened too
 * late for that is not judged, nor what the next event may have overtaken.
 */
export const heldUp: Rule = ({ events, arrivals }, history) =>
  history.faults
    .filter(({ isNoisy }) => isNoisy)
    .flatMap(({ name, start, end }) =>
      events
        .filter(({ type, at }) => told.has(type) && !mayBeCancelled('webhook', type) && at >= start + settledMs)
        .filter(({ at }) => at <= end - patienceIn(history))
        .filter(({ id }) => !arrivals.some((one) => one.channel === 'webhook' && one.about === id && one.at <= end))
        .map(({ type, at }) => `the webhook of ${type} of ${new Date(at).toISOString()} waited for: ${name}`),
    )
