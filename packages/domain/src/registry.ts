import { LapseError } from './errors.ts'
import { type Channel, DefinitionError, type EventType, type Kind } from './kind.ts'
import type { Status } from './lifecycle.ts'

/** What deliveries that belong to no resource have in place of its kind. */
export const noticeKind = 'lapse'

/** One side effect a kind asks for. A mail's target is the resource's contact. */
interface Effect {
  readonly kind: string
  readonly event: EventType
  readonly channel: Channel
  readonly target: string | null
  /** Its time is put off by up to so many milliseconds. */
  readonly spread?: number
}

/** The kinds one process knows. Rows of other kinds are left to processes that know them, so that no effect is lost. */
export class Registry {
  readonly all: readonly Kind[]
  readonly names: readonly string[]
  readonly effects: readonly Effect[]
  /**
   * Kinds that may be advanced together: all without hooks in one statement; each with hooks for itself, so that a hook
   * that throws holds up nobody else.
   */
  readonly groups: readonly { readonly kinds: readonly Kind[]; readonly hooked: boolean }[]
  /** How long the lease on each handler's attempt is, by its target: longer than it may take, in milliseconds. */
  readonly leases: Readonly<Record<string, number>>
  readonly #kinds: ReadonlyMap<string, Kind>

  constructor(kinds: readonly Kind[]) {
    this.#kinds = new Map(kinds.map((kind) => [kind.name, kind]))
    if (this.#kinds.size < kinds.length) {
      const twice = kinds.find((kind, i) => kinds.findIndex((other) => other.name === kind.name) < i)
      throw new DefinitionError(`kind ${JSON.stringify(twice?.name)} is defined twice`)
    }
    const reserved = kinds.find((kind) => kind.name.startsWith('directory-') || kind.name === noticeKind)
    if (reserved)
      throw new DefinitionError(
        `kind ${JSON.stringify(reserved.name)}: such names are kept for what Lapse itself tells`,
      )
    this.all = kinds
    this.names = kinds.map((kind) => kind.name)
    this.effects = kinds.flatMap((kind) => [
      ...eventsOf(kind.mail).map((event): Effect => {
        const spread = event === 'reminded' && kind.spread > 0 && { spread: kind.spread }
        return { kind: kind.name, event, channel: 'email', target: null, ...spread }
      }),
      ...eventsOf(kind.handlers).map(
        (event): Effect => ({ kind: kind.name, event, channel: 'handler', target: handlerTarget(kind, event) }),
      ),
      ...kind.calls.map((event): Effect => ({ kind: kind.name, event, channel: 'call', target: 'call' })),
    ])
    this.leases = Object.fromEntries(
      kinds.flatMap((kind) =>
        Object.entries(kind.handlers).map(([event, { timeoutMs }]) => [
          handlerTarget(kind, event),
          timeoutMs + settlingMs,
        ]),
      ),
    )
    const hooked = kinds.filter((kind) => this.hasAdvanceHooks(kind))
    const plain = kinds.filter((kind) => !hooked.includes(kind))
    this.groups = [
      ...(plain.length > 0 ? [{ kinds: plain, hooked: false }] : []),
      ...hooked.map((kind) => ({ kinds: [kind], hooked: true })),
    ]
  }

  /** @throws LapseError `unknown_kind` */
  get(name: string, field = 'kind'): Kind {
    const kind = this.#kinds.get(name)
    if (!kind)
      throw new LapseError('unknown_kind', {
        field,
        detail: `Configured here: ${this.names.join(', ')}. Add it to lapse.config.ts.`,
      })
    return kind
  }

  find(name: string): Kind | undefined {
    return this.#kinds.get(name)
  }

  /** Whether time's steps run hooks of it. */
  hasAdvanceHooks(kind: Kind): boolean {
    return advancing.some((event) => kind.hooks[event])
  }

  word(kind: string, status: Status): string {
    return this.#kinds.get(kind)?.words[status] ?? status
  }
}

const advancing = ['reminded', 'grace', 'expired'] as const

/** What writing down how an attempt went may take. */
const settlingMs = 15_000

const handlerTarget = (kind: Kind, event: string): string => `${kind.name}.${event}`

const eventsOf = (effects: Partial<Record<EventType, unknown>>) => Object.keys(effects) as EventType[]
