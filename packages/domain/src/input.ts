import { v7 as uuidv7 } from 'uuid'
import { emailAddress } from './directory/address.ts'
import { LapseError } from './errors.ts'
import type { Kind, Payload } from './kind.ts'
import type { LifetimeRefusal } from './lifecycle.ts'
import { parsePayload } from './payload.ts'
import type { Proof } from './secret.ts'
import type { Draft, IssueRefusal } from './store/issue.ts'
import type { Cause } from './store/record.ts'
import { storableText } from './text.ts'

/** Until when: an instant, or milliseconds from now by the database's clock. Never both. */
export interface End {
  readonly expiresAt?: Date | undefined
  readonly expiresInMs?: number | undefined
}

export interface IssueInput extends End {
  readonly kind: string
  readonly reference?: string | undefined
  readonly scope?: string | undefined
  /** Whom it is issued in, by its id or by the host application's own; what happens to that happens to it. */
  readonly organization?: string | undefined
  readonly subject?: string | undefined
  readonly payload?: Payload | undefined
  /** Not usable before: an instant, or milliseconds from now. */
  readonly startsAt?: Date | undefined
  readonly startsInMs?: number | undefined
  /** Fewer than the kind's. */
  readonly maxUses?: number | undefined
  /** How often each holder may use it. */
  readonly maxUsesEach?: number | undefined
  /** Shorter than the kind's, in milliseconds. */
  readonly graceMs?: number | undefined
}

/** What kinds with tokens add to it. */
export interface ProvenInput extends IssueInput {
  /** The resource's own, when something has to be bound to it beforehand. */
  readonly id?: string | undefined
  readonly proof?: Proof | undefined
  /** What the mail about its issue carries. */
  readonly sealed?: Buffer | undefined
  /** What has to be typed besides, hashed. */
  readonly password?: string | undefined
  /** What the call that it makes at its end carries, sealed. */
  readonly enclosed?: Buffer | undefined
}

/** Who does it, and why. */
export interface By {
  readonly actor?: string | undefined
  readonly reason?: string | undefined
}

export const manual = ({ actor, reason }: By): Cause => ({
  trigger: 'manual',
  actor: storableText('actor', actor) ?? undefined,
  reason: storableText('reason', reason) ?? undefined,
})

/** A draft with its kind's terms worked in. `path` begins the names of its fields. */
export const draftOf = (kind: Kind, input: ProvenInput, path: string): Draft => {
  const { grace, minLife, maxLife, reminders, maxUses } = kind.terms
  const { graceMs = grace } = input
  const subject = storableText(`${path}subject`, input.subject)
  if (!(graceMs >= 0 && graceMs <= grace))
    throw new LapseError('invalid', { field: `${path}grace`, detail: `At most ${seconds(grace)} for this kind.` })
  const payload = parsePayload(kind, input.payload ?? {}, `${path}payload`)
  const ownMax = kind.maxLifeFor?.(payload)
  return {
    id: input.id ?? uuidv7(),
    kind: kind.name,
    reference: storableText(`${path}reference`, input.reference),
    scope: storableText(`${path}scope`, input.scope),
    organization: storableText(`${path}organization`, input.organization),
    subject,
    payload,
    // It stands in an index: one that is too long would fail the transitions of its whole batch, for good.
    contact: storableText(`${path}payload`, asKept(kind.contact?.({ payload, subject }))),
    maxUses: usesOf(input.maxUses, maxUses, `${path}max_uses`),
    maxUsesEach: usesOf(input.maxUsesEach, maxUses, `${path}max_uses_each`, null),
    ...startOf(input, path),
    ...endOf(input, path, kind.defaultLifeFor?.(payload) ?? kind.defaultLife),
    graceMs,
    minLifeMs: minLife,
    maxLifeMs: ownMax ?? maxLife,
    ownMax: ownMax !== undefined,
    reminders,
    selector: input.proof?.selector ?? null,
    verifier: input.proof?.verifier.toString('base64') ?? null,
    sealed: input.sealed?.toString('base64') ?? null,
    password: input.password ?? null,
    enclosed: input.enclosed?.toString('base64') ?? null,
  }
}

/** An address of the internet as all entrances keep it. A kind may write to another, such as root@localhost. */
const asKept = (contact: string | undefined): string | undefined =>
  contact === undefined ? undefined : (emailAddress.safeParse(contact).data ?? contact)

