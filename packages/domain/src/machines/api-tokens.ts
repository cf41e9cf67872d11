import { validate as isUuid, v7 as uuidv7 } from 'uuid'
import type { TimerState } from '../change.ts'
import type { Sql } from '../database.ts'
import { canonicalAddress } from '../directory/address.ts'
import { LapseError } from '../errors.ts'
import type { Ground, Work } from '../ground.ts'
import type { By, End } from '../input.ts'
import { durationMs, type Resource } from '../kind.ts'
import { type ApiTokenPayload, scopePattern } from '../kinds/api-token.ts'
import { hasEnded } from '../lifecycle.ts'
import { lineOf } from '../line.ts'
import type { Page } from '../resources.ts'
import { noteSigned } from '../sealed.ts'
import { isSame, newToken, readToken } from '../secret.ts'
import { resourceOf } from '../seen.ts'
import { readJwt, signJwt } from './jwt.ts'
import {
  keepEnd,
  lockToken,
  readTokenRow,
  setSuccessor,
  type TokenRow,
  tokensBySelector,
  touchToken,
} from './token-store.ts'

export type ApiToken = Resource<ApiTokenPayload>

export interface ApiTokenInput extends End {
  /** For people. */
  readonly name: string
  /** `area:act` each, or `*` for everything. */
  readonly scopes: readonly string[]
  /** Whom it acts for, by its id or the host application's own; for all of them without. */
  readonly organization?: string | undefined
  /** Who is told before it expires. */
  readonly email?: string | undefined
  /** `opaque` unless said otherwise. A `jwt` can be read by others; whether it is good is asked here all the same. */
  readonly format?: ApiTokenPayload['format'] | undefined
  /** Lets it live for more than 365 days, up to ten years. */
  readonly longLived?: boolean | undefined
  /** How often it may be used. Whoever verifies it counts; the API does. */
  readonly rateLimit?: { readonly requests: number; readonly seconds: number } | undefined
}

export interface IssuedApiToken {
  /** Shown once. */
  readonly token: string
  readonly apiToken: ApiToken
  readonly timer: TimerState
}

export interface RotateOptions extends End {
  /** How long the old one stays good, at most a day; not at all unless said otherwise. */
  readonly overlapMs?: number | undefined
}

export type VerifiedApiToken =
  | { readonly status: 'valid' | 'expired' | 'revoked' | 'suspended'; readonly apiToken: ApiToken }
  | { readonly status: 'out_of_scope'; readonly apiToken: ApiToken; readonly missing: readonly string[] }
  | { readonly status: 'unknown' }

export interface VerifyOptions {
  /** What it has to be allowed, all of it. */
  readonly scopes?: readonly string[] | undefined
  /** Tokens of other organizations are unknown; by its id. */
  readonly organizationId?: string | undefined
}

const longestOverlapMs = durationMs('24h')

/** Programs and what they may do. */
export class ApiTokens {
  readonly #ground: Ground
  readonly #bySelector: ReturnType<typeof tokensBySelector>

  constructor(ground: Ground) {
    this.#ground = ground
    this.#bySelector = tokensBySelector(ground.checks)
  }

