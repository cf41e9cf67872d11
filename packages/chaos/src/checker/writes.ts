import type { Operation } from '../history.ts'
import type { Rule } from './case.ts'
import { endsDuring, usesBy } from './ends.ts'

const always = { start: Number.POSITIVE_INFINITY, end: Number.POSITIVE_INFINITY }

/** What has been answered is there; what nobody answered is there at most once. */
export const lostWrite: Rule = ({ life, operations, resources, events }, { final, uncertaintyMs }) => {
  const issue = operations.find(({ verb }) => verb === 'issue')
  const problems: string[] = []
  if (resources.length > 1) problems.push(`one issue made ${resources.length} resources`)
  const [resource] = resources
  if (!resource) return issue?.answer.is === 'done' ? [`it was issued as ${life.id}, and is not there`] : problems
  const count = (type: string) => events.filter((event) => event.type === type).length
  const issued = count('issued')
  if (issued !== 1) problems.push(`it has ${issued} events that it was issued`)
  const renewals = countOf(operations, 'renew')
  // A check that moves the end does so when it is worth writing.
  renewals.possible += operations.filter(({ verb, lifeMs }) => verb === 'check' && lifeMs !== undefined).length
  const renewed = count('renewed')
  if (renewed < renewals.certain || renewed > renewals.possible)
    problems.push(`${renewals.certain} to ${renewals.possible} renewals were made, and the audit has ${renewed}`)
  if (resource.version !== 1 + renewed) problems.push(`version ${resource.version} after ${renewed} renewals`)
  for (const { verb, answer } of operations)
    if (verb === 'revoke' && answer.is === 'done' && answer.status === 'revoked' && resource.status !== 'revoked')
      problems.push(`it was revoked, and is ${resource.status}`)
  const ends = endsDuring(operations, { start: final.at, end: final.at })
  const byHand = operations.some(({ verb }) => verb === 'expire')
  if (
    ends &&
    !byHand &&
    (resource.endsAt < ends.earliest - uncertaintyMs || resource.endsAt > ends.latest + uncertaintyMs)
  )
    problems.push(`it ends at ${new Date(resource.endsAt).toISOString()}, which nobody was told`)
  return problems
}

const countOf = (operations: readonly Operation[], verb: string) => {
  const these = operations.filter((one) => one.verb === verb)
  const certain = these.filter(({ answer }) => answer.is === 'done').length
  return { certain, possible: certain + these.filter(({ answer }) => answer.is === 'unknown').length }
}

/** Every use that was acknowledged counts, and no more than there may be. */
export const wrongUses: Rule = ({ life, operations, resources, events }, { final }) => {
  const joined = final.joined.filter((name) => name === life.name).length
  const accepted = life.kind === 'invite' && events.some(({ type }) => type === 'consumed') ? 1 : 0
  if (joined !== accepted) return [`it was accepted ${accepted} times, and has made ${joined} members`]
  const { certain, possible } = usesBy(operations, always)
  return resources.flatMap(({ uses }) => {
    const told = events.filter(({ type }) => type === 'used' || type === 'consumed').length
    const problems: string[] = []
    if (life.maxUses !== undefined && Math.max(uses, certain) > life.maxUses)
      problems.push(`${uses} uses are counted and ${certain} acknowledged, of ${life.maxUses}`)
    if (uses < certain || uses > possible)
      problems.push(`${uses} uses are counted; ${certain} were acknowledged, and ${possible} asked for`)
    if (told !== uses) problems.push(`${uses} uses are counted, and the audit has ${told}`)
    return problems
  })
}

const sensible = new Set(['reference_taken', 'idempotency_running', 'not_later'])

/** Nobody is refused without a reason. */
export const wrongAnswer: Rule = ({ operations }) =>
  operations.flatMap(({ verb, answer }) =>
    answer.is === 'refused' && !sensible.has(answer.code)
      ? [`${verb} was refused: ${answer.status} ${answer.code}`]
      : [],
  )
