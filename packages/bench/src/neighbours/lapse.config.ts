import { defineConfig, defineKind, trial } from 'lapse'

const lifetime = { min: 1, max: '30d' } as const
const { payload } = trial

/** Each call goes to a receiver of the benchmark, which decides how long it takes. */
const call = (path: string) => async (happening: { resource: { id: string }; signal: AbortSignal }) => {
  const { resource, signal } = happening
  await fetch(`${process.env.BENCH_RECEIVER}/${path}/${resource.id}`, { method: 'POST', signal })
}

const plain = defineKind({ name: 'bench-plain', payload, lifetime, reminders: [] })

const mailed = defineKind({
  ...{ name: 'bench-mailed', payload, lifetime, reminders: [] },
  contact: ({ payload: { email } }) => email,
  mail: { expired: () => ({ subject: 'It has ended', lines: ['It has ended.'] }) },
})

const hanging = defineKind({
  ...{ name: 'bench-hanging', payload, lifetime, reminders: [] },
  handlers: { issued: call('hang') },
})

const handled = defineKind({
  ...{ name: 'bench-handled', payload, lifetime, reminders: [] },
  handlers: { issued: call('take') },
})

/** Kinds whose hook waits for a lock that the benchmark holds. */
const blocked = ['bench-blocked-1', 'bench-blocked-2', 'bench-blocked-3'].map((name) =>
  defineKind({
    ...{ name, payload, lifetime, reminders: [] },
    hooks: { expired: async (tx) => void (await tx.$queryRaw`SELECT pg_advisory_xact_lock(4711)::text`) },
  }),
)

export default defineConfig({ kinds: [plain, mailed, hanging, handled, ...blocked] })
