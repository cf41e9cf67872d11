import { defineConfig, defineKind } from 'lapse'
import { z } from 'zod'

export default defineConfig({
  kinds: [
    defineKind({
      name: 'guest-pass',
      payload: z.strictObject({ email: z.email().optional() }),
      lifetime: { default: '8h', min: '1m', max: '30d' }, // from the issue to the end, all renewals included
      grace: '10m', // none by default
      reminders: ['1h'], // ['3d', '1d'] by default
      retention: '30d', // how long the row is kept after its end
      uses: 1, // or 'unlimited'
      words: { consumed: 'checked in' },
      contact: ({ payload }) => payload.email,
      mail: { expired: ({ until }) => ({ subject: 'Your pass has ended', lines: [`It was good until ${until}.`] }) },
      hooks: { expired: async (tx) => void (await tx.$executeRaw`SELECT 1`) }, // in the same commit, on the whole batch
      handlers: { expired: ({ resource, deliveryId }) => console.log(resource.id, deliveryId) }, // afterwards, at least once
    }),
  ],
  mail: { from: 'Front desk <desk@example.com>' },
  grants: { elevated: ['admin', 'owner', 'editor'], retention: '30m' }, // of access grants; see below
})
