import ms, { type StringValue } from 'ms'
import type { z } from 'zod'
import type { Prisma } from './generated/prisma/client.ts'
import { type Handler, type HandlerOptions, type HandlerTerms, handlersOf } from './handler.ts'
import type { Status, Terms } from './lifecycle.ts'

/** `'14d'`, `'90 minutes'`, or milliseconds. */
export type Duration = StringValue | number

/** A thousand years: longer ones would leave the calendars that PostgreSQL and JavaScript share. */
const longest = 1_000 * 365 * 24 * 60 * 60 * 1000

/** Something about a kind, or the kinds together, that the author of the configuration can mend. */
export class DefinitionError extends TypeError {
  override readonly name = 'DefinitionError'
}

/** In milliseconds. @throws TypeError when it is not a duration */
export const durationMs = (duration: Duration): number => {
  const milliseconds = typeof duration === 'number' ? duration : ms(duration)
  if (!(milliseconds >= 0 && milliseconds <= longest))
    throw new TypeError(`is not a duration, as '14d' or a number of milliseconds: ${JSON.stringify(duration)}`)
  return milliseconds
}

/** In milliseconds. @throws DefinitionError that names the option when it is not a duration */
export const optionMs = (option: string, duration: Duration): number => {
  try {
    return durationMs(duration)
  } catch (error) {
    throw new DefinitionError(`${option} ${(error as Error).message}`)
  }
}

/** What can happen to a resource. Effects and hooks are registered by these names. */
export type EventType = (typeof eventTypes)[number]

export const eventTypes = [
  ...(['issued', 'used', 'consumed', 'renewed', 'revoked', 'reminded', 'grace', 'expired'] as const),
  ...(['suspended', 'restored', 'requested'] as const),
] as const

export const channels = ['email', 'webhook', 'call', 'handler'] as const
export type Channel = (typeof channels)[number]

/** Any JSON object; what it holds is the kind's own affair. */
export type Payload = Record<string, unknown>

/** A resource as everybody sees it: by the database's clock, whether or not its row has been advanced yet. */
export interface Resource<P = Payload> {
  readonly id: string
  readonly kind: string
  readonly status: Status
  /** The kind's own word for the status, such as `converted`. */
  readonly word: string
  readonly reference: string | null
  readonly scope: string | null
  /** Whom it was issued in. */
  readonly organizationId: string | null
  readonly subject: string | null
  readonly payload: P
  readonly version: number
  readonly uses: number
  /** `null`: any number of uses. */
  readonly maxUses: number | null
  /** How often each holder may use it. `null`: as often as anybody. */
  readonly maxUsesEach: number | null
  /** Of a token that is verified often, to the minute. */
  readonly lastUsedAt: Date | null
  readonly issuedAt: Date
  /** Not usable before. `null`: from its issue on. */
  readonly startsAt: Date | null
  readonly expiresAt: Date
  /** `expiresAt` plus grace: from this instant on it is over. */
  readonly endsAt: Date
  readonly endedAt: Date | null
  /** What the database's clock said when this was read. */
  readonly seenAt: Date
}

/** What happened, as hooks, handlers and templates are told. */
export interface Happening<P = Payload> {
  readonly type: EventType
  readonly resource: Resource<P>
  /** When, by the database's clock. */
  readonly at: Date
  readonly from: Status | null
  readonly to: Status | null
}

/**
 * Runs inside the transition's own transaction, on the whole batch: what it writes commits with the transition, and when
 * it throws, nothing does. It may be called again for the same resource after a failure, never after a success.
 *
 * It has ten seconds, and is treated as one that threw after them. `tx` refuses every statement that comes later than that,
 * or after it has returned: await each one.
 */
export type Hook<P = Payload> = (
  tx: Prisma.TransactionClient,
  happenings: readonly Happening<P>[],
) => Promise<void> | void

/** A mail: in lines, before it is set as text and HTML, or set already. */
export type Letter = { readonly subject: string } & (
  | {
      /** Paragraphs of plain text. */
      readonly lines: readonly string[]
      readonly action?: { readonly label: string; readonly url: string }
      /** The whole of it, in place of what would be made of the lines. */
      readonly text?: string
      readonly html?: string
    }
  | { readonly text: string; readonly html: string; readonly lines?: undefined; readonly action?: undefined }
)

