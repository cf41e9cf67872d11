/**
 * The lifecycle as pure functions: no clock, no database. Instants are epoch milliseconds and `now` is always given.
 *
 * `store/` says the same in SQL, by PostgreSQL's clock; tests hold the two against each other. The table of verbs and
 * the diagram stand in this package's README.
 */

/**
 * Two are never stored, only seen: `suspended`, what would be live but for the suspension of whom it belongs to, and
 * `scheduled`, what is not live yet.
 */
export type Status = 'active' | 'grace' | 'expired' | 'revoked' | 'consumed' | 'suspended' | 'scheduled'
export type Step = 'remind' | 'expire' | 'end-grace' | 'purge'

/** The part of a resource that decides its fate. */
export interface Life {
  readonly status: Status
  readonly version: number
  readonly uses: number
  /** `null`: any number. */
  readonly maxUses: number | null
  readonly issuedAt: number
  /** Not usable before. */
  readonly startsAt: number | null
  readonly expiresAt: number
  /** No renewal goes past it; `null`: past the kind's longest life. */
  readonly latestAt: number | null
  /** `expiresAt` plus grace. */
  readonly endsAt: number
  readonly endedAt: number | null
  /** Not usable from then on, until it is restored; its time goes on. */
  readonly suspendedAt: number | null
  /** Seconds before `expiresAt`. */
  readonly reminders: readonly number[]
  readonly dueAt: number | null
  readonly nextStep: Step | null
}

/** What a kind allows; all in milliseconds but `reminders`. */
export interface Terms {
  readonly minLife: number
  readonly maxLife: number
  readonly grace: number
  /** Seconds before the end. */
  readonly reminders: readonly number[]
  /** How long an ended row is kept. */
  readonly retention: number
  readonly maxUses: number | null
  /** Its last use does not end it: what that opened stays open as long as it lives. */
  readonly staysUsedUp: boolean
}

export type LifetimeRefusal = 'too-short' | 'too-long'
export type Refusal =
  | LifetimeRefusal
  | 'not-later'
  | 'ended'
  | 'suspended'
  | 'not-suspended'
  | 'not-started'
  | 'no-holder'
  | 'used-up'

/** One delayed job: look at the resource when `dueAt` has come. */
export interface Timer {
  readonly id: string
  readonly kind: string
  readonly version: number
  readonly step: Exclude<Step, 'purge'>
  readonly dueAt: number
  /** Which reminder: seconds before the end. */
  readonly offset?: number
}

/** Over means endsAt <= now: at the very instant. */
export const isOver = (life: Life, now: number): boolean => hasEnded(life.status) || now >= life.endsAt

/** Live means that it can be used: begun, not over, and not suspended. */
export const isLive = (life: Life, now: number): boolean =>
  !isOver(life, now) && life.suspendedAt === null && hasStarted(life, now)

const hasStarted = ({ startsAt }: Life, now: number): boolean => startsAt === null || now >= startsAt

export const hasEnded = (status: Status): boolean =>
  status === 'expired' || status === 'revoked' || status === 'consumed'

/** The status everybody sees, whether or not the row has been advanced yet. */
export const seenStatus = (life: Life, now: number): Status => {
  if (hasEnded(life.status)) return life.status
  if (now >= life.endsAt) return 'expired'
  if (life.suspendedAt !== null) return 'suspended'
  if (!hasStarted(life, now)) return 'scheduled'
  return now >= life.expiresAt ? 'grace' : 'active'
}

/** `startsAt`: when it can be used first, if that is later. `longest`: its own longest life, in place of its kind's. */
export const issue = (
  terms: Terms,
  expiresAt: number,
  now: number,
  { startsAt = null, longest = null }: { startsAt?: number | null; longest?: number | null } = {},
): Life | Refusal => {
  const latestAt = longest === null ? null : now + longest
  const refusal = lifetimeRefusal(terms, { issuedAt: now, startsAt, latestAt }, expiresAt, now)
  if (refusal) return refusal
  return scheduled(
    {
      status: 'active',
      version: 1,
      uses: 0,
      maxUses: terms.maxUses,
      issuedAt: now,
      startsAt,
      expiresAt,
      latestAt,
      endsAt: expiresAt + terms.grace,
      endedAt: null,
      suspendedAt: null,
      reminders: terms.reminders,
      dueAt: null,
      nextStep: null,
    },
    now,
  )
}

/**
 * A later or an earlier end (with `laterBy`, one that is later by more than so many milliseconds), with the same grace. Never past the kind's maximum life,
 * counted from the issue.
 */
export const renew = (
  life: Life,
  terms: Terms,
  expiresAt: number,
  now: number,
  laterBy: number | null = null,
): Life | Refusal => {
  const blocked = blockedRefusal(life, now)
  if (blocked) return blocked
  const refusal = lifetimeRefusal(terms, life, expiresAt, now)
  if (refusal) return refusal
  if (laterBy !== null && expiresAt <= life.expiresAt + laterBy) return 'not-later'
  const grace = life.endsAt - life.expiresAt
  const { reminders } = terms
  const renewed: Life = { ...life, status: 'active', expiresAt, endsAt: expiresAt + grace, reminders }
  return scheduled({ ...renewed, version: life.version + 1 }, now)
}

