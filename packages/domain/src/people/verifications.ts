import { v7 as uuidv7 } from 'uuid'
import { cascade } from '../cascade.ts'
import type { TimerState } from '../change.ts'
import { canonicalAddress } from '../directory/address.ts'
import { isClaimed, type User, userOfId, verifyUser } from '../directory/users.ts'
import { LapseError } from '../errors.ts'
import type { CommitOptions, Ground, Work } from '../ground.ts'
import type { By } from '../input.ts'
import type { Resource } from '../kind.ts'
import { type Purpose, pages, purposes, type VerificationPayload } from '../kinds/verification.ts'
import { noteSigned } from '../sealed.ts'
import { newCode, newToken } from '../secret.ts'
import type { ProvableRow } from '../store/read.ts'
import { storableText } from '../text.ts'
import { normalizeDigits } from '../typed.ts'
import { actorOf } from './actor.ts'
import { lockUser } from './lock.ts'
import { prove } from './prove.ts'
import { recordRefusal } from './refusals.ts'
import { countWrong, guessesAnHour, lockNewest, queueFor, recentGuesses, wrongCodes } from './verification-store.ts'

export type Verification = Resource<VerificationPayload>

export interface VerificationInput {
  readonly purpose: Purpose
  readonly email: string
  /** `return` gives the token or the code back, and sends no mail. */
  readonly deliver: 'mail' | 'return'
  /** The host's own page for the mail to lead to, with `{token}` in place of the token. */
  readonly link?: string | undefined
  /** Sealed along with the token, such as the invite that somebody was about to open. */
  readonly next?: Readonly<Record<string, string>> | undefined
}

export interface Requested {
  readonly verification: Verification
  /** Shown once; so is `code`. */
  readonly token?: string
  readonly code?: string
  readonly timer: TimerState
}

export interface Verified {
  readonly status: 'verified'
  readonly purpose: Purpose
  /** As it was given at the request. */
  readonly email: string
  readonly canonical: string
  /** Who has this address, if somebody has. */
  readonly user?: User
  readonly resource: Verification
}

/** All that anybody learns of a token or a code that is not good, whatever the reason; the event has it. */
export interface Denied {
  readonly status: 'denied'
}

export interface Wanted {
  readonly purposes: readonly Purpose[]
}

const denied: Denied = { status: 'denied' }

/**
 * Somebody proves to read an address, by a link or by a code.
 *
 * Inside a transaction of the caller's, as `lapse.once` makes one, a denial has to be answered and not thrown: a throw
 * would undo its event, and the count of wrong codes.
 */
