import { validate as isUuid } from 'uuid'
import { batchSize, cascadeBatch, lastOf } from './cascade.ts'
import { isUnavailable } from './database.ts'
import { type ErrorCode, LapseError } from './errors.ts'
import type { Ground } from './ground.ts'
import { type By, type End, endOf } from './input.ts'
import type { Refusal, Status } from './lifecycle.ts'
import { type Act, judgeResources } from './store/cascade.ts'

/** Which resources, of those that have not ended. At least one but `status` has to be given. */
export interface BulkFilter {
  readonly kind?: string | undefined
  readonly scope?: string | undefined
  /** An organization's id. */
  readonly organizationId?: string | undefined
  readonly subject?: string | undefined
  /** As everybody sees it, by the database's clock. */
  readonly status?: Status | undefined
  /** All kinds but these. */
  readonly exceptKinds?: readonly string[] | undefined
}

export interface BulkOptions extends By {
  /** Only says what would be done. */
  readonly dryRun?: boolean | undefined
  /** Where an earlier call has stopped. */
  readonly after?: string | undefined
  /** Begins no new batch after so long; goes on to the end without. */
  readonly timeMs?: number | undefined
}

export interface BulkResult {
  /** What the filter has found; all of it was changed or refused. */
  readonly matched: number
  /** In a dry run, what would be. */
  readonly changed: number
  /** How many for which reason. */
  readonly refused: Readonly<Partial<Record<ErrorCode, number>>>
  /** Ids of the first of what was changed. */
  readonly sample: readonly string[]
  readonly done: boolean
  /** Where to go on when the time was up. */
  readonly after: string | null
}

const sampleSize = 10

const reasons: Partial<Record<Refusal, ErrorCode>> = {
  suspended: 'suspended',
  'too-short': 'lifetime_too_short',
  'too-long': 'lifetime_too_long',
}

/**
 * Acts on everything that a filter finds, by id, in batches that commit on their own: so nobody waits long for a lock, and
 * what was done stays done when the rest cannot be. What is issued meanwhile may be found or not.
 */
export class Bulk {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /** Each is judged by itself, as `renew` would. @throws LapseError `invalid`, `unknown_kind` */
  async renew(
    filter: BulkFilter & { readonly kind: string },
    end: End,
    options: BulkOptions = {},
  ): Promise<BulkResult> {
    const kind = this.#ground.registry.get(filter.kind, 'filter.kind')
    const until = { ...endOf(end, ''), laterByMs: null }
    return this.#each({ renew: kind, end: until }, filter, options)
  }

  /** Of all kinds, or of one. @throws LapseError `invalid`, `unknown_kind` */
  async revoke(filter: BulkFilter, options: BulkOptions = {}): Promise<BulkResult> {
    if (filter.kind !== undefined) this.#ground.registry.get(filter.kind, 'filter.kind')
    return this.#each('revoke', filter, options)
  }

  async #each(act: Act, filter: BulkFilter, options: BulkOptions): Promise<BulkResult> {
    const { dryRun = false, after: start, timeMs = Number.POSITIVE_INFINITY, ...by } = options
    refuseToActOnAll(filter)
    if (start !== undefined && !isUuid(start))
      throw new LapseError('invalid', { field: 'after', detail: 'Take it from the answer before.' })
    // Of a kind that is left out there is none, and nothing to look through.
    if (filter.kind !== undefined && filter.exceptKinds?.includes(filter.kind))
      return { ...new Tally().result, done: true, after: null }
    const next = async (after: string | undefined) => {
      if (dryRun) {
        const batch = { after, limit: batchSize }
        return judgeResources(this.#ground.sql, this.#ground.registry, act, filter, batch)
      }
      return (await this.#ground.commit((work) => cascadeBatch(work, act, filter, after, by))).value
    }

    const began = performance.now()
    const tally = new Tally()
    for (let after = start; ; ) {
      const rows = await next(after).catch((error) => {
        // Somebody holds one of them for long: what was done before is told, and where to go on.
        if (after === start || !isUnavailable(error)) throw error
      })
      tally.add(rows ?? [])
      if (rows && rows.length < batchSize) return { ...tally.result, done: true, after: null }
      if (rows) after = lastOf(rows)
      if (!rows || performance.now() - began >= timeMs) return { ...tally.result, done: false, after: after ?? null }
    }
  }
}

/** @throws LapseError `invalid` */
const refuseToActOnAll = ({ kind, scope, organizationId, subject }: BulkFilter): void => {
  if ([kind, scope, organizationId, subject].every((value) => value === undefined))
    throw new LapseError('invalid', {
      field: 'filter',
      detail: 'Give kind, scope, organization_id or subject: without any it would be everything there is.',
    })
}

class Tally {
  #changed = 0
  #refused = new Map<ErrorCode, number>()
  #sample: string[] = []

  add(rows: readonly { readonly id: string; readonly moved: boolean; readonly refusal?: Refusal | null }[]): void {
    const moved = rows.filter((row) => row.moved).map((row) => row.id)
    this.#changed += moved.length
    this.#sample.push(...moved.sort().slice(0, sampleSize - this.#sample.length))
    for (const { refusal } of rows) {
      // What is over by the clock is not there, swept or not.
      const reason = refusal && reasons[refusal]
      if (reason) this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1)
    }
  }

  get result() {
    const refused = Object.fromEntries(this.#refused) as BulkResult['refused']
    const matched = [...this.#refused.values()].reduce((sum, count) => sum + count, this.#changed)
    return { matched, changed: this.#changed, refused, sample: this.#sample }
  }
}
