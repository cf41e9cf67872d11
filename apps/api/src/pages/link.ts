import { setTimeout as sleep } from 'node:timers/promises'
import { LapseError, normalizeTyped } from 'lapse'
import { z } from 'zod'
import type { Limits } from '../http/limits.ts'
import { denialFloorMs } from '../http/redemption.ts'

/** What is missing, or there twice, is a token that belongs to nothing. */
const token = z.string().overwrite(normalizeTyped).catch('')

/** What follows the question mark in our links. */
export const Link = z.object({ token })

/** Only an invite's token is taken along: anything else could lead anywhere. */
export const LinkWithInvite = z.object({
  token,
  invite: z
    .string()
    .overwrite(normalizeTyped)
    .regex(/^lps_invite_[0-9A-Za-z]{65}$/)
    .optional()
    .catch(undefined),
})

/**
 * Looks at where a link leads, within the limits and without using anything up. `act` throws `token_not_valid` when it leads
 * nowhere; all other looks are given back.
 */
export const createLook =
  ({ look: limit }: Limits) =>
  async <T>({ ip }: { ip: string }, act: () => Promise<T>): Promise<T> => {
    const floor = sleep(denialFloorMs)
    const attempt = await limit(ip)
    try {
      const seen = await act()
      attempt.giveBack()
      return seen
    } catch (error) {
      if (isDenial(error)) await floor
      else attempt.giveBack()
      throw error
    }
  }

const isDenial = (error: unknown): boolean => error instanceof LapseError && error.code === 'token_not_valid'

export type Look = ReturnType<typeof createLook>
