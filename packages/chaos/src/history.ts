/** Milliseconds since 1970 by PostgreSQL's clock; see `time.ts`. */
export type Instant = number

export type KindName =
  | ('trial' | 'pass' | 'seat' | 'api-token' | 'promo-code' | 'access-grant' | 'http-call')
  | ('invite' | 'session' | 'verification' | 'share-link')

export type Verb = 'issue' | 'renew' | 'revoke' | 'expire' | 'consume' | 'check'

/** What a client was told. */
export type Answer =
  /** It has been done. `endsAt` is when it ends by then, grace included; `status` how it stands. */
  | { readonly is: 'done'; readonly endsAt?: Instant; readonly status?: string }
  /** It may be used now; `endsAt` where looking moves its end. */
  | { readonly is: 'allowed'; readonly endsAt?: Instant }
  /** `ended`: it is over, and nothing says how. */
  | { readonly is: 'denied'; readonly reason: string }
  | { readonly is: 'refused'; readonly status: number; readonly code: string }
  /** Nobody has said: it may have been done, or be done yet. */
  | { readonly is: 'unknown'; readonly why: string }

/** One thing that a client wanted, asked for once or, under one key, several times. */
export interface Operation {
  /** Whose: the generator's own name for a resource. */
  readonly life: string
  readonly verb: Verb
  /** Before it was asked for first, and after it was answered last. */
  readonly start: Instant
  readonly end: Instant
  readonly answer: Answer
  /** What was asked for, from the instant of the decision on: to the end, grace included. */
  readonly lifeMs?: number
  /** Until when that was good which was shown for it, whatever becomes of the resource. */
  readonly goodUntil?: Instant
}

/** One resource as its client knows it. */
export interface Life {
  readonly name: string
  readonly kind: KindName
  /** Unless no answer ever told it. */
  readonly id?: string
  readonly maxUses?: number
  /** Whether it stays when all its uses are used up. */
  readonly staysUsedUp?: boolean
  /** How long before its end it is still used, past what it says of itself. */
  readonly graceMs?: number
}

/** An answer of 500 or more, whoever wanted what. */
export interface ServerError {
  readonly at: Instant
  readonly since: Instant
  readonly status: number
  readonly where: string
  readonly body: string
}

/** What a sink has received. */
export interface Arrival {
  readonly channel: 'webhook' | 'email' | 'handler' | 'call'
  /** What a receiver would tell copies by. */
  readonly key: string
  /** What it is about, in its sender's words: no two of a channel are alike. */
  readonly about: string
  /** The life's name or the resource's id. */
  readonly whose: string
  /** What happened: `expired`. */
  readonly type: string
  readonly at: Instant
  /** Whether it was taken, and its sender was there to be told so. */
  readonly accepted: boolean
}

export interface Fault {
  readonly name: string
  readonly start: Instant
  readonly end: Instant
  /** Whether requests may fail meanwhile, and shortly after it. */
  readonly fails: boolean
  /** Whether what ends may end late meanwhile. */
  readonly delays: boolean
  /** Whether side effects are to arrive meanwhile as if it were not. */
  readonly isNoisy?: boolean
}

/** An instant at which somebody lost what they were about to write down: a kill, a cut, a server that went away. */
export type Loss = Instant

/** How a process ended that was asked to. */
export interface Exit {
  readonly name: string
  readonly code: number | null
  readonly ms: number
}

/** What everybody can read when all is over. */
export interface Final {
  readonly at: Instant
  readonly resources: readonly FinalResource[]
  readonly events: readonly FinalEvent[]
  readonly deliveries: readonly FinalDelivery[]
  /** What the hook of `seat` has written into the application's own table. */
  readonly givenBack: readonly string[]
  /** Whose invite has made a member, by the life's name. */
  readonly joined: readonly string[]
}

export interface FinalResource {
  readonly id: string
  readonly kind: string
  /** The life's name. */
  readonly life: string
  readonly status: string
  readonly version: number
  readonly uses: number
  readonly endsAt: Instant
}

export interface FinalEvent {
  readonly id: string
  readonly resourceId: string
  readonly type: string
  readonly version: number
  readonly at: Instant
  readonly trigger: string
  readonly latenessMs: number | null
}

export interface FinalDelivery {
  readonly id: string
  readonly resourceId: string | null
  /** The event's type, without its number. */
  readonly event: string
  readonly channel: string
  readonly status: string
  readonly lastError: string | null
}

export interface History {
  readonly lives: readonly Life[]
  readonly operations: readonly Operation[]
  readonly arrivals: readonly Arrival[]
  readonly faults: readonly Fault[]
  readonly losses: readonly Loss[]
  readonly exits: readonly Exit[]
  readonly serverErrors: readonly ServerError[]
  readonly final: Final
  /** How far the tool's clock may be off PostgreSQL's. */
  readonly uncertaintyMs: number
}
