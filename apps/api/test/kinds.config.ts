import { defineConfig, defineKind } from 'lapse'
import { z } from 'zod'

// The application whose kinds the tests use.

/** Takes any payload, and can be used three times. */
const ticket = defineKind({
  name: 'ticket',
  payload: z.looseObject({}),
  lifetime: { max: '400d' },
  reminders: [],
  uses: 3,
})

/** With a handler, so that its end owes somebody something. */
const pass = defineKind({
  name: 'pass',
  payload: z.strictObject({ name: z.string().optional() }),
  lifetime: { default: '1h', max: '400d' },
  grace: '1h',
  handlers: { expired: () => {} },
})

export const kinds = [ticket, pass] as const

export default defineConfig({ kinds })
