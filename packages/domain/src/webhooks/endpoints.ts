import { v7 as uuidv7 } from 'uuid'
import type { Sql } from '../database.ts'
import { lockOrganization } from '../directory/organizations.ts'
import { LapseError } from '../errors.ts'
import type { Ground, Work } from '../ground.ts'
import { type By, manual } from '../input.ts'
import { durationMs } from '../kind.ts'
import { forgetLane, probeNow } from '../outbox/circuits.ts'
import { type Notice, oweNotice } from '../outbox/notice.ts'
import type { Page } from '../resources.ts'
import { mostEndpoints } from '../store/record.ts'
import {
  contactOf,
  descriptionOf,
  eventsOf,
  headersOf,
  kindsOf,
  maxPerSecondOf,
  toldOf,
  type WebhookEndpoint,
  type WebhookEndpointChanges,
  type WebhookEndpointInput,
} from './endpoint.ts'
import {
  cancelWaiting,
  changeEndpoint,
  countEndpoints,
  type Deed,
  deleteEndpoint,
  disableEndpoint,
  type EndpointFilter,
  type EndpointTerms,
  enableEndpoint,
  insertEndpoint,
  listEndpoints,
  lockEndpoint,
  noted,
  queueForUnbound,
  readEndpoint,
  resealEndpoint,
} from './endpoint-store.ts'
import { type Replay, type Replayed, replaySpan, resend } from './replay.ts'
import { newSecret, open, seal } from './sealing.ts'

export interface IssuedWebhookEndpoint {
  readonly endpoint: WebhookEndpoint
  /** Shown once. */
  readonly secret: string
}

/** Why an endpoint of an organization is not told of alerts. */
const forAll = 'Alerts are told to endpoints that belong to no organization. Leave it out.'

const usualOverlapMs = durationMs('24h')
const longestOverlapMs = durationMs('7d')

