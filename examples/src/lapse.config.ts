import { defineConfig, defineKind } from 'lapse'
import { z } from 'zod'

/** A desk in a shared office, booked until it is given back. */
export const desk = defineKind({
  name: 'desk',
  payload: z.strictObject({ number: z.int().min(1) }),
  lifetime: { default: '8h', max: '30d' },
  reminders: ['15m'],
  hooks: {
    // In the same commit as the expiry: there is no instant at which the desk is taken by nobody.
    expired: async (tx, happenings) => {
      const numbers = happenings.map(({ resource }) => resource.payload.number)
      await tx.$executeRaw`UPDATE office_desk SET taken = false WHERE number = ANY (${numbers}::int[])`
    },
  },
  handlers: {
    // Afterwards, at least once: the delivery's id tells a repetition from a new one.
    expired: ({ resource, deliveryId }) => console.log(`desk ${resource.payload.number} is free (${deliveryId})`),
  },
})

export default defineConfig({ kinds: [desk] })
