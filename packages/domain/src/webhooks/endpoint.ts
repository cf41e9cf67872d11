import { canonicalAddress } from '../directory/address.ts'
import { LapseError } from '../errors.ts'
import { eventTypes } from '../kind.ts'
import { lineOf } from '../line.ts'
import { checkHeaders } from '../outbound/headers.ts'
import type { Registry } from '../registry.ts'

export const endpointStatuses = ['enabled', 'disabled'] as const
export type EndpointStatus = (typeof endpointStatuses)[number]

/** What an endpoint can ask to be told of: what happens to resources, and what an operator should look at. */
export const endpointEvents = [...eventTypes, 'alert'] as const
export type EndpointEvent = (typeof endpointEvents)[number]

/** Whoever wants to be told, over HTTP. */
export interface WebhookEndpoint {
  readonly id: string
  /** Whose resources it is told of; `null`: of everybody's. */
  readonly organizationId: string | null
  readonly url: string
  readonly description: string | null
  /** Empty: of all kinds. */
  readonly kinds: readonly string[]
  /** Empty: of everything that happens to resources. */
  readonly events: readonly EndpointEvent[]
  /** Of its own headers; their values are shown to nobody. */
  readonly headerNames: readonly string[]
  /** Who is told when it is disabled. */
  readonly contact: string | null
  readonly status: EndpointStatus
  /** At most so many attempts a second, over all workers; `null`: no limit of its own. */
  readonly maxPerSecond: number | null
  /** Consecutive attempts that failed, as its circuit breaker counts them. */
  readonly consecutiveFailures: number
  /** Since when its circuit breaker is open: webhooks are held, and one is tried at `nextProbeAt`. `null`: closed. */
  readonly circuitOpenedAt: Date | null
  readonly nextProbeAt: Date | null
  /** Since when every attempt has failed; `null` when the last one did not. */
  readonly failingSince: Date | null
  readonly disabledAt: Date | null
  readonly disabledReason: string | null
  /** Until when the secret before this one signs too. */
  readonly previousUntil: Date | null
  readonly createdAt: Date
  readonly changedAt: Date
}

export interface WebhookEndpointInput {
  readonly url: string
  /** For people. */
  readonly description?: string | undefined
  /** Of all kinds without. */
  readonly kinds?: readonly string[] | undefined
  /** Of everything that happens to resources without; `alert` has to be named. */
  readonly events?: readonly string[] | undefined
  /** Whose resources it is told of, by its id or the host application's own; of everybody's without. */
  readonly organization?: string | undefined
  /** Sent along, such as a login of the receiver's. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Who is told when it is disabled; the operator without. */
  readonly contact?: string | undefined
  /** At most so many attempts a second, over all workers: 1 to 1,000. Default: no limit of its own. */
  readonly maxPerSecond?: number | undefined
}

/** What is left out stays. */
export interface WebhookEndpointChanges
  extends Omit<WebhookEndpointInput, 'organization' | 'description' | 'contact' | 'url' | 'maxPerSecond'> {
  readonly url?: string | undefined
  readonly description?: string | null | undefined
  readonly contact?: string | null | undefined
  readonly maxPerSecond?: number | null | undefined
}

const mostHeaders = 10
const mostEach = 50

/** @throws LapseError `invalid`, `unknown_kind` */
export const kindsOf = (registry: Registry, kinds: readonly string[]): string[] => {
  for (const [i, kind] of few('kinds', kinds).entries()) registry.get(kind, `kinds.${i}`)
  return [...new Set(kinds)]
}

/** `noAlerts`: why alerts are not among them here. @throws LapseError `invalid` */
export const eventsOf = (events: readonly string[], noAlerts: string | false): EndpointEvent[] => {
  for (const [i, event] of few('events', events).entries()) {
    if (!known.has(event))
      throw new LapseError('invalid', { field: `events.${i}`, detail: `One of ${endpointEvents.join(', ')}.` })
    if (event === 'alert' && noAlerts) throw new LapseError('invalid', { field: `events.${i}`, detail: noAlerts })
  }
  return [...new Set(events)] as EndpointEvent[]
}

const known = new Set<string>(endpointEvents)

const few = (field: string, names: readonly string[]): readonly string[] => {
  if (names.length > mostEach) throw new LapseError('invalid', { field, detail: `At most ${mostEach}.` })
  return names
}

/** @throws LapseError `invalid`, naming the header */
export const headersOf = (headers: Readonly<Record<string, string>>): Record<string, string> => {
  const own = checkHeaders(headers, { most: mostHeaders })
  const taken = Object.keys(own).find((name) => /^(content-type|user-agent|webhook-.*)$/i.test(name))
  if (taken)
    throw new LapseError('invalid', { field: `headers.${taken}`, detail: 'This header is set by Lapse. Leave it out.' })
  return own
}

export const contactOf = (contact: string | null | undefined): string | null =>
  typeof contact === 'string' ? canonicalAddress('contact', contact).email : null

/** @throws LapseError `invalid` */
export const maxPerSecondOf = (rate: number | null | undefined): number | null => {
  if (rate === undefined || rate === null) return null
  if (Number.isInteger(rate) && rate >= 1 && rate <= 1_000) return rate
  throw new LapseError('invalid', { field: 'max_per_second', detail: 'Give a whole number from 1 to 1000.' })
}

/** @throws LapseError `invalid` */
export const descriptionOf = (description: string | null | undefined): string | null =>
  typeof description === 'string' ? lineOf('description', description, 500) : null

/** Where it is, without what an address may hold that is nobody else's business. */
export const originOf = ({ url }: { url: string }): string => new URL(url).origin

/** As the audit keeps it for good: no secret, no address of anybody. */
export const toldOf = (endpoint: Pick<WebhookEndpoint, 'url' | 'kinds' | 'events' | 'headerNames'>) => ({
  origin: originOf(endpoint),
  kinds: endpoint.kinds,
  events: endpoint.events,
  header_names: endpoint.headerNames,
})
