import { defineConfig, defineKind } from 'lapse'
import { z } from 'zod'

// The application whose resources are put through it.

const contact = ({ payload }: { payload: { email?: string | undefined } }) => payload.email

/** Three uses; tells by mail, and by a handler of its own. */
const pass = defineKind({
  name: 'pass',
  payload: z.strictObject({ email: z.email().optional() }),
  lifetime: { max: '1d' },
  reminders: ['2s', '1s'],
  uses: 3,
  contact,
  mail: {
    reminded: ({ remaining }) => ({ subject: `Your pass ends in ${remaining}`, lines: ['Renew it.'] }),
    expired: () => ({ subject: 'Your pass has ended', lines: ['It is over.'] }),
  },
  handlers: {
    // It goes on when its worker is told to stop: one that lets go then is called again, and what it did is done twice.
    expired: async ({ resource, deliveryId }) => {
      const answer = await fetch(`${process.env.CHAOS_SINK}/handler`, {
        method: 'POST',
        headers: { 'idempotency-key': deliveryId },
        body: JSON.stringify({ resource: resource.id }),
        signal: AbortSignal.timeout(10_000),
      })
      if (!answer.ok) throw new Error(`The sink answered ${answer.status}.`)
    },
  },
})

/** Its hook writes into the application's own table, within the transition. */
const seat = defineKind({
  name: 'seat',
  payload: z.strictObject({}),
  lifetime: { max: '1d' },
  reminders: [],
  hooks: {
    expired: async (tx, happenings) => {
      for (const { resource } of happenings)
        await tx.$executeRaw`INSERT INTO chaos_given_back (resource_id) VALUES (${resource.id}::uuid)`
    },
  },
})

export default defineConfig({
  kinds: [pass, seat],
  sessions: { idle: '5s', longest: '15s' },
  verifications: { 'confirm-email': '5s', code: '5s' },
})
