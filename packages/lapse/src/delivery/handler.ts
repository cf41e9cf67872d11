import type { Claim, Domain, HandlerTerms } from '@lapse/domain'
import { happeningOf, occurrenceOf, type Sender } from './sender.ts'

/** The application's own functions. */
export const handlerSender =
  (domain: Domain): Sender =>
  async (claim, { signal }) => {
    const { id: deliveryId, attempt } = claim.delivery
    const { run } = termsOf(domain, claim)
    await run({ ...happeningOf(domain, occurrenceOf(claim)), deliveryId, attempt, signal })
    return undefined
  }

/** @throws when a deployment has taken the handler away; another may bring it back */
export const termsOf = (domain: Domain, claim: Claim): HandlerTerms => {
  const { type } = occurrenceOf(claim).event
  const terms = domain.registry.get(claim.kind).handlers[type]
  if (!terms) throw new Error(`The kind ${claim.kind} has no handler for ${type} any more.`)
  return terms
}
