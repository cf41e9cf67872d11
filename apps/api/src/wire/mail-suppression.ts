import type { Suppression } from 'lapse'
import { z } from 'zod'

export const MailSuppression = z
  .object({
    id: z.string().meta({ format: 'uuid' }),
    address: z.string().describe('In lower case, its domain as DNS has it.'),
    reason: z
      .enum(['unsubscribed', 'bounced'])
      .describe('`unsubscribed`: gets no reminders. `bounced`: gets no mail at all.'),
    detail: z.string().nullable(),
    at: z.string().meta({ format: 'date-time' }),
  })
  .meta({ id: 'MailSuppression', description: 'An address that is not to be written to.' })

export const suppressionOut = ({ id, address, reason, detail, at }: Suppression): z.infer<typeof MailSuppression> => ({
  ...{ id, address, reason, detail },
  at: at.toISOString(),
})