export class Verifications {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /**
   * A new one takes the place of the one before for the same purpose and address.
   *
   * @throws LapseError `invalid`, `not_configured`
   */
  async request(input: VerificationInput, by: By = {}, options?: CommitOptions): Promise<Requested> {
    const { purpose, deliver, next, link } = input
    if (!purposes.includes(purpose))
      throw new LapseError('invalid', { field: 'purpose', detail: `One of: ${purposes.join(', ')}.` })
    checkLink(input)
    const { email, canonical } = canonicalAddress('email', input.email)
    const reference = referenceOf(purpose, canonical)
    const id = uuidv7()
    const { proof, ...secret } = this.#secretOf(purpose, id)
    const mail = deliver === 'mail'
    const sealed = mail ? this.#ground.secrets.seal(id, { ...next, ...secret }) : undefined
    const payload: VerificationPayload = { purpose, email, mail, ...(link !== undefined && { link }) }
    const { value, timer } = await this.#ground.locking(reference).commit(async (work) => {
      await this.#supersede(work, reference, by)
      if (purpose === 'code') await noteSigned(work.tx, this.#ground.secrets, 'code')
      const change = await work.resources.issue(
        { kind: 'verification', id, reference, subject: canonical, payload, proof, sealed },
        by,
      )
      work.changes.push(change)
      return change.resource as Verification
    }, options)
    return { verification: value, ...(!mail && secret), timer }
  }

  /**
   * In place of `request` when nothing is to be sent: it takes about as long, and leaves an event and nothing else.
   *
   * @throws LapseError `invalid`, `not_configured`
   */
  async ignore({ purpose, email }: { purpose: Purpose; email: string }, reason: string, by: By = {}): Promise<void> {
    const reference = referenceOf(purpose, canonicalAddress('email', email).canonical)
    const id = uuidv7()
    const { proof, ...secret } = this.#secretOf(purpose, id)
    // Or else the lack of a key would tell the one from the other.
    this.#ground.secrets.seal(id, secret)
    await this.#ground.locking(reference).commit(async (work) => {
      await this.#supersede(work, reference, by)
      if (purpose === 'code') await noteSigned(work.tx, this.#ground.secrets, 'code')
      await this.#refuse(work, undefined, reason, by)
    })
  }

  /** Whether its link leads anywhere, for the page behind it. Changes nothing and writes nothing. */
  async look(token: string, { purposes: wanted }: Wanted = { purposes }): Promise<{ valid: boolean }> {
    const { row } = await prove(this.#ground, 'verification', token)
    return { valid: row?.live === true && isFor(row, wanted) }
  }

  /**
   * Uses a link's token. Whoever has the address is verified by it. A new password ends all that could act on the old
   * one: sessions, and what else was sent to the address. The user is locked meanwhile, so that a session is either issued
   * before, and ends, or after.
   */
  consume(token: string, wanted: Wanted, by: By = {}): Promise<Verified | Denied> {
    return this.redeem(token, wanted, by, async (_, verified) => verified)
  }

  /** As `consume`, and does `act` in the same transaction. */
  async redeem<T>(
    token: string,
    wanted: Wanted,
    by: By,
    act: (work: Work, verified: Verified) => Promise<T>,
  ): Promise<T | Denied> {
    const { row, about, reason } = await prove(this.#ground, 'verification', token)
    if (!row) return this.#refuse(this.#ground, about, reason, by)
    if (!row.live) return this.#refuse(this.#ground, row.id, row.seen, by)
    if (!isFor(row, wanted.purposes)) return this.#refuse(this.#ground, row.id, 'wrong-purpose', by)
    const { value } = await this.#ground.locking(row.subject).commit(async (work) => {
      const userId = await lockUser(work.tx, { canonical: row.subject ?? '' })
      const verified = await this.#use(work, row, userId, by)
      return verified.status === 'denied' ? verified : act(work, verified)
    })
    return value
  }

  /**
   * Uses the code that was last sent to this address. Wrong ones are counted in the database before anybody is told, one
   * after the other; the fifth locks it.
   *
   * @throws LapseError `invalid`
   */
  async consumeCode({ email }: { email: string }, code: string, by: By = {}): Promise<Verified | Denied> {
    const { canonical } = canonicalAddress('email', email)
    const reference = referenceOf('code', canonical)
    const { value } = await this.#ground.locking(reference).commit(async (work): Promise<Verified | Denied> => {
      const userId = await lockUser(work.tx, { canonical })
      await queueFor(work.tx, reference)
      // A new code is no new chance: what was guessed at the ones before counts too.
      if ((await recentGuesses(work.tx, reference)) >= guessesAnHour)
        return this.#refuse(work, undefined, 'too-many-guesses', by)
      const row = await lockNewest(work.tx, reference)
      const right = this.#ground.secrets.isCode(row?.id ?? '', normalizeDigits(code), row?.verifier)
      if (row?.live && right) return this.#use(work, row, userId, by)
      const count = await countWrong(work.tx, row?.live ? row.id : null)
      // In any case: a statement more or less would tell whether there is a code at all.
      const lock = { kind: 'verification', reference: count === wrongCodes ? reference : '' }
      await cascade(work, 'revoke', lock, { ...by, reason: 'locked' })
      return this.#refuse(work, row?.id, !row ? 'unknown' : row.live ? 'wrong-code' : row.seen, by)
    })
    return value
  }

  #secretOf(purpose: Purpose, id: string) {
    if (purpose !== 'code') {
      const { token, ...proof } = newToken('verification')
      return { proof, token }
    }
    const code = newCode()
    return { proof: { selector: null, verifier: this.#ground.secrets.codeVerifier(id, code) }, code }
  }

  async #supersede(work: Work, reference: string, by: By): Promise<void> {
    await queueFor(work.tx, reference)
    const old = { kind: 'verification', reference }
    await cascade(work, 'revoke', old, { ...by, reason: 'superseded' })
  }

  /** The user, if there is one, is locked by the caller. */
  async #use(work: Work, row: ProvableRow, userId: string | undefined, by: By): Promise<Verified | Denied> {
    const own = { ...by, actor: by.actor ?? (userId && actorOf({ id: userId })) }
    if (isFor(row, ['sign-in']) && (await isClaimedBy(work, userId)))
      return this.#refuse(work, row.id, 'unverified-user', own)
    const used = await work.resources.consume('verification', row.id, own)
    if (!used.consumed) return this.#refuse(work, row.id, used.reason, own)
    work.changes.push(used)
    const { purpose, email } = (used.resource as Verification).payload
    const canonical = row.subject ?? ''
    if (purpose === 'reset-password') {
      const reset = { ...own, reason: 'password reset' }
      await cascade(work, 'revoke', { kind: 'verification', subject: canonical }, reset)
      if (userId) await cascade(work, 'revoke', { kind: 'session', subject: userId }, reset)
    }
    const user = userId && (await verifyUser(work, canonical, own))
    return {
      ...{ status: 'verified', purpose, email, canonical, resource: used.resource as Verification },
      ...(user && { user }),
    }
  }

  async #refuse(where: Ground | Work, resourceId: string | undefined, reason: string, by: By): Promise<Denied> {
    const db = 'tx' in where ? where.tx : where.sql
    await recordRefusal(db, { kind: 'verification', resourceId, reason, actor: by.actor })
    return denied
  }
}

const isClaimedBy = async ({ tx }: Work, userId: string | undefined): Promise<boolean> => {
  const user = userId && (await userOfId(tx, userId))
  return user ? isClaimed(user) : false
}

const referenceOf = (purpose: Purpose, canonical: string): string => `${purpose}:${canonical}`

const isFor = (row: ProvableRow, wanted: readonly Purpose[]): boolean =>
  wanted.includes((row.payload as VerificationPayload).purpose)

/** @throws LapseError `invalid` */
const checkLink = ({ purpose, deliver, link }: VerificationInput): void => {
  const wrong = (detail: string) => new LapseError('invalid', { field: 'link', detail })
  if (link === undefined) {
    if (deliver === 'mail' && purpose !== 'code' && pages[purpose] === undefined)
      throw wrong('Lapse has no page for this: give the address of your own, with {token} in place of the token.')
    return
  }
  if (purpose === 'code') throw wrong('A code is typed: it has no link.')
  storableText('link', link)
  if (!link.includes('{token}') || !/^https?:$/.test(schemeOf(link.replaceAll('{token}', 'token'))))
    throw wrong('An absolute http(s) address with {token} in place of the token.')
}

const schemeOf = (link: string): string => (URL.canParse(link) ? new URL(link).protocol : '')