/** Whom to tell over HTTP, and what they are told. */
export class WebhookEndpoints {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /**
   * @throws LapseError `invalid`, `unknown_kind`, `unknown_organization`, `organization_not_active`,
   *   `too_many_endpoints`, `not_configured` without LAPSE_SECRET
   */
  async create(input: WebhookEndpointInput, by: By = {}): Promise<IssuedWebhookEndpoint> {
    const { registry, addresses, secrets } = this.#ground
    const { organization } = input
    const id = uuidv7()
    const secret = newSecret()
    const headers = headersOf(input.headers ?? {})
    const terms: EndpointTerms = {
      url: addresses.checkUrl(input.url),
      description: descriptionOf(input.description),
      kinds: kindsOf(registry, input.kinds ?? []),
      events: eventsOf(input.events ?? [], organization !== undefined && forAll),
      headerNames: Object.keys(headers),
      contact: contactOf(input.contact),
      maxPerSecond: maxPerSecondOf(input.maxPerSecond),
      sealed: seal(secrets, id, { secret, headers }),
    }
    const { value } = await this.#ground.locking(organization ?? 'webhook endpoints').commit(async ({ tx }) => {
      const organizationId = organization === undefined ? null : (await lockOrganization(tx, organization)).id
      addresses.for(organizationId).checkUrl(terms.url)
      if (organizationId === null) await queueForUnbound(tx)
      const limit = organizationId === null ? mostEndpoints.unbound : mostEndpoints.organization
      if ((await countEndpoints(tx, organizationId)) >= limit)
        throw new LapseError('too_many_endpoints', {
          detail: `At most ${limit} ${organizationId === null ? 'without an organization' : 'for an organization'}. Delete one that is not needed any more.`,
        })
      const data = { after: { ...toldOf(terms), organization_id: organizationId } }
      return existing(await insertEndpoint(tx, id, organizationId, terms, { type: 'created', cause: manual(by), data }))
    })
    return { endpoint: value, secret }
  }

  /** @throws LapseError `not_found` */
  async get(id: string): Promise<WebhookEndpoint> {
    return existing(await readEndpoint(this.#ground.sql, id))
  }

  /** Newest first. */
  list(filter: EndpointFilter = {}, page: Page = {}): Promise<WebhookEndpoint[]> {
    return listEndpoints(this.#ground.sql, filter, page)
  }

  /**
   * What is left out stays; `headers` takes the place of all there were.
   *
   * @throws LapseError `not_found`, `invalid`, `unknown_kind`, `not_configured`
   */
  async update(id: string, changes: WebhookEndpointChanges, by: By = {}): Promise<WebhookEndpoint> {
    const { registry, addresses, secrets } = this.#ground
    const { url, description, kinds, contact, maxPerSecond } = changes
    const headers = changes.headers && headersOf(changes.headers)
    const wanted = {
      ...(url !== undefined && { url: addresses.checkUrl(url) }),
      ...(description !== undefined && { description: descriptionOf(description) }),
      ...(kinds !== undefined && { kinds: kindsOf(registry, kinds) }),
      ...(contact !== undefined && { contact: contactOf(contact) }),
      ...(maxPerSecond !== undefined && { maxPerSecond: maxPerSecondOf(maxPerSecond) }),
      ...(headers && { headerNames: Object.keys(headers) }),
    }
    const { value } = await this.#ground.locking(id).commit(async ({ tx }) => {
      const was = existing(await lockEndpoint(tx, id))
      if (wanted.url !== undefined) addresses.for(was.organizationId).checkUrl(wanted.url)
      const events = changes.events && { events: eventsOf(changes.events, was.organizationId !== null && forAll) }
      const is = { ...was, ...wanted, ...events }
      if (headers) is.sealed = seal(secrets, id, { ...open(secrets, id, was.sealed), headers })
      const different = [...termNames.filter((name) => !same(was[name], is[name])), ...(headers ? ['headers'] : [])]
      if (different.length === 0) return existing(await readEndpoint(tx, id))
      const data = { changed: different, before: toldOf(was), after: toldOf(is) }
      // At another address, or at another rate, it has not failed yet.
      await forgetLane(tx, 'webhook', was.id)
      return existing(await changeEndpoint(tx, id, is, { type: 'updated', cause: manual(by), data }))
    })
    return value
  }

  /**
   * A new secret. The one before signs too until the overlap is over, a day unless said otherwise; the one before that
   * does not any more.
   *
   * @throws LapseError `not_found`, `invalid`, `not_configured`
   */
  async rotateSecret(
    id: string,
    { overlapMs = usualOverlapMs }: { readonly overlapMs?: number | undefined } = {},
    by: By = {},
  ): Promise<IssuedWebhookEndpoint> {
    if (!(overlapMs >= 0 && overlapMs <= longestOverlapMs))
      throw new LapseError('invalid', { field: 'overlap', detail: 'From 0 to 604800 seconds.' })
    const { secrets } = this.#ground
    const secret = newSecret()
    const { value } = await this.#ground.locking(id).commit(async ({ tx }) => {
      const was = existing(await lockEndpoint(tx, id))
      const { secret: previous, headers } = open(secrets, id, was.sealed)
      const sealed = seal(secrets, id, { secret, headers, ...(overlapMs > 0 && { previous }) })
      const deed: Deed = { type: 'rotated', cause: manual(by), data: { overlap_seconds: overlapMs / 1_000 } }
      return existing(await resealEndpoint(tx, id, sealed, overlapMs, deed))
    })
    return { endpoint: value, secret }
  }

  /** Nothing is sent to it any more; what waits is cancelled. Quiet when it is disabled. @throws LapseError `not_found` */
  disable(id: string, by: By = {}): Promise<WebhookEndpoint> {
    return this.#turn(id, by, (tx, cause) =>
      disableEndpoint(tx, id, cause.reason ?? 'by hand', { type: 'disabled', cause, data: {} }),
    )
  }

  /** From now on; what it has missed can be replayed. Quiet when it is enabled. @throws LapseError `not_found` */
  enable(id: string, by: By = {}): Promise<WebhookEndpoint> {
    return this.#turn(id, by, async (tx, cause) => {
      await forgetLane(tx, 'webhook', id)
      return enableEndpoint(tx, id, { type: 'enabled', cause, data: {} })
    })
  }

  /**
   * What waits for it is cancelled, in batches that commit on their own. With more than one it is disabled before the second,
   * so that nothing is added meanwhile; a process that dies in between leaves it disabled, and it can be deleted again.
   *
   * @throws LapseError `not_found`
   */
  async delete(id: string, by: By = {}): Promise<WebhookEndpoint> {
    for (;;) {
      const { value } = await this.#ground.locking(id).commit(async ({ tx }) => {
        const was = existing(await readEndpoint(tx, id))
        const more = await cancelWaiting(tx, was.id)
        const cause = manual(by)
        if (!more) {
          await forgetLane(tx, 'webhook', was.id)
          return existing(await deleteEndpoint(tx, was.id, { type: 'deleted', cause, data: { before: toldOf(was) } }))
        }
        await disableEndpoint(tx, was.id, 'it is being deleted', { type: 'disabled', cause, data: {} })
        return undefined
      })
      if (value) return value
    }
  }

  /** Sends it a `lapse.test`, although it may be disabled; its delivery tells how that goes. @throws LapseError `not_found` */
  async test(id: string, by: By = {}): Promise<{ readonly deliveryId: string }> {
    const { value } = await this.#ground.commit(async ({ tx, changes }) => {
      const endpoint = existing(await readEndpoint(tx, id))
      await noted(tx, endpoint.id, { type: 'tested', cause: manual(by), data: {} })
      const owed = await oweNotice(tx, testOf(endpoint), [{ channel: 'webhook', target: endpoint.id }])
      await probeNow(tx, 'webhook', [endpoint.id])
      changes.push({ timers: [], stale: [], owed })
      return { deliveryId: owed[0]?.id ?? '' }
    })
    return value
  }

  /**
   * Sends one again under the same id, however it ended. What a renewal or an end has overtaken stays silent.
   *
   * @throws LapseError `not_found`, `not_replayable`, `endpoint_disabled`
   */
  async resend(deliveryId: string, by: By = {}): Promise<void> {
    await this.#ground.commit(async ({ tx, changes }) => {
      const { target, owed } = await resend(tx, deliveryId)
      await probeNow(tx, 'webhook', [target])
      await noted(tx, target, { type: 'replayed', cause: manual(by), data: { delivery_id: deliveryId } })
      changes.push({ timers: [], stale: [], owed })
    })
  }

  /**
   * Sends what happened in a span of time and the endpoint asks for, the oldest first: again under the same id what it was
   * sent, and for the first time what it was not. At most 10,000 events at once; `cursor` says where to go on.
   *
   * @throws LapseError `not_found`, `invalid`, `unknown_kind`, `endpoint_disabled`
   */
  async replay(id: string, span: Replay, by: By = {}): Promise<Replayed> {
    const kinds = kindsOf(this.#ground.registry, span.kinds ?? [])
    const events = eventsOf(span.events ?? [], 'Alerts are not replayed. Leave it out.')
    if (span.until && span.until <= span.since)
      throw new LapseError('invalid', { field: 'until', detail: 'Give an instant after that of since.' })
    const act = async ({ tx, changes }: Work) => {
      const endpoint = existing(await readEndpoint(tx, id))
      const { owed, ...replayed } = await replaySpan(tx, endpoint, { ...span, kinds, events })
      await probeNow(tx, 'webhook', [endpoint.id])
      const [since, until] = [span.since.toISOString(), span.until?.toISOString() ?? null]
      const data = { since, until, kinds, events, replayed: replayed.replayed }
      await noted(tx, endpoint.id, { type: 'replayed', cause: manual(by), data })
      changes.push({ timers: [], stale: [], owed })
      return replayed
    }
    return (await this.#ground.commit(act, { timeoutMs: 60_000 })).value
  }

  async #turn(
    id: string,
    by: By,
    act: (tx: Sql, cause: Deed['cause']) => Promise<WebhookEndpoint | undefined>,
  ): Promise<WebhookEndpoint> {
    const { value } = await this.#ground.locking(id).commit(async ({ tx }) => {
      const { id: known } = existing(await readEndpoint(tx, id))
      return (await act(tx, manual(by))) ?? existing(await readEndpoint(tx, known))
    })
    return value
  }
}

const existing = <Found extends WebhookEndpoint>(endpoint: Found | undefined): Found => {
  if (!endpoint) throw new LapseError('not_found', { detail: 'There is no webhook endpoint with this id.' })
  return endpoint
}

/** What can be compared of its terms. */
const termNames = ['url', 'description', 'kinds', 'events', 'contact', 'maxPerSecond'] as const

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)

const testOf = ({ id }: WebhookEndpoint): Notice => ({
  type: 'lapse.test',
  data: { endpoint_id: id },
  letter: { subject: 'A test', lines: [] },
})
