import { defineConfig, defineKind, trial } from 'lapse'

const lifetime = { min: 1, max: '30d' } as const
const { payload } = trial

/** Ends, and that is all. */
export const plain = defineKind({ name: 'bench-plain', payload, lifetime, reminders: [] })

/** Owes a mail when it ends. */
export const mailed = defineKind({
  name: 'bench-mailed',
  payload,
  lifetime,
  reminders: [],
  contact: ({ payload: { email } }) => email,
  mail: { expired: () => ({ subject: 'It has ended', lines: ['It has ended.'] }) },
})

/** Three timers: two reminders and the end. */
export const reminded = defineKind({ name: 'bench-reminded', payload, lifetime, reminders: ['3d', '1d'] })

export const kinds = [plain, mailed, reminded] as const

/** The worker that is measured loads this file as an application's configuration. */
export default defineConfig({ kinds })
