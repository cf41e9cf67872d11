import { z } from 'zod'
import { defineKind } from '../src/index.ts'

/** Kinds for tests, each with one thing about it. */

const payload = z.strictObject({ email: z.email().optional(), note: z.string().optional() })
const lifetime = { default: '14d', max: '60d' } as const

/** Nothing but a lifetime. */
export const plain = defineKind({ name: 'plain', payload, lifetime, reminders: [] })

/** Three uses. */
export const coupon = defineKind({ name: 'coupon', payload, lifetime, reminders: [], uses: 3 })

/** Reminders, grace, and a mail for everything. */
export const membership = defineKind({
  name: 'membership',
  payload,
  lifetime,
  grace: '1d',
  uses: 'unlimited',
  words: { expired: 'lapsed' },
  contact: (resource) => resource.payload.email,
  mail: {
    issued: () => ({ subject: 'welcome', lines: [] }),
    renewed: () => ({ subject: 'renewed', lines: [] }),
    reminded: () => ({ subject: 'soon', lines: [] }),
    grace: () => ({ subject: 'grace', lines: [] }),
    expired: () => ({ subject: 'over', lines: [] }),
  },
})
