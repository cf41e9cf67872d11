import { v7 as uuidv7 } from 'uuid'
import type { TimerState } from '../change.ts'
import { LapseError } from '../errors.ts'
import type { Ground } from '../ground.ts'
import type { By, End, IssueInput } from '../input.ts'
import type { Resource } from '../kind.ts'
import type { ShareLinkPayload } from '../kinds/share-link.ts'
import { lineOf } from '../line.ts'
import { prove } from '../people/prove.ts'
import { recordRefusal } from '../people/refusals.ts'
import { newToken } from '../secret.ts'
import { resourceOf } from '../seen.ts'
import { type ProvableRow, readProvable } from '../store/read.ts'
import { openPass, sealPass } from './pass.ts'
import { HashedPassword, isPassword } from './password.ts'

export type ShareLink = Resource<ShareLinkPayload>

export interface ShareLinkInput extends End, Pick<IssueInput, 'scope' | 'organization' | 'subject'> {
  /** What is shared, for who has opened it. */
  readonly title: string
  /** Where the content is: `https`. Without it the host application shows it, and asks `checkPass` each time. */
  readonly url?: string | undefined
  /** Who shares it. */
  readonly sharedBy?: string | undefined
  /** How often it can be opened; as often as one likes unless said otherwise. */
  readonly maxViews?: number | undefined
  /** Has to be typed to open it: 8 to 200 characters. Inside a transaction it has to come hashed. */
  readonly password?: string | HashedPassword | undefined
}

/** What opening it gives: good for ten minutes, and no longer than the link itself. */
export interface Viewing {
  readonly link: ShareLink
  /** A secret. */
  readonly pass: string
  readonly expiresAt: Date
}

/** Whoever holds a link may know whether its password was wrong; of all else that is wrong they are told nothing. */
export type Unlocked =
  | { readonly status: 'denied' | 'password-required' | 'wrong-password' }
  | ({ readonly status: 'unlocked' } & Viewing)

/** That it may be viewed: what `view` counts. */
export type Admitted =
  | Exclude<Unlocked, { readonly status: 'unlocked' }>
  | { readonly status: 'admitted'; readonly id: string }

/** What a page may show to whoever opens a link. */
export type LookedAt =
  | { readonly state: 'denied' }
  /** `used-up`: open to who has opened it a moment ago, and denied to all others. */
  | { readonly state: 'open' | 'used-up'; readonly id: string; readonly asksPassword: boolean }

/** Called before a password is compared; what it throws stops that. */
export type Guard = (asks: { readonly id: string }) => Promise<void>

const passMs = 10 * 60 * 1000

