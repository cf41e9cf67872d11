import type { FastifyRequest } from 'fastify'
import { canonicalAddress, isUnavailable, type Lapse, LapseError } from 'lapse'
import type { Metrics } from '../metrics.ts'
import { clientOf, type Limits } from './limits.ts'
import { notBefore } from './not-before.ts'

/** Longer than what there is to do takes, so that how long it took tells nothing. */
const floorMs = 250

export interface SignInLinkOptions {
  readonly lapse: Lapse
  readonly limits: Limits
  readonly metrics: Metrics
}

/**
 * Sends a link to sign in to whoever may; with the token of the invite that somebody was about to open. The same for every
 * address, known or not, and after the same time.
 *
 * @throws LapseError `invalid`, HttpError `too_many`, and what has nothing to do with the address
 */
export const createSendSignInLink =
  ({ lapse, limits, metrics }: SignInLinkOptions) =>
  async ({ ip, who, log }: FastifyRequest, given: string, { invite }: { invite?: string } = {}): Promise<void> => {
    const { email, canonical } = canonicalAddress('email', given)
    // All users of the host application come from its one address.
    if (who.is !== 'root') await limits.mailFrom(ip, 'address')
    metrics.signInRequested()
    await notBefore(floorMs, async () => {
      try {
        const requester = who.is === 'root' ? 'host' : clientOf(ip)
        if (await limits.signIn(canonical, requester)) await lapse.signIn.request(email, { invite })
      } catch (error) {
        // What has nothing to do with the address may be told.
        if (isUnavailable(error) || (error instanceof LapseError && error.code === 'not_configured')) throw error
        log.error({ err: error }, 'no link to sign in was sent')
      }
    })
  }

export type SendSignInLink = ReturnType<typeof createSendSignInLink>