export interface LetterContext<P = Payload> extends Happening<P> {
  /** What really remains, in words: "2 days", "about an hour". */
  readonly remaining: string
  /** Until when it can be used, in words, UTC. */
  readonly until: string
  /** A hosted page's address, such as `url('/account')`. */
  readonly url: (path: string) => string
  /**
   * What was sealed for this mail and goes nowhere else, such as `token`.
   *
   * @throws when it is not there any more: the mail was sent before, or the resource has ended
   */
  readonly secret: (name: string) => string
  /** All that was sealed for this mail, for what need not be there. Empty when it is not there any more. */
  readonly secrets: Readonly<Record<string, string>>
  /** In reminders: the address of the page that stops them. What is made of lines ends with it by itself. */
  readonly unsubscribe?: string | undefined
}

export type Template<P = Payload> = (context: LetterContext<P>) => Letter

type PerEvent<T> = Partial<Record<EventType, T>>

export interface KindDefinition<Name extends string, P extends Payload> {
  /** Lower case, digits and dashes. */
  name: Name
  /** What the resource carries. Unknown fields are refused when the schema is strict. */
  payload: z.ZodType<P>
  lifetime: {
    /** Used when neither an end nor a lifetime is given; without it one must be given. */
    default?: Duration
    /** A default of its own for what carries this, in place of `default`. */
    defaultFor?: (payload: P) => Duration | undefined
    /** One second unless said otherwise. */
    min?: Duration
    /** From the issue to the end, all renewals included. */
    max: Duration
    /** A longest life of its own for what carries this, in place of `max`; `undefined` leaves it at that. */
    maxFor?: (payload: P) => Duration | undefined
  }
  /** How long after `expiresAt` it may still be used. None unless said otherwise. */
  grace?: Duration
  /** How long before the end a reminder goes out; whole seconds. `['3d', '1d']` unless said otherwise. */
  reminders?: readonly Duration[]
  /** Their mails go out within so long after each, and not all at once; which one when follows from its resource's id. */
  spread?: Duration
  /** How long the row is kept after the end. 30 days unless said otherwise. Its events stay for good. */
  retention?: Duration
  /** How often it can be used; once unless said otherwise. */
  uses?: number | 'unlimited'
  /** `stays`: its last use does not end it, for what it has opened; it is only used no more. */
  usedUp?: 'ends' | 'stays'
  /** The kind's own words for statuses. */
  words?: Partial<Record<Status, string>>
  /** The mail address for this resource, if it has one. */
  contact?: (resource: { payload: P; subject: string | null }) => string | undefined
  mail?: PerEvent<Template<P>>
  handlers?: PerEvent<Handler<P> | HandlerOptions<P>>
  hooks?: PerEvent<Hook<P>>
  /** The events at which the call that a resource carries is made. */
  calls?: readonly EventType[]
  /** For built-in kinds whose resources carry a token: they are issued and used only through verbs of their own, named here. */
  verbs?: string
  /** What of a resource stands in no webhook and in no event: a secret, or somebody's address. Default: nothing. */
  confidential?: readonly ConfidentialField[]
}

export type ConfidentialField = 'reference' | 'subject'

/** A kind with its durations worked out and its payload's type remembered only by `payload`. */
export interface Kind<Name extends string = string, P extends Payload = Payload> {
  readonly name: Name
  readonly payload: z.ZodType<P>
  readonly terms: Terms
  readonly defaultLife: number | undefined
  /** In milliseconds, in place of `defaultLife`. */
  readonly defaultLifeFor: ((payload: Payload) => number | undefined) | undefined
  /** In milliseconds, in place of `terms.maxLife`. */
  readonly maxLifeFor: ((payload: Payload) => number | undefined) | undefined
  /** In milliseconds. */
  readonly spread: number
  readonly words: Partial<Record<Status, string>>
  readonly contact: ((resource: { payload: Payload; subject: string | null }) => string | undefined) | undefined
  readonly mail: PerEvent<Template>
  readonly handlers: PerEvent<HandlerTerms>
  readonly hooks: PerEvent<Hook>
  readonly calls: readonly EventType[]
  readonly verbs: string | undefined
  readonly confidential: readonly ConfidentialField[]
}

const options = new Set([
  ...['name', 'payload', 'lifetime', 'grace', 'reminders', 'spread', 'retention', 'uses', 'usedUp'],
  ...['words', 'contact', 'mail', 'handlers', 'hooks', 'calls', 'verbs', 'confidential'],
])
const events = new Set<string>(eventTypes)