/** Share links in their own words. Looking at one counts nothing: only `unlock`, which takes a person's click, does. */
export class ShareLinks {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /**
   * The token is shown once.
   *
   * @throws LapseError `invalid`, `not_configured`, `unknown_organization`, `organization_not_active`,
   *   `lifetime_too_short`, `lifetime_too_long`
   */
  async create(
    { title, url, sharedBy, maxViews, password, ...input }: ShareLinkInput,
    by: By = {},
  ): Promise<{ link: ShareLink; token: string; timer: TimerState }> {
    // Without a key nobody could open it.
    this.#ground.secrets.mustHaveKey()
    const payload: ShareLinkPayload = {
      title: lineOf('title', title, 200),
      ...(url !== undefined && { url: httpsOf(url) }),
      ...(sharedBy !== undefined && { sharedBy: lineOf('shared_by', sharedBy, 200) }),
      protected: password !== undefined,
    }
    const hashed = typeof password === 'string' ? await HashedPassword.of(password) : password
    const { token, ...proof } = newToken('share-link')
    const draft = {
      ...input,
      kind: 'share-link',
      id: uuidv7(),
      payload,
      maxUses: maxViews,
      proof,
      password: hashed?.hash,
    }
    const { value, timer } = await this.#ground.locking(input.organization).commit(async (work) => {
      const change = await work.resources.issue(draft, by)
      work.changes.push(change)
      return change.resource
    })
    return { link: value as ShareLink, token, timer }
  }

  /** What its link shows before it is opened. Counts nothing, changes nothing. */
  async look(token: string): Promise<LookedAt> {
    const { row } = await prove(this.#ground, 'share-link', token)
    if (!row?.live) return { state: 'denied' }
    return { state: isUsedUp(row) ? 'used-up' : 'open', id: row.id, asksPassword: row.password !== null }
  }

  /** `admit` and `view` in one. `guard` is asked before a password is compared. */
  async unlock(token: string, password?: string, guard?: Guard, by: By = {}): Promise<Unlocked> {
    const admitted = await this.admit(token, password, guard, by)
    return admitted.status === 'admitted' ? this.view(admitted.id, by) : admitted
  }

  /**
   * Whether this token, with this password, may open it. Counts nothing; comparing takes too long for a transaction.
   *
   * @throws LapseError `too_soon` when too many passwords are being compared
   */
  async admit(token: string, password?: string, guard?: Guard, by: By = {}): Promise<Admitted> {
    const { row, reason } = await prove(this.#ground, 'share-link', token)
    if (!row?.live) return this.#refuse(row?.id, row ? row.seen : reason, by)
    if (row.password === null) return { status: 'admitted', id: row.id }
    if (password === undefined || password === '') return { status: 'password-required' }
    await guard?.({ id: row.id })
    if (await isPassword(password, row.password)) return { status: 'admitted', id: row.id }
    await this.#refuse(row.id, 'wrong-password', by)
    return { status: 'wrong-password' }
  }

  /**
   * Counts one view, if there is one left, and gives a pass. With its last view a link has as long to live as that
   * pass.
   */
  async view(id: string, by: By = {}): Promise<Unlocked> {
    const { value } = await this.#ground.locking(id).commit(async (work) => {
      const used = await work.resources.consume('share-link', id, by)
      if (!used.consumed) return used.reason
      work.changes.push(used)
      const { uses, maxUses, endsAt, seenAt } = used.resource
      const until = Math.min(seenAt.getTime() + passMs, endsAt.getTime())
      const isLast = maxUses !== null && uses >= maxUses
      const expiresAt = new Date(until)
      const pass = this.passUntil(id, expiresAt)
      if (!isLast || until === endsAt.getTime()) return { link: used.resource as ShareLink, pass, expiresAt }
      const last = await work.resources.renew('share-link', id, { expiresAt }, { ...by, reason: 'last view' })
      work.changes.push(last)
      return { link: last.resource as ShareLink, pass, expiresAt }
    })
    return typeof value === 'string' ? this.#refuse(id, value, by) : { status: 'unlocked', ...value }
  }

  /** The pass of a view that was counted before: for whoever asks again. @throws LapseError `not_configured` */
  passUntil(id: string, until: Date): string {
    return sealPass(this.#ground.secrets, id, until)
  }

  /** Whether this pass is good now: what ends the link ends all its passes. */
  async checkPass(pass: string): Promise<Omit<Viewing, 'pass'> | undefined> {
    const opened = openPass(this.#ground.secrets, pass)
    if (!opened) return undefined
    const row = await readProvable(this.#ground.checks, 'share-link', { id: opened.id })
    if (!row?.live || row.at.getTime() >= opened.until) return undefined
    const expiresAt = new Date(Math.min(opened.until, row.endsAt.getTime()))
    return { link: resourceOf(row, this.#ground.registry) as ShareLink, expiresAt }
  }

  /** Gives it a later or an earlier end. @throws LapseError as `lapse.renew` */
  async renew(id: string, end: End, by: By = {}): Promise<{ link: ShareLink; timer: TimerState }> {
    const { value, timer } = await this.#ground.locking(id).commit(async (work) => {
      const change = await work.resources.renew('share-link', id, end, by)
      work.changes.push(change)
      return change.resource
    })
    return { link: value as ShareLink, timer }
  }

  async #refuse(resourceId: string | undefined, reason: string, by: By) {
    await recordRefusal(this.#ground.sql, { kind: 'share-link', resourceId, reason, actor: by.actor })
    return { status: 'denied' } as const
  }
}

const isUsedUp = ({ uses, maxUses }: ProvableRow): boolean => maxUses !== null && uses >= maxUses

/** @throws LapseError `invalid` */
const httpsOf = (url: string): string => {
  const parsed = URL.canParse(url) && url.length <= 2_000 ? new URL(url) : undefined
  if (parsed?.protocol !== 'https:' || parsed.username || parsed.password)
    throw new LapseError('invalid', {
      field: 'url',
      detail: 'An https address of at most 2,000 characters, without a login.',
    })
  return parsed.href
}
