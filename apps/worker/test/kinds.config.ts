import { appendFileSync } from 'node:fs'
import { defineConfig, defineKind, GiveUp, TryAgain } from 'lapse'
import { z } from 'zod'

// The application whose kinds the tests use. The worker loads this file as it would load lapse.config.ts.

const payload = z.strictObject({ email: z.email().optional() })
const contact = (resource: { payload: { email?: string | undefined } }) => resource.payload.email

/** Ends at once, and says so. */
const pass = defineKind({
  name: 'pass',
  payload,
  lifetime: { max: '500d' },
  reminders: [],
  contact,
  mail: { expired: () => ({ subject: 'pass expired', lines: ['It is over.'] }) },
})

/** Everything a kind can have, in seconds. */
const lease = defineKind({
  name: 'lease',
  payload,
  lifetime: { max: '30d' },
  reminders: ['2s', '1s'],
  grace: '1s',
  contact,
  mail: {
    reminded: ({ remaining }) => ({ subject: `lease reminder: ${remaining}`, lines: [`It ends in ${remaining}.`] }),
    grace: () => ({ subject: 'lease in grace', lines: ['One more second.'] }),
    expired: () => ({ subject: 'lease expired', lines: ['It is over.'] }),
  },
})

/** With a hook that writes to the application's own table, and a handler that writes to a file. */
const seat = defineKind({
  name: 'seat',
  payload: z.strictObject({ stubborn: z.boolean().optional() }),
  lifetime: { max: '1d' },
  reminders: [],
  hooks: {
    expired: async (tx, happenings) => {
      for (const { resource } of happenings) {
        if (resource.payload.stubborn) throw new Error('the seat will not be given back')
        await tx.$executeRaw`INSERT INTO seat_given_back (resource_id) VALUES (${resource.id}::uuid)`
      }
    },
  },
  handlers: {
    expired: ({ resource, deliveryId, attempt }) => {
      appendFileSync(
        process.env.HANDLER_LOG ?? '/dev/null',
        `${JSON.stringify({ id: resource.id, deliveryId, attempt })}\n`,
      )
      if (attempt === 1) throw new Error('not the first time')
    },
  },
})

const tell = (line: object) => appendFileSync(process.env.HANDLER_LOG ?? '/dev/null', `${JSON.stringify(line)}\n`)

/** Each does at its end what its payload says. */
const errand = defineKind({
  name: 'errand',
  payload: z.strictObject({ does: z.enum(['fail', 'hang', 'give-up', 'wait']).optional() }),
  lifetime: { max: '1d' },
  reminders: [],
  handlers: {
    expired: {
      attempts: 3,
      backoff: { first: '200ms', most: '1s' },
      timeout: '5s',
      run: async ({ resource, deliveryId, attempt }) => {
        const { does } = resource.payload
        tell({ id: resource.id, deliveryId, attempt })
        if (does === 'fail') throw new Error('this one never works')
        if (does === 'give-up') throw new GiveUp('nobody wants this')
        if (attempt > 1) return
        if (does === 'wait') throw new TryAgain('they are closed', '1h')
        if (does === 'hang') await new Promise(() => {})
      },
    },
  },
})

/** Its first attempt goes on until it is told to end. */
const vigil = defineKind({
  name: 'vigil',
  payload: z.strictObject({}),
  lifetime: { max: '1d' },
  reminders: [],
  handlers: {
    expired: async ({ resource, deliveryId, attempt, signal }) => {
      tell({ id: resource.id, deliveryId, attempt })
      if (attempt === 1) await new Promise((_, reject) => signal.addEventListener('abort', reject))
    },
  },
})

export const kinds = [pass, lease, seat, errand, vigil] as const

export default defineConfig({ kinds, grants: { retention: '5m' } })
