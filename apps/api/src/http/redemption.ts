import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import { type ErrorCode, LapseError, normalizeTyped } from 'lapse'
import type { Metrics } from '../metrics.ts'
import type { Limits } from './limits.ts'
import { vouches } from './who.ts'

/** Denials take at least so long, which is longer than any of them does: a row that is found costs a little more than none. */
export const denialFloorMs = 25

export interface Redemption {
  readonly kind: 'invite' | 'verification' | 'share-link'
  /** The part of a token that says which one is meant; for limits, and never the part that proves. */
  readonly selector?: string | undefined
}

/** What comes of it; `denied` is what nobody is told the reason of. */
interface Redeemed {
  readonly status: string
}

/** All that is left once that is told. */
export type Undenied<T extends Redeemed> = T extends { readonly status: 'denied' }
  ? never
  : T & { readonly status: Exclude<T['status'], 'denied'> }

/**
 * Redeems a token, within the limits and counted. Whoever guesses has few tries; what was right, and what could not be
 * answered, is given back. The host application is not limited: its users come from its one address.
 *
 * @throws LapseError `token_not_valid`
 */
export const createRedeem =
  ({ redemption: limit }: Limits, metrics: Metrics) =>
  async <T extends Redeemed>(request: FastifyRequest, { kind, selector }: Redemption, act: () => Promise<T>) => {
    const floor = sleep(denialFloorMs)
    const attempt = vouches(request) ? undefined : await limit.attempt(request.ip, selector)
    const redeemed = await act().catch((error) => {
      attempt?.giveBack()
      const outcome = error instanceof LapseError && undone[error.code]
      if (outcome) metrics.redeemed(kind, outcome)
      throw error
    })
    metrics.redeemed(kind, redeemed.status)
    if (redeemed.status === 'denied') {
      await floor
      throw new LapseError('token_not_valid')
    }
    attempt?.giveBack()
    return redeemed as Undenied<T>
  }

export type Redeem = ReturnType<typeof createRedeem>

/** What is thrown so that nothing of it is kept, under the names that it has as a status. */
const undone: Partial<Record<ErrorCode, string>> = { seats_taken: 'full', unverified_address: 'unverified' }

/** For what is no token of ours one that nobody else has: it harms no owner, and is asked for as long. */
export const selectorOf = (token: string): string =>
  /^lps_[a-z-]+_([0-9A-Za-z]{16})/.exec(normalizeTyped(token))?.[1] ?? randomUUID()
