import { v7 as uuidv7 } from 'uuid'
import type { Change, TimerState } from '../change.ts'
import type { Sql } from '../database.ts'
import { lockOrganization } from '../directory/organizations.ts'
import { LapseError } from '../errors.ts'
import type { Ground, Work } from '../ground.ts'
import type { By, End, IssueInput } from '../input.ts'
import type { Resource } from '../kind.ts'
import type { HttpCallPayload } from '../kinds/http-call.ts'
import { type Attempt, callsOf, type Delivery, readDelivery } from '../ledger.ts'
import type { Page } from '../resources.ts'
import type { ResourceFilter } from '../store/resource-list.ts'
import { type CallInput, callOf, publicPart, sealCall } from './call.ts'

export interface HttpCallInput
  extends CallInput,
    End,
    Pick<IssueInput, 'reference' | 'scope' | 'organization' | 'subject'> {
  /** From 1 to 28 in all, 10 unless said otherwise. */
  readonly attempts?: number | undefined
  /** How long each may take: from 1 to 30, 15 unless said otherwise. */
  readonly timeoutSeconds?: number | undefined
}

/** `due`: its time has come, and it is being made or tried again; `dead`: it has been given up, and can be retried. */
export type HttpCallState = 'scheduled' | 'suspended' | 'due' | 'made' | 'dead' | 'cancelled'

export type HttpCall = Resource<HttpCallPayload> & {
  readonly state: HttpCallState
  /** How it is being made, once its time has come. */
  readonly delivery: Delivery | null
}

export interface ChangedHttpCall {
  readonly httpCall: HttpCall
  readonly timer: TimerState
}

const kind = 'http-call'

/** Calls that are made when their time comes. Their end is that time: what makes a resource end makes the call. */
export class HttpCalls {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /**
   * @throws LapseError `invalid`, `lifetime_too_short`, `lifetime_too_long`, `reference_taken`, `unknown_organization`,
   *   `organization_not_active`, `not_configured` without LAPSE_SECRET
   */
  async schedule(input: HttpCallInput, by: By = {}): Promise<ChangedHttpCall> {
    const { url, method, headers, body, attempts = 10, timeoutSeconds = 15, ...about } = input
    const { secrets, addresses } = this.#ground
    const call = callOf({ url, method, headers, body }, addresses)
    const payload: HttpCallPayload = { method: call.method, url: publicPart(call.url), attempts, timeoutSeconds }
    const id = uuidv7()
    const enclosed = sealCall(secrets, id, call)
    return this.#change(about.organization, async ({ tx, resources }) => {
      if (about.organization !== undefined && addresses.hasList)
        addresses.for((await lockOrganization(tx, about.organization)).id).checkUrl(call.url)
      return resources.issue({ ...about, kind, id, payload, enclosed }, by)
    })
  }

  /** With the log of its attempts. @throws LapseError `not_found` */
  async get(id: string): Promise<HttpCall & { readonly log: readonly Attempt[] }> {
    const resource = await this.#ground.resources.get(id)
    if (resource.kind !== kind) throw new LapseError('not_found')
    const [call] = await seen(this.#ground.sql, [resource])
    const { log } = call?.delivery ? await readDelivery(this.#ground.sql, call.delivery.id) : { log: [] }
    return { ...(call as HttpCall), log }
  }

  /** Newest first. */
  async list(filter: Omit<ResourceFilter, 'kind'> = {}, page?: Page): Promise<HttpCall[]> {
    return seen(this.#ground.sql, await this.#ground.resources.list({ ...filter, kind }, page))
  }

  /** To a later or an earlier instant. @throws LapseError as `lapse.renew` */
  async reschedule(id: string, end: End, by: By = {}): Promise<ChangedHttpCall> {
    return this.#change(id, (work) =>
      work.resources.renew(kind, id, end, by).catch(async (error) => {
        if (!(error instanceof LapseError && error.code === 'already_ended')) throw error
        throw await tooLate(work, id)
      }),
    )
  }

  /** It is not made. Quiet when it was cancelled already. @throws LapseError `not_found`, `already_ended` */
  async cancel(id: string, by: By = {}): Promise<ChangedHttpCall> {
    return this.#change(id, async (work) => {
      const change = await work.resources.revoke(kind, id, by)
      if (change.resource.status !== 'revoked') throw await tooLate(work, id)
      return change
    })
  }

  /** Quiet when its time has come already. @throws LapseError `not_found`, `already_ended` when it was cancelled */
  async makeNow(id: string, by: By = {}): Promise<ChangedHttpCall> {
    return this.#change(id, async (work) => {
      const change = await work.resources.expire(kind, id, by)
      if (change.resource.status !== 'expired') throw await tooLate(work, id)
      return change
    })
  }

  async #change(locks: string | undefined, act: (work: Work) => Promise<Change>): Promise<ChangedHttpCall> {
    const { value, timer } = await this.#ground.locking(locks).commit(async (work) => {
      const change = await act(work)
      work.changes.push(change)
      const [call] = await seen(work.tx, [change.resource])
      return call as HttpCall
    })
    return { httpCall: value, timer }
  }
}

const seen = async (db: Sql, resources: readonly Resource[]): Promise<HttpCall[]> => {
  const ended = resources.filter((resource) => resource.status === 'expired')
  const deliveries = new Map(
    (
      await callsOf(
        db,
        ended.map(({ id }) => id),
      )
    ).map((one) => [one.resourceId, one]),
  )
  return resources.map((resource) => {
    const delivery = deliveries.get(resource.id) ?? null
    return { ...(resource as Resource<HttpCallPayload>), delivery, state: stateOf(resource, delivery) }
  })
}

const stateOf = ({ status }: Resource, delivery: Delivery | null): HttpCallState => {
  if (status === 'revoked' || delivery?.status === 'cancelled') return 'cancelled'
  if (status === 'suspended') return 'suspended'
  if (status !== 'expired') return 'scheduled'
  if (delivery?.status === 'sent') return 'made'
  return delivery?.status === 'dead' ? 'dead' : 'due'
}

/** Why nothing can be changed about it any more, and what can be done. */
const tooLate = async ({ tx, resources }: Work, id: string): Promise<LapseError> => {
  const [call] = await seen(tx, [await resources.get(id)])
  const { state, delivery, endsAt, endedAt } = call as HttpCall
  const settled = (delivery?.settledAt ?? endedAt ?? endsAt).toISOString()
  const details: Record<HttpCallState, string> = {
    scheduled: 'Ask again.',
    suspended: 'Ask again.',
    cancelled: `It was cancelled at ${settled}. Schedule a new one.`,
    made: `It was made at ${settled}. Schedule a new one.`,
    dead: `It was given up at ${settled}. Retry its delivery, ${delivery?.id}, or schedule a new one.`,
    due: `It is being made, since ${endsAt.toISOString()}.${delivery ? ` To keep it from being tried again, cancel its delivery, ${delivery.id}.` : ''}`,
  }
  return new LapseError('already_ended', { detail: details[state] })
}
