import { canonicalAddress } from '../directory/address.ts'
import { ensureUser, isClaimed, type Users } from '../directory/users.ts'
import type { Ground } from '../ground.ts'
import type { By } from '../input.ts'
import { readToken } from '../secret.ts'
import { recordRefusal } from './refusals.ts'
import { issueSession, type SignedIn } from './sessions.ts'
import type { Denied, Verifications } from './verifications.ts'

/** Signing in by a link that is sent by mail. */
export class SignIn {
  readonly #ground: Ground
  readonly #users: Users
  readonly #verifications: Verifications

  constructor(ground: Ground, users: Users, verifications: Verifications) {
    this.#ground = ground
    this.#users = users
    this.#verifications = verifications
  }

  /**
   * Sends a link to those who may sign in: a known user, or somebody with a live invite. It does not tell whether it did,
   * and takes about as long either way. The token of an invite that was about to be opened comes along in the link.
   *
   * @throws LapseError `invalid`, `not_configured`
   */
  async request(email: string, { invite }: { invite?: string | undefined } = {}, by: By = {}): Promise<void> {
    const user = await this.#users.find({ email })
    const canonical = canonicalAddress('email', email).canonical
    const invites = await this.#ground.resources.count({ kind: 'invite', subject: canonical, live: true })
    const verification = { purpose: 'sign-in', email: user?.email ?? email, deliver: 'mail' } as const
    const reason = !user && invites === 0 ? 'unknown-address' : user && isClaimed(user) ? 'unverified-user' : undefined
    if (reason) return this.#verifications.ignore(verification, reason, by)
    const next = invite !== undefined && readToken('invite', invite).genuine ? { invite } : {}
    await this.#verifications.request({ ...verification, next }, by, { tellLater: true })
  }

  /** Use of the link, user and session commit together, or none of them does. */
  open(
    token: string,
    { agent }: { agent?: string | undefined } = {},
    by: By = {},
  ): Promise<({ readonly status: 'signed-in' } & SignedIn) | Denied> {
    return this.#verifications.redeem(
      token,
      { purposes: ['sign-in'] },
      by,
      async (work, { email, canonical, resource, user: known }) => {
        // Asked again: the invite may have been withdrawn since the link was sent, and a user deleted.
        if (!known && (await work.resources.count({ kind: 'invite', subject: canonical, live: true })) === 0) {
          await recordRefusal(work.tx, { kind: 'verification', resourceId: resource.id, reason: 'unknown-address' })
          return { status: 'denied' }
        }
        const user = known ?? (await ensureUser(work, { email, verified: true }, by))
        return { status: 'signed-in', ...(await issueSession(work, user, agent, by)) }
      },
    )
  }
}
