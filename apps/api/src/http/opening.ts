import type { FastifyRequest } from 'fastify'
import type { Admitted, Lapse } from 'lapse'
import type { Attempt, Limits } from './limits.ts'
import { type Redeem, selectorOf } from './redemption.ts'
import { byOf } from './who.ts'

export interface Opening {
  readonly token: string
  readonly password?: string | undefined
  /** Who tries: whoever had the wrong password waits ever longer, and nobody else does. */
  readonly client: string
}

/**
 * Opens a share link within the limits; `view` counts it. A wrong password is no failure of the token's: of those many
 * would keep others out.
 *
 * @throws LapseError `token_not_valid`, HttpError `too_many`
 */
export const createOpen =
  ({ lapse, limits, redeem }: { lapse: Lapse; limits: Limits; redeem: Redeem }) =>
  <T extends { readonly status: string }>(
    request: FastifyRequest,
    { token, password, client }: Opening,
    view: (id: string) => Promise<T>,
  ) =>
    redeem(request, { kind: 'share-link', selector: selectorOf(token) }, async () => {
      let attempt: Attempt | undefined
      const guard = async ({ id }: { id: string }) => {
        attempt = await limits.password(id, client)
      }
      const giveBack = (error: unknown) => {
        attempt?.giveBack()
        throw error
      }
      const admitted: Admitted = await lapse.shareLinks.admit(token, password, guard, byOf(request)).catch(giveBack)
      if (admitted.status !== 'wrong-password') attempt?.giveBack()
      return admitted.status === 'admitted' ? view(admitted.id) : admitted
    })
