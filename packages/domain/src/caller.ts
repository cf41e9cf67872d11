import { AsyncLocalStorage } from 'node:async_hooks'

/**
 * Classes of statements, by what they may wait for. Each has connections of its own, see `Shares`.
 *
 * - `checks`: reads of a few rows by an index that wait for no lock: checks, verification of tokens, readiness.
 * - `upkeep`: what a worker has to get done, and waits for no lock: to advance, to sweep, to claim and to complete side effects.
 * - `sign-in`: transactions in which people sign in.
 * - `work`: everything else: verbs, lists, bulks, hooks.
 */
export const lanes = ['checks', 'upkeep', 'sign-in', 'work'] as const

export type Lane = (typeof lanes)[number]

/** On whose behalf statements run. */
export interface Caller {
  readonly lane?: Lane | undefined
  /** Aborted when the caller has given up: what waits is refused, and what runs is cancelled. */
  readonly signal?: AbortSignal | undefined
  /** Shares the connections fairly with others: an organization, or a token without one. */
  readonly owner?: string | undefined
}

const callers = new AsyncLocalStorage<Caller>()

const unnamed: Caller = {}

export const currentCaller = (): Caller => callers.getStore() ?? unnamed

/** Runs `act` and everything that it awaits on behalf of this caller. */
export const asCaller = <T>(caller: Caller, act: () => T): T => callers.run({ ...callers.getStore(), ...caller }, act)

/** For statements that several callers share, or that outlive theirs: none of the callers can cancel them. */
export const unabortable = <T>(act: () => T): T => asCaller({ signal: undefined, owner: undefined }, act)
