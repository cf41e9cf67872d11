import { z } from 'zod'
import { emailAddress } from '../directory/address.ts'
import { defineKind, type Resource } from '../kind.ts'
import { singleLine } from '../line.ts'

const payload = z.strictObject({
  /** Who is told. */
  email: emailAddress.optional(),
  product: singleLine(200).optional(),
  plan: singleLine(100).optional(),
})

export type TrialPayload = z.infer<typeof payload>

const productOf = (resource: Resource<TrialPayload>) => resource.payload.product ?? 'our product'

/** Someone may use something for a while before paying for it. */
export const trial = defineKind({
  name: 'trial',
  payload,
  lifetime: { default: '14d', max: '60d' },
  grace: '24h',
  reminders: ['3d', '1d'],
  words: { consumed: 'converted', grace: 'ending' },
  contact: (resource) => resource.payload.email,
  mail: {
    reminded: ({ resource, remaining, until }) => ({
      subject: `Your trial of ${productOf(resource)} ends in ${remaining}`,
      lines: [
        `Your trial of ${productOf(resource)} ends in ${remaining}, on ${until}.`,
        'Choose a plan before then and everything goes on as it is.',
      ],
    }),
    grace: ({ resource, remaining, until }) => ({
      subject: `Your trial of ${productOf(resource)} has run out`,
      lines: [
        `Your trial of ${productOf(resource)} has run out. You can go on for another ${remaining}, until ${until}.`,
        'After that it ends, unless you choose a plan.',
      ],
    }),
    expired: ({ resource }) => ({
      subject: `Your trial of ${productOf(resource)} has ended`,
      lines: [`Your trial of ${productOf(resource)} has ended.`, 'You can choose a plan at any time to come back.'],
    }),
  },
})

export interface TrialBanner {
  /** `ending`: the last three days before it stops working; `suspended`: with its organization, while time goes on. */
  readonly phase: 'running' | 'ending' | 'grace' | 'suspended' | 'ended' | 'converted'
  /** When it stops working. */
  readonly endsAt: Date
  /** Whole seconds until then, by the database's clock; 0 when it is over. */
  readonly remainingSeconds: number
}

/** What an application shows on top of its pages. */
export const trialBanner = (resource: Resource): TrialBanner => {
  const left = Math.max(0, resource.endsAt.getTime() - resource.seenAt.getTime())
  const phase = phaseOf(resource, left)
  return {
    phase,
    endsAt: resource.endsAt,
    remainingSeconds: phase === 'ended' || phase === 'converted' ? 0 : Math.floor(left / 1000),
  }
}

const threeDays = 3 * 24 * 60 * 60 * 1000

const phaseOf = (resource: Resource, left: number): TrialBanner['phase'] => {
  if (resource.status === 'consumed') return 'converted'
  if (resource.status === 'grace' || resource.status === 'suspended') return resource.status
  if (resource.status !== 'active') return 'ended'
  return left <= threeDays ? 'ending' : 'running'
}
