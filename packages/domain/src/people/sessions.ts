import { validate as isUuid } from 'uuid'
import { cascade } from '../cascade.ts'
import type { TimerState } from '../change.ts'
import { holdUser, type User, userOfId } from '../directory/users.ts'
import { LapseError } from '../errors.ts'
import type { Ground, Work } from '../ground.ts'
import type { By } from '../input.ts'
import type { Resource } from '../kind.ts'
import type { SessionPayload } from '../kinds/session.ts'
import type { Page } from '../resources.ts'
import { newToken } from '../secret.ts'
import { resourceOf } from '../seen.ts'
import { type ProvableRow, readProvable } from '../store/read.ts'
import { unstorable } from '../text.ts'
import { actorOf } from './actor.ts'
import { lockUser } from './lock.ts'
import { prove } from './prove.ts'

export type Session = Resource<SessionPayload>

export interface SessionInput {
  /** The user's id. */
  readonly userId: string
  /** What the browser calls itself; the first 200 characters are kept. */
  readonly agent?: string | undefined
}

export interface SignedIn {
  /** Shown once. */
  readonly token: string
  readonly session: Session
  readonly user: User
}

export type Authenticated =
  | { readonly status: 'valid'; readonly session: Session; readonly user: User }
  /** `known`: it was one of ours, and has ended. */
  | { readonly status: 'denied'; readonly known: boolean }

/** Its end moves only by more than this, so that a session in use is written at most so often; see `#slide`. */
const longestSlideMs = 3_600_000

/** Who is signed in. A session lasts so long without being used and so long at most as its kind says. */
export class Sessions {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /** How long one can last, however it is used. */
  get longestMs(): number {
    return this.#ground.registry.get('session').terms.maxLife
  }

  /** Signs in a user who has proven who they are. @throws LapseError `unknown_user` */
  async issue({ userId, agent }: SessionInput, by: By = {}): Promise<SignedIn & { readonly timer: TimerState }> {
    const { value, timer } = await this.#ground.locking(userId).commit(async (work) => {
      const user = isUuid(userId) ? await holdUser(work.tx, userId) : undefined
      if (!user) throw new LapseError('unknown_user', { field: 'user', detail: 'Create the user first.' })
      return issueSession(work, user, agent, by)
    })
    return { ...value, timer }
  }

  /**
   * Whose token this is. Using it moves its end, up to its kind's maximum; what was revoked in the meantime stays revoked.
   * Denials leave no event: browsers go on sending what is over.
   */
  async authenticate(token: string): Promise<Authenticated> {
    const { row } = await prove(this.#ground, 'session', token)
    if (!row?.live) return { status: 'denied', known: row !== undefined }
    const user = await userOfId(this.#ground.checks, row.subject ?? '')
    const session = user && (await this.#slide(row))
    return session ? { status: 'valid', session, user } : { status: 'denied', known: true }
  }

  /** Live ones, newest first. */
  async list(userId: string, page: Page = {}): Promise<Session[]> {
    return (await this.#ground.resources.list({ kind: 'session', subject: userId, live: true }, page)) as Session[]
  }

  /** Quiet when it has ended already. @throws LapseError `not_found`, for another user's too */
  async revoke(userId: string, sessionId: string, by: By = {}): Promise<Session> {
    const row = isUuid(sessionId) ? await readProvable(this.#ground.sql, 'session', { id: sessionId }) : undefined
    if (row?.subject !== userId) throw new LapseError('not_found')
    const { value } = await this.#ground.locking(sessionId).commit(async (work) => {
      const change = await work.resources.revoke('session', sessionId, by)
      work.changes.push(change)
      return change.resource
    })
    return value as Session
  }

  /** Signs this user out everywhere, or everywhere `except` here, and says of how many sessions. */
  async revokeAll(userId: string, { except }: { except?: string | undefined } = {}, by: By = {}): Promise<number> {
    const { value } = await this.#ground.locking(userId).commit(async (work) => {
      // Whoever is signing in waits, and is signed in after this; or we wait, and find their session.
      await lockUser(work.tx, { id: userId })
      const which = { kind: 'session', subject: userId, except: except && isUuid(except) ? except : undefined }
      return cascade(work, 'revoke', which, by)
    })
    return value
  }

  /** As it is after its use; nothing when it has ended meanwhile. */
  async #slide(row: ProvableRow): Promise<Session | undefined> {
    const { defaultLife = 0 } = this.#ground.registry.get('session')
    const latest = row.issuedAt.getTime() + this.longestMs
    const until = Math.min(row.at.getTime() + defaultLife, latest)
    // Of a short one not more than a tenth: whoever uses it every now and then stays signed in.
    const slideMs = Math.min(longestSlideMs, defaultLife / 10)
    if (until <= row.expiresAt.getTime() + slideMs) return this.#seen(row)
    try {
      const { value } = await this.#ground.locking(row.id).commit(async (work) => {
        const end = { expiresAt: new Date(until), laterByMs: slideMs }
        const change = await work.resources.renew('session', row.id, end, { actor: 'session' })
        work.changes.push(change)
        return change.resource
      })
      return value as Session
    } catch (error) {
      if (!(error instanceof LapseError)) throw error
      // Another request was first, or it has ended: how it stands now decides.
      const again = await readProvable(this.#ground.checks, 'session', { id: row.id })
      return again?.live ? this.#seen(again) : undefined
    }
  }

  #seen(row: ProvableRow): Session {
    return resourceOf(row, this.#ground.registry) as Session
  }
}

/** The user is locked by the caller: whoever ends all their sessions comes before this, or finds this one. */
export const issueSession = async (work: Work, user: User, agent: string | undefined, by: By): Promise<SignedIn> => {
  const { token, ...proof } = newToken('session')
  // Whatever a browser sends; what cannot be stored of it is no reason to keep somebody out.
  const payload: SessionPayload =
    agent === undefined ? {} : { agent: agent.slice(0, 200).replace(new RegExp(unstorable, 'gu'), '') }
  const own = { ...by, actor: by.actor ?? actorOf(user) }
  const change = await work.resources.issue({ kind: 'session', subject: user.id, payload, proof }, own)
  work.changes.push(change)
  return { token, session: change.resource as Session, user }
}