/** One use; the last one ends it, unless its kind says otherwise. */
export const consume = (life: Life, terms: Terms, now: number): Life | Refusal => {
  const blocked = blockedRefusal(life, now)
  if (blocked) return blocked
  if (!hasStarted(life, now)) return 'not-started'
  if (life.maxUses !== null && life.uses >= life.maxUses) return 'used-up'
  const uses = life.uses + 1
  if (life.maxUses === null || uses < life.maxUses || terms.staysUsedUp) return { ...life, uses }
  return ended({ ...life, uses }, 'consumed', now, terms.retention)
}

/** Takes effect at once. What is over by the clock has expired and cannot be revoked any more. */
export const revoke = (life: Life, terms: Terms, now: number): Life | Refusal =>
  isOver(life, now) ? 'ended' : ended(life, 'revoked', now, terms.retention)

/** Blocks it until it is restored. Its time goes on: it expires meanwhile as it would have. */
export const suspend = (life: Life, now: number): Life | Refusal =>
  blockedRefusal(life, now) ?? { ...life, suspendedAt: now }

export const restore = (life: Life, now: number): Life | Refusal => {
  if (isOver(life, now)) return 'ended'
  return life.suspendedAt === null ? 'not-suspended' : { ...life, suspendedAt: null }
}

/** Ended by hand, before its time and without grace. */
export const expireNow = (life: Life, terms: Terms, now: number): Life | Refusal => {
  if (isOver(life, now)) return 'ended'
  const expiresAt = Math.min(life.expiresAt, now)
  return ended({ ...life, expiresAt, endsAt: now }, 'expired', now, terms.retention)
}

export interface Advance {
  readonly life: Life
  readonly event: 'reminded' | 'grace' | 'expired'
  /** Which reminder: seconds before the end. After an outage only the latest that was missed. */
  readonly offset?: number
  /** From the instant it should have happened. */
  readonly latenessMs: number
}

/** What is due now, in one step to where the clock says it is; `undefined` when nothing is. */
export const advance = (life: Life, terms: Terms, now: number): Advance | undefined => {
  if (hasEnded(life.status) || life.dueAt === null || now < life.dueAt) return undefined
  if (now >= life.endsAt) {
    const purgeFrom = ended(life, 'expired', now, terms.retention)
    return { life: { ...purgeFrom, endedAt: life.endsAt }, event: 'expired', latenessMs: now - life.endsAt }
  }
  if (now >= life.expiresAt) {
    const inGrace: Life = { ...life, status: 'grace', dueAt: life.endsAt, nextStep: 'end-grace' }
    return { life: inGrace, event: 'grace', latenessMs: now - life.expiresAt }
  }
  const offset = Math.min(...life.reminders.filter((seconds) => life.expiresAt - seconds * 1000 <= now))
  return {
    life: scheduled(life, now),
    event: 'reminded',
    offset,
    latenessMs: now - (life.expiresAt - offset * 1000),
  }
}

/** The delayed jobs for a resource that has just been issued, renewed or advanced. */
export const timersOf = (resource: { id: string; kind: string } & Life, now: number): Timer[] => {
  const { id, kind, version } = resource
  if (resource.status === 'grace') return [{ id, kind, version, step: 'end-grace', dueAt: resource.endsAt }]
  if (resource.status !== 'active') return []
  const reminders = resource.reminders
    .map((offset): Timer => ({ id, kind, version, step: 'remind', dueAt: resource.expiresAt - offset * 1000, offset }))
    .filter((timer) => timer.dueAt > now)
  return [...reminders, { id, kind, version, step: 'expire', dueAt: resource.expiresAt }]
}

const blockedRefusal = (life: Life, now: number): 'ended' | 'suspended' | undefined => {
  if (isOver(life, now)) return 'ended'
  return life.suspendedAt === null ? undefined : 'suspended'
}

const lifetimeRefusal = (
  { minLife, maxLife }: Terms,
  { issuedAt, startsAt, latestAt }: Pick<Life, 'issuedAt' | 'startsAt' | 'latestAt'>,
  expiresAt: number,
  now: number,
): LifetimeRefusal | undefined => {
  if (expiresAt - Math.max(now, startsAt ?? now) < minLife) return 'too-short'
  if (expiresAt > (latestAt ?? issuedAt + maxLife)) return 'too-long'
  return undefined
}

/** The next reminder still ahead, else the end. A reminder already past is never sent. */
const scheduled = (life: Life, now: number): Life => {
  const ahead = life.reminders.map((seconds) => life.expiresAt - seconds * 1000).filter((at) => at > now)
  return ahead.length > 0
    ? { ...life, dueAt: Math.min(...ahead), nextStep: 'remind' }
    : { ...life, dueAt: life.expiresAt, nextStep: 'expire' }
}

const ended = (life: Life, status: Status, now: number, retention: number): Life => ({
  ...life,
  status,
  endedAt: now,
  dueAt: now + retention,
  nextStep: 'purge',
})
