import type { Instant, Life, Operation } from '../history.ts'
import { firstReminderMs } from '../owed.ts'
import type { Case, Rule } from './case.ts'
import { terminal } from './case.ts'
import { endsDuring, usesBy } from './ends.ts'

const at = (instant: Instant) => new Date(instant).toISOString().slice(11, 23)
const told = ({ verb, start, end, answer }: Operation) =>
  `${verb} from ${at(start)} to ${at(end)}: ${JSON.stringify(answer)}`

const done = ({ answer }: Operation) => answer.is === 'done'
const maybe = ({ answer }: Operation) => answer.is === 'done' || answer.is === 'unknown'
const ends = ({ verb }: Operation) => verb === 'revoke' || verb === 'expire'

/** Whoever was let in came before the latest end there may have been, and before it was certainly ended by hand or used up. */
export const aliveAfterEnd: Rule = ({ life, operations }, { uncertaintyMs }) =>
  operations.flatMap((one) => {
    const letIn = one.answer.is === 'allowed' || (done(one) && (one.verb === 'consume' || one.verb === 'renew'))
    if (!letIn) return []
    const latest = endsDuring(operations, one, one)?.latest ?? Number.POSITIVE_INFINITY
    if (latest <= one.start - uncertaintyMs) return [`${told(one)}, and its latest end was ${at(latest)}`]
    const ending = operations.find((other) => ends(other) && done(other) && other.end < one.start)
    if (ending) return [`${told(one)}, after ${told(ending)}`]
    if (isUsedUp(life, one, usesBy(operations, one).certain)) return [`${told(one)}, after all of ${life.maxUses} uses`]
    return []
  })

/** Whoever was turned away came when it may have been over; and nothing happens to it before its time. */
export const endedEarly: Rule = (one, { uncertaintyMs }) => [
  ...one.operations.flatMap((operation) => {
    if (operation.answer.is !== 'denied' || isPossible(one, operation, operation.answer.reason, uncertaintyMs))
      return []
    return [`${told(operation)}, and its earliest end was ${at(endsDuring(one.operations, operation)?.earliest ?? 0)}`]
  }),
  ...one.events.flatMap((event) => {
    if (event.trigger === 'manual' || event.trigger === 'cascade') return []
    const aheadMs = aheadOf(event.type, one)
    const earliest = endsDuring(one.operations, { start: event.at, end: event.at })?.earliest
    if (aheadMs === undefined || earliest === undefined) return []
    // Its own lateness says the same, to the microsecond.
    const early = event.at < earliest - aheadMs - uncertaintyMs || (event.latenessMs ?? 0) < 0
    return early ? [`${event.type} by ${event.trigger} at ${at(event.at)}, due at ${at(earliest - aheadMs)}`] : []
  }),
  ...one.arrivals.flatMap((arrival) => {
    if (arrival.type !== 'expired' || one.operations.some(({ verb }) => verb === 'expire')) return []
    const earliest = endsDuring(one.operations, { start: arrival.at, end: arrival.at })?.earliest ?? 0
    if (arrival.at >= earliest - uncertaintyMs) return []
    return [`its ${arrival.channel} came at ${at(arrival.at)}, due at ${at(earliest)}`]
  }),
]

/** Whether so many uses leave nothing to this; what stays when it is used up is only used no more. */
const isUsedUp = ({ maxUses, staysUsedUp }: Life, { verb }: Operation, uses: number): boolean =>
  maxUses !== undefined && uses >= maxUses && (verb === 'consume' || !staysUsedUp)

/** How long before the end this may happen; undefined: at any time. */
const aheadOf = (type: string, { life }: Case): number | undefined => {
  if (type === 'expired') return 0
  if (type === 'grace') return life.graceMs ?? 0
  return type === 'reminded' ? firstReminderMs : undefined
}

const isPossible = ({ life, operations }: Case, denied: Operation, reason: string, uncertaintyMs: number): boolean => {
  if (denied.goodUntil !== undefined && denied.goodUntil <= denied.end + uncertaintyMs) return true
  const asked = operations.filter((one) => one !== denied && one.start <= denied.end && maybe(one))
  const reasons: Record<string, () => boolean> = {
    expired: () =>
      (endsDuring(operations, denied, denied)?.earliest ?? Number.NEGATIVE_INFINITY) <= denied.end + uncertaintyMs ||
      asked.some(({ verb }) => verb === 'expire'),
    revoked: () => asked.some(({ verb }) => verb === 'revoke'),
    consumed: () => isUsedUp(life, denied, usesBy(operations, denied).possible),
    unknown: () => !operations.some((one) => one.verb === 'issue' && done(one) && one.end < denied.start),
  }
  if (reason === 'ended') return ['expired', 'revoked', 'consumed'].some((one) => reasons[one]?.())
  return reasons[reason]?.() ?? false
}

/** What is due ends, soon after its end, or soon after the last fault that holds ends up. */
export const endsInTime =
  (boundMs: number): Rule =>
  ({ operations, events, resources }, { faults }) => {
    if (resources.length === 0) return []
    const last = events.find(({ type }) => terminal.includes(type))
    if (!last) return [`it has never ended: ${events.map(({ type }) => type).join(', ')}`]
    if (last.type !== 'expired' || last.trigger === 'manual') return []
    let deadline = (endsDuring(operations, { start: last.at, end: last.at })?.latest ?? last.at) + boundMs
    for (const { delays, start, end } of faults)
      if (delays && start < deadline) deadline = Math.max(deadline, end + boundMs)
    return last.at <= deadline ? [] : [`it expired at ${at(last.at)}, and had to by ${at(deadline)}`]
  }

/** One end, nothing after it, and everybody reads the same. */
export const endsOnce: Rule = ({ life, resources, events }, { final }) => {
  const endings = events.filter(({ type }) => terminal.includes(type))
  const after = events.slice(events.findIndex(({ type }) => terminal.includes(type)) + 1)
  const problems: string[] = []
  if (endings.length > 1)
    problems.push(`it ended ${endings.length} times: ${endings.map(({ type }) => type).join(', ')}`)
  else if (endings.length === 1 && after.some(({ type }) => lively.has(type)))
    problems.push(`after its end: ${after.map(({ type }) => type).join(', ')}`)
  for (const { id, status } of resources) {
    if (endings[0] && endings[0].type !== status)
      problems.push(`it reads ${status}, and the audit says ${endings[0].type}`)
    const givenBack = final.givenBack.filter((one) => one === id).length
    const expected = life.kind === 'seat' && endings.some(({ type }) => type === 'expired') ? 1 : 0
    if (givenBack !== expected) problems.push(`its hook's row is there ${givenBack} times, instead of ${expected}`)
  }
  return problems
}

const lively = new Set(['issued', 'used', 'renewed', 'reminded', 'grace'])
