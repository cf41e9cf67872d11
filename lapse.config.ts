import { defineConfig, defineKind } from 'lapse'
import { z } from 'zod'

// The kinds that `npm start` runs with, beside the built-in ones. Put your own here.

/** A visitor's pass: a few seconds or a whole year, no reminders, a mail when it ends. */
const guestPass = defineKind({
  name: 'guest-pass',
  payload: z.strictObject({ name: z.string().min(1).max(200).optional(), email: z.email().optional() }),
  lifetime: { default: '8h', max: '365d' },
  reminders: [],
  contact: ({ payload }) => payload.email,
  mail: {
    expired: ({ resource }) => ({
      subject: 'Your guest pass has ended',
      lines: [`The guest pass of ${resource.payload.name ?? 'our visitor'} has ended. Please ask for a new one.`],
    }),
  },
  handlers: {
    expired: ({ resource, deliveryId }) => console.log(`the door is closed for ${resource.id} (${deliveryId})`),
  },
})

export default defineConfig({ kinds: [guestPass] })
