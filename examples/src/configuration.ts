import { defineConfig, defineKind, emailAddress, GiveUp, TryAgain, usualLetter } from 'lapse'
import { z } from 'zod'

export default defineConfig({
  kinds: [
    defineKind({
      name: 'guest-pass',
      payload: z.strictObject({ email: emailAddress.optional() }),
      lifetime: { default: '8h', min: '1m', max: '30d' }, // from the issue to the end, all renewals included; see below
      grace: '10m', // none by default
      reminders: ['1h'], // ['3d', '1d'] by default
      retention: '30d', // how long the row is kept after its end
      uses: 1, // or 'unlimited'
      words: { consumed: 'checked in' },
      contact: ({ payload }) => payload.email,
      mail: { expired: ({ until }) => ({ subject: 'Your pass has ended', lines: [`It was good until ${until}.`] }) },
      hooks: { expired: async (tx) => void (await tx.$executeRaw`SELECT 1`) }, // in the same commit, on the whole batch
      // Afterwards, at least once: a function, or one with how it is tried.
      handlers: {
        consumed: ({ resource }) => console.log('checked in', resource.id),
        expired: {
          run: async ({ resource, deliveryId, signal }) => {
            const address = `https://desk.example.com/passes/${resource.id}`
            const headers = { 'idempotency-key': deliveryId } // the same at every attempt
            const answer = await fetch(address, { method: 'DELETE', headers, signal })
            if (answer.status === 404) throw new GiveUp('The desk does not know this pass.') // never again
            if (answer.status === 503) throw new TryAgain('The desk is closed.', '15m') // not before
            if (!answer.ok) throw new Error(`The desk answered ${answer.status}.`) // after the next wait
          },
          attempts: 5, // LAPSE_RETRY_ATTEMPTS by default
          backoff: { first: '1m', most: '1h' }, // LAPSE_RETRY_SECONDS, doubling up to an hour, by default
          timeout: '2m', // a minute by default, at most 15: then `signal` is aborted
        },
      },
    }),
  ],
  mail: {
    from: 'Front desk <desk@example.com>',
    // In place of those a kind has, or beside them; by kind, then by event. `null`: none.
    templates: {
      'guest-pass': { revoked: usualLetter },
      trial: {
        expired: ({ resource, url }) => ({
          subject: `${resource.payload.product ?? 'It'} has ended`,
          lines: ['Come back whenever you like.'], // or `text` and `html` of your own
          action: { label: 'Choose a plan', url: url('/account') },
        }),
        grace: null,
      },
    },
  },
  grants: { elevated: ['admin', 'owner', 'editor'], retention: '30m' }, // of access grants; see below
  sessions: { idle: '12h', longest: '14d' }, // without being used, and at most: '7d' and '30d' by default
  verifications: { 'sign-in': '5m' }, // links and codes; by default 10m, confirm-email 24h, reset-password 30m, code 10m
})