/**
 * Defines a class of resources: plain data, a few pure functions, and hooks. It owns no clock and no SQL.
 *
 * @throws DefinitionError naming the option that makes no sense.
 */
export const defineKind = <const Name extends string, P extends Payload>(
  definition: KindDefinition<Name, P>,
): Kind<Name, P> => {
  const { name, lifetime, uses = 1 } = definition
  const wrong = (option: string, why: string): never => {
    throw new DefinitionError(`kind ${JSON.stringify(name)}: ${option} ${why}`)
  }
  const duration = (option: string, value: Duration): number =>
    optionMs(`kind ${JSON.stringify(name)}: ${option}`, value)
  if (!/^[a-z][a-z0-9-]{0,31}$/.test(name)) wrong('name', 'must be lower case letters, digits and dashes, at most 32')
  if (uses !== 'unlimited' && !(Number.isInteger(uses) && uses >= 1)) wrong('uses', 'must be 1 or more, or "unlimited"')

  for (const option of Object.keys(definition))
    if (!options.has(option)) wrong(option, `is no option. There are: ${[...options].join(', ')}`)
  for (const option of ['mail', 'handlers', 'hooks'] as const)
    for (const [event, effect] of Object.entries(definition[option] ?? {})) {
      if (!events.has(event)) wrong(`${option}.${event}`, `is no event. There are: ${[...events].join(', ')}`)
      if (option !== 'handlers' && typeof effect !== 'function') wrong(`${option}.${event}`, 'is not a function')
    }
  if (lifetime?.max === undefined) wrong('lifetime.max', "is missing: say how long it may live at most, as '60d'")

  const minLife = duration('lifetime.min', lifetime.min ?? '1s')
  const maxLife = duration('lifetime.max', lifetime.max)
  const defaultLife = lifetime.default === undefined ? undefined : duration('lifetime.default', lifetime.default)
  if (minLife < 1) wrong('lifetime.min', 'must be at least a millisecond: nothing ends before it began')
  if (maxLife < minLife) wrong('lifetime.max', 'is below lifetime.min')
  if (defaultLife !== undefined && (defaultLife < minLife || defaultLife > maxLife))
    wrong('lifetime.default', 'is outside lifetime.min and lifetime.max')
  const reminders = (definition.reminders ?? ['3d', '1d']).map((value, i) => duration(`reminders[${i}]`, value) / 1000)
  if (reminders.some((seconds) => !Number.isInteger(seconds) || seconds < 1 || seconds >= 2 ** 31))
    wrong('reminders', 'must be whole seconds before the end, at least one, at most 68 years')

  const spread = duration('spread', definition.spread ?? 0)
  if (spread > Math.min(...reminders) * 1000) wrong('spread', 'is longer than the last reminder is before the end')

  if (Object.keys(definition.mail ?? {}).length > 0 && !definition.contact)
    wrong('contact', 'is missing: without it no mail has an address to go to')

  return {
    name,
    payload: definition.payload,
    terms: {
      minLife,
      maxLife,
      grace: duration('grace', definition.grace ?? 0),
      reminders: [...new Set(reminders)].sort((a, b) => b - a),
      retention: duration('retention', definition.retention ?? '30d'),
      maxUses: uses === 'unlimited' ? null : uses,
      staysUsedUp: definition.usedUp === 'stays',
    },
    defaultLife,
    defaultLifeFor: lifetime.defaultFor && lifeFor(lifetime.defaultFor as LifeFor),
    maxLifeFor: lifetime.maxFor && lifeFor(lifetime.maxFor as LifeFor),
    spread,
    words: definition.words ?? {},
    contact: definition.contact as Kind['contact'],
    mail: (definition.mail ?? {}) as Kind['mail'],
    handlers: handlersOf(definition.handlers ?? {}, { wrong, duration }),
    hooks: (definition.hooks ?? {}) as Kind['hooks'],
    calls: definition.calls ?? [],
    verbs: definition.verbs,
    confidential: definition.confidential ?? [],
  }
}

type LifeFor = (payload: Payload) => Duration | undefined

const lifeFor =
  (durationFor: LifeFor) =>
  (payload: Payload): number | undefined => {
    const duration = durationFor(payload)
    return duration === undefined ? undefined : durationMs(duration)
  }
