import type { FastifyReply } from 'fastify'
import { LapseError } from 'lapse'
import type { Attempt, Limits } from './limits.ts'

export interface Mailing {
  /** In whose name, when an organization has it sent. */
  readonly organizationId?: string | undefined
  /** The canonical address. */
  readonly target: string
  /** What the mails are about: each has a limit of its own, so that the one kind cannot keep the other from arriving. */
  readonly about: string
}

/**
 * Does what has a mail sent, within the limits. What is refused, or was done before under the same Idempotency-Key, sends
 * nothing and counts for nothing.
 *
 * @throws LapseError `too_soon`, HttpError `too_many`
 */
export const createMail =
  (limits: Limits) =>
  async <T>(reply: FastifyReply, { organizationId, target, about }: Mailing, act: () => Promise<T>): Promise<T> => {
    const taken: Attempt[] = []
    const giveBack = () => {
      for (const attempt of taken) attempt.giveBack()
    }
    try {
      if (organizationId !== undefined) taken.push(await limits.mailFrom(organizationId, 'organization'))
      const to = await limits.mailTo(target, about)
      if (!to) throw new LapseError('too_soon', { detail: 'Many mails went to this address.', retryAfter: 3_600 })
      taken.push(to)
      const done = await act()
      if (reply.hasHeader('idempotent-replayed')) giveBack()
      return done
    } catch (error) {
      giveBack()
      throw error
    }
  }

export type Mail = ReturnType<typeof createMail>