const usesOf = (given: number | undefined, most: number | null, field: string, otherwise = most): number | null => {
  if (given === undefined) return otherwise
  if (!Number.isInteger(given) || given < 1 || given > (most ?? 2 ** 31 - 1))
    throw new LapseError('invalid', { field, detail: `A whole number from 1 to ${most ?? 2 ** 31 - 1} for this kind.` })
  return given
}

const startOf = ({ startsAt, startsInMs }: IssueInput, path: string) => {
  if (startsAt !== undefined && startsInMs !== undefined)
    throw new LapseError('invalid', { field: `${path}starts_in`, detail: 'Give starts_at or starts_in, not both.' })
  const startsAtMs = startsAt?.getTime() ?? null
  const given = startsAtMs ?? startsInMs ?? 0
  if (!Number.isFinite(given) || Math.abs(given) > 8e15)
    throw new LapseError('invalid', {
      field: `${path}${startsAtMs === null ? 'starts_in' : 'starts_at'}`,
      detail: 'That is not an instant.',
    })
  return { startsAtMs: sane(startsAtMs), startsInMs: sane(startsInMs ?? null) }
}

/** What is long past is refused as too short; but PostgreSQL's calendar does not reach as far back as JavaScript's. */
const sane = (ms: number | null) => ms && Math.max(0, ms)

/** `otherwise`: how long it lives when that is not said. */
export const endOf = (
  end: End,
  path: string,
  otherwise?: number,
): { expiresAtMs: number | null; lifeMs: number | null } => {
  if (end.expiresAt !== undefined && end.expiresInMs !== undefined)
    throw new LapseError('invalid', { field: `${path}expires_in`, detail: 'Give expires_at or expires_in, not both.' })
  const expiresAtMs = end.expiresAt?.getTime() ?? null
  const lifeMs = end.expiresInMs ?? (expiresAtMs === null ? otherwise : undefined) ?? null
  const given = expiresAtMs ?? lifeMs
  if (given === null)
    throw new LapseError('invalid', {
      field: `${path}expires_at`,
      detail: `Say when it ends: expires_at, or expires_in.`,
    })
  // Beyond this PostgreSQL and JavaScript cannot both tell the instant.
  if (!Number.isFinite(given) || Math.abs(given) > 8e15)
    throw new LapseError('invalid', { field: `${path}${endField({ expiresAtMs })}`, detail: 'That is not an instant.' })
  return { expiresAtMs: sane(expiresAtMs), lifeMs: sane(lifeMs) }
}

/** Which of the two was given. */
export const endField = ({ expiresAtMs }: { expiresAtMs: number | null }): string =>
  expiresAtMs === null ? 'expires_in' : 'expires_at'

/** Why a draft was not issued. `path` begins the names of its fields. */
export const issueError = (kind: Kind, draft: Draft, refusal: IssueRefusal, path: string): LapseError => {
  if (refusal === 'no-organization')
    return new LapseError('unknown_organization', { field: `${path}organization`, detail: 'Create it first.' })
  if (refusal === 'organization-not-active')
    return new LapseError('organization_not_active', {
      field: `${path}organization`,
      detail: 'Nothing is issued in it.',
    })
  return lifetimeError(kind, refusal, `${path}${endField(draft)}`, draft)
}

export const lifetimeError = (
  kind: Kind,
  refusal: LifetimeRefusal,
  field: string,
  { payload, issuedAt }: { readonly payload: Payload; readonly issuedAt?: Date },
): LapseError => {
  const { minLife } = kind.terms
  const maxLife = kind.maxLifeFor?.(payload) ?? kind.terms.maxLife
  if (refusal === 'too-short')
    return new LapseError('lifetime_too_short', {
      field,
      detail: `It must end at least ${seconds(minLife)} from now, by the database's clock.`,
    })
  const latest = issuedAt && ` That is ${new Date(issuedAt.getTime() + maxLife).toISOString()}.`
  return new LapseError('lifetime_too_long', {
    field,
    detail: `It may end at most ${seconds(maxLife)} after it was issued, renewals included.${latest ?? ''}`,
  })
}

const seconds = (ms: number): string => (ms === 1000 ? 'one second' : `${ms / 1000} seconds`)
