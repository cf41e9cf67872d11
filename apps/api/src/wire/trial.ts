import { type Changed, type Resource as LapseResource, trialBanner } from 'lapse'
import { z } from 'zod'
import { ChangedResource, changedOut, Resource, resourceOut } from './resource.ts'

const banner = z
  .object({
    phase: z
      .enum(['running', 'ending', 'grace', 'suspended', 'ended', 'converted'])
      .describe(
        '`ending`: the last three days before it stops working; `suspended`: with its organization, while time goes on.',
      ),
    ends_at: z.string().meta({ format: 'date-time' }).describe('When it stops working.'),
    remaining_seconds: z.int().describe('Until then, by the database clock; 0 when it is over.'),
  })
  .describe('What an application shows on top of its pages.')

export const Trial = Resource.extend({ banner }).meta({ id: 'Trial', description: 'A resource of the kind `trial`.' })

export const ChangedTrial = ChangedResource.extend({ banner }).meta({
  id: 'ChangedTrial',
  description: 'A trial after a change.',
})

const bannerOut = (resource: LapseResource): z.infer<typeof banner> => {
  const { phase, endsAt, remainingSeconds } = trialBanner(resource)
  return { phase, ends_at: endsAt.toISOString(), remaining_seconds: remainingSeconds }
}

export const trialOut = (resource: LapseResource): z.infer<typeof Trial> => ({
  ...resourceOut(resource),
  banner: bannerOut(resource),
})

export const changedTrialOut = (resource: Changed): z.infer<typeof ChangedTrial> => ({
  ...changedOut(resource),
  banner: bannerOut(resource),
})
