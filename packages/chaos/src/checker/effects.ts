import { groupBy } from '../group.ts'
import { mayBeCancelled, owed, told } from '../owed.ts'
import type { Rule } from './case.ts'

/** Each event has one delivery for each that it owes, and there is none without its event. */
export const unevenLedger: Rule = ({ life, events, deliveries }) => {
  const expected = new Map<string, number>()
  const count = (about: Map<string, number>, key: string) => about.set(key, (about.get(key) ?? 0) + 1)
  for (const { type } of events)
    for (const channel of [...(told.has(type) ? ['webhook'] : []), ...(owed[life.kind][type] ?? [])])
      count(expected, `${channel} of ${type}`)
  const found = new Map<string, number>()
  for (const { channel, event } of deliveries) count(found, `${channel} of ${event}`)
  return [...new Set([...expected.keys(), ...found.keys()])]
    .filter((key) => expected.get(key) !== found.get(key))
    .map((key) => `${key}: ${expected.get(key) ?? 0} owed, ${found.get(key) ?? 0} in the ledger`)
}

/** What is owed arrives, and the ledger says so. */
export const undelivered: Rule = ({ deliveries, arrivals }) =>
  deliveries.flatMap(({ id, channel, event, status, lastError }) => {
    if (status === 'cancelled' && mayBeCancelled(channel, event)) return []
    if (status !== 'sent') return [`the ${channel} of ${event} is ${status} (${lastError})`]
    return arrivals.some((arrival) => arrival.key === id && arrival.accepted)
      ? []
      : [`the ${channel} of ${event} is said to be sent, and has not arrived`]
  })

/** Copies are told by their id, and there is none more than somebody has lost the note of. */
export const doubled: Rule = ({ arrivals, deliveries }, { losses }) => {
  const known = new Set(deliveries.map(({ id }) => id))
  return [...groupBy(arrivals, ({ channel, about }) => `${channel} ${about}`)].flatMap(([what, copies]) => {
    const keys = [...new Set(copies.map(({ key }) => key))]
    if (keys.length > 1) return [`${what} came under ${keys.length} ids: ${keys.join(', ')}`]
    if (!known.has(keys[0] ?? '')) return [`${what} came under ${keys[0]}, which no ledger knows`]
    const accepted = copies.filter((copy) => copy.accepted)
    const [first, last] = [accepted[0]?.at ?? 0, accepted.at(-1)?.at ?? 0]
    const excused = losses.filter((at) => at >= first - reactionMs && at <= last).length
    if (accepted.length - 1 <= excused) return []
    return [`${what} was taken ${accepted.length} times, with ${excused} losses meanwhile`]
  })
}

/** A loss is noted a little before or after it really happens. */
const reactionMs = 2_000