  /**
   * @throws LapseError `invalid`, `unknown_organization`, `organization_not_active`, `lifetime_too_short`,
   *   `lifetime_too_long`, `not_configured` for a JWT without LAPSE_SECRET
   */
  async create(
    { organization, expiresAt, expiresInMs, ...about }: ApiTokenInput,
    by: By = {},
  ): Promise<IssuedApiToken> {
    const payload = payloadOf(about)
    const { value, timer } = await this.#ground
      .locking(organization)
      .commit((work) => this.#issue(work, payload, { organization, expiresAt, expiresInMs }, by))
    return { ...value, timer }
  }

  /**
   * May it be used now, and for this? One indexed read; that it was used is written down at most once a minute. A wrong
   * one is unknown, whatever is wrong with it.
   */
  async verify(token: string, { scopes = [], organizationId }: VerifyOptions = {}): Promise<VerifiedApiToken> {
    const { row, expMs = Number.POSITIVE_INFINITY } = await this.#find(token)
    if (!row || (organizationId !== undefined && row.organizationId !== organizationId)) return { status: 'unknown' }
    const apiToken = this.#seen(row)
    if (row.seen !== 'active') {
      // The verdict stands whatever becomes of this: it only lapses what nobody has swept yet.
      if (hasEnded(row.seen) && !hasEnded(row.status)) await this.#ground.resources.check('api-token', row.id)
      return { status: row.seen as 'expired' | 'revoked' | 'suspended', apiToken }
    }
    // Never so, for no renewal goes past it; unless somebody has moved the end in the database.
    if (row.at.getTime() >= expMs) return { status: 'expired', apiToken }
    const missing = notCovered(apiToken.payload.scopes, scopes)
    if (missing.length > 0) return { status: 'out_of_scope', apiToken, missing }
    // It is good, whether or not that can be written down.
    if (isIdle(row))
      await touchToken(this.#ground.checks, row.id).catch((error) => this.#ground.report(error, 'token-touch'))
    return { status: 'valid', apiToken }
  }

  /**
   * A new one that may do the same, for as long as any new one unless said otherwise. The old one ends when the overlap is
   * over, and no later than it would have.
   *
   * @throws LapseError `not_found`, `already_rotated`, `already_ended`, `invalid`, and as `create`
   */
  async rotate(id: string, { overlapMs = 0, ...end }: RotateOptions = {}, by: By = {}): Promise<IssuedApiToken> {
    if (!(overlapMs === 0 || (overlapMs >= 1000 && overlapMs <= longestOverlapMs)))
      throw new LapseError('invalid', { field: 'overlap', detail: 'From 0 to 86400 seconds.' })
    const { value, timer } = await this.#ground.locking(id).commit(async (work) => {
      const { payload, organizationId } = await existing(work.tx, id)
      const organization = organizationId ?? undefined
      const taking = { ...payload, rotationOf: id }
      // Issued before the old one is locked, for that locks its organization; undone when the old one cannot be rotated.
      const issued = await this.#issue(
        work,
        taking,
        { ...end, organization },
        { ...by, reason: by.reason ?? 'rotated' },
      )
      const old = await lockToken(work.tx, id)
      if (!old) throw new LapseError('not_found')
      if (old.successorId !== null)
        throw new LapseError('already_rotated', { detail: `${old.successorId} has taken its place: rotate that.` })
      if (!old.live)
        throw new LapseError('already_ended', { detail: `It is ${this.#seen(old).word}. Create a new one.` })
      await setSuccessor(work.tx, id, issued.apiToken.id)
      await endAfter(work, id, overlapMs, by)
      return issued
    })
    return { ...value, timer }
  }

  /**
   * Gives it another end. A JWT, whose end stands in it, and one that was rotated can only be given an earlier one.
   *
   * @throws LapseError `not_found`, `already_ended`, `suspended`, `lifetime_too_short`, `lifetime_too_long`
   */
  async renew(id: string, end: End, by: By = {}): Promise<Omit<IssuedApiToken, 'token'>> {
    const { value, timer } = await this.#ground.locking(id).commit(async (work) => {
      const change = await work.resources
        .renew('api-token', id, end, by)
        .catch(
          tooLong(
            'In all it may live for 365 days, long-lived ones for ten years; a JWT, and one that was rotated, end as they were to. Rotate it.',
          ),
        )
      work.changes.push(change)
      return change.resource as ApiToken
    })
    return { apiToken: value, timer }
  }

  /** At once; quiet when it has ended already. @throws LapseError `not_found` */
  async revoke(id: string, by: By = {}): Promise<Omit<IssuedApiToken, 'token'>> {
    const { value, timer } = await this.#ground.locking(id).commit(async (work) => {
      const change = await work.resources.revoke('api-token', id, by)
      work.changes.push(change)
      return change.resource as ApiToken
    })
    return { apiToken: value, timer }
  }

  /** @throws LapseError `not_found` */
  async get(id: string): Promise<ApiToken> {
    return this.#seen(await existing(this.#ground.sql, id))
  }

  /** Newest first; of an organization by its id. */
  async list(
    filter: { readonly organizationId?: string | undefined; readonly live?: boolean | undefined } = {},
    page: Page = {},
  ): Promise<ApiToken[]> {
    return (await this.#ground.resources.list({ ...filter, kind: 'api-token' }, page)) as ApiToken[]
  }

  async #issue(work: Work, payload: ApiTokenPayload, where: End & Pick<ApiTokenInput, 'organization'>, by: By) {
    const id = uuidv7()
    const opaque = payload.format === 'opaque' ? newToken('api-token') : undefined
    const proof = opaque && { selector: opaque.selector, verifier: opaque.verifier }
    const change = await work.resources
      .issue({ ...where, kind: 'api-token', id, payload, proof }, by)
      .catch(tooLong('365 days at most; with long_lived up to ten years.'))
    work.changes.push(change)
    const apiToken = change.resource as ApiToken
    if (opaque) return { token: opaque.token, apiToken }
    await keepEnd(work.tx, id)
    await noteSigned(work.tx, this.#ground.secrets, { until: apiToken.expiresAt })
    return { token: await signJwt(this.#ground.secrets, { ...apiToken, scopes: payload.scopes }), apiToken }
  }

  /** Whose it is, if it is one of ours. */
  async #find(token: string): Promise<{ row: TokenRow | undefined; expMs?: number }> {
    if (!token.includes('.')) {
      const { selector, verifier } = readToken('api-token', token)
      const row = await this.#bySelector(selector)
      return { row: isSame(verifier, row?.verifier && Buffer.from(row.verifier)) ? row : undefined }
    }
    const claims = await readJwt(this.#ground.secrets, token)
    const row = claims && (await readTokenRow(this.#ground.checks, claims.id))
    return claims && row?.payload.format === 'jwt' ? { row, expMs: claims.expMs } : { row: undefined }
  }

  #seen(row: Parameters<typeof resourceOf>[0]): ApiToken {
    return resourceOf(row, this.#ground.registry) as ApiToken
  }
}

/** @throws LapseError `not_found` */
const existing = async (db: Sql, id: string) => {
  const row = isUuid(id) ? await readTokenRow(db, id) : undefined
  if (!row) throw new LapseError('not_found')
  return row as TokenRow & { readonly payload: ApiTokenPayload }
}

/** Those of `wanted` that these scopes do not allow. */
export const notCovered = (scopes: readonly string[], wanted: readonly string[]): string[] =>
  scopes.includes('*') ? [] : wanted.filter((scope) => !scopes.includes(scope))

const idleMs = 60_000
const isIdle = ({ lastUsedAt, at }: TokenRow): boolean =>
  lastUsedAt === null || at.getTime() - lastUsedAt.getTime() >= idleMs

/** The row is locked, and was live. */
const endAfter = async (work: Work, id: string, overlapMs: number, by: By): Promise<void> => {
  const rotated = { ...by, reason: 'rotated' }
  if (overlapMs === 0) return void work.changes.push(await work.resources.revoke('api-token', id, rotated))
  await keepEnd(work.tx, id)
  const end = { expiresInMs: overlapMs }
  const change = await work.resources.renew('api-token', id, end, rotated).catch((error) => {
    // It ends before the overlap does: so be it.
    if (!(error instanceof LapseError && error.code === 'lifetime_too_long')) throw error
    return undefined
  })
  if (!change) return
  work.changes.push(change)
  await keepEnd(work.tx, id)
}

const tooLong =
  (detail: string) =>
  (error: unknown): never => {
    throw error instanceof LapseError && error.code === 'lifetime_too_long'
      ? new LapseError('lifetime_too_long', { ...(error.field && { field: error.field }), detail })
      : error
  }

/** @throws LapseError `invalid` */
const payloadOf = ({ name, scopes, email, format = 'opaque', longLived = false, rateLimit }: ApiTokenInput) => {
  const wrong = scopes.findIndex((scope) => scope.length > 100 || !scopePattern.test(scope))
  if (wrong >= 0)
    throw new LapseError('invalid', { field: `scopes.${wrong}`, detail: 'An area and an act, as trials:write; or *.' })
  if (scopes.length < 1 || scopes.length > 50)
    throw new LapseError('invalid', { field: 'scopes', detail: 'From 1 to 50 of them.' })
  if (rateLimit && !(isCount(rateLimit.requests, 1_000_000) && isCount(rateLimit.seconds, 86_400)))
    throw new LapseError('invalid', {
      field: 'rate_limit',
      detail: 'Whole numbers: 1 to 1000000 requests in 1 to 86400 seconds.',
    })
  return {
    name: lineOf('name', name, 200),
    scopes: [...new Set(scopes)],
    ...(email !== undefined && { email: canonicalAddress('email', email).email }),
    format,
    longLived,
    ...(rateLimit && { rateLimit: { requests: rateLimit.requests, seconds: rateLimit.seconds } }),
  }
}

const isCount = (value: number, most: number): boolean => Number.isInteger(value) && value >= 1 && value <= most
