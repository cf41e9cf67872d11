import type { Instant, Operation } from '../history.ts'

/** No longer than this after it was asked for can something be done that nobody answered. */
export const patienceMs = 30_000

/** When a resource may end, as far as its client can know. */
export interface Ends {
  readonly earliest: Instant
  readonly latest: Instant
}

/** A check says where the end is, or may have moved it, where it is a use that does so. */
const setsEnd = ({ verb, answer, lifeMs }: Operation): boolean =>
  verb === 'issue' || verb === 'renew'
    ? answer.is === 'done' || answer.is === 'unknown'
    : verb === 'check' && lifeMs !== undefined && (answer.is === 'allowed' || answer.is === 'unknown')

/** By when it was done, if it ever was. */
const doneBy = ({ start, end, answer }: Operation): Instant =>
  answer.is === 'unknown' ? Math.max(end, start + patienceMs) : end

const endsOf = ({ start, answer, lifeMs = 0, ...operation }: Operation): Ends => {
  // Answers show whole milliseconds.
  if ((answer.is === 'done' || answer.is === 'allowed') && answer.endsAt !== undefined)
    return { earliest: answer.endsAt, latest: answer.endsAt + 1 }
  return { earliest: start + lifeMs, latest: doneBy({ ...operation, start, answer }) + lifeMs }
}

/**
 * The ends that may have stood while `during` was decided: all that were asked for by then, but for those in whose place
 * another had certainly come before. Undefined when there was none.
 */
export const endsDuring = (
  operations: readonly Operation[],
  during: { readonly start: Instant; readonly end: Instant },
  but?: Operation,
): Ends | undefined => {
  const asked = operations.filter((one) => one !== but && setsEnd(one) && one.start <= during.end)
  const replaced = (one: Operation) =>
    asked.some(({ start, end, answer }) => answer.is !== 'unknown' && start > doneBy(one) && end < during.start)
  const ends = asked.filter((one) => !replaced(one)).map(endsOf)
  if (ends.length === 0) return undefined
  return {
    earliest: Math.min(...ends.map(({ earliest }) => earliest)),
    latest: Math.max(...ends.map(({ latest }) => latest)),
  }
}

/** How often it may have been used at most, and was certainly, by these instants. */
export const usesBy = (operations: readonly Operation[], { start, end }: { start: Instant; end: Instant }) => {
  const uses = operations.filter(({ verb }) => verb === 'consume')
  return {
    certain: uses.filter((one) => one.answer.is === 'done' && one.end < start).length,
    possible: uses.filter(({ answer, ...one }) => (answer.is === 'done' || answer.is === 'unknown') && one.start <= end)
      .length,
  }
}
