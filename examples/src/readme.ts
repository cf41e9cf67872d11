import { createLapse } from 'lapse'
import { desk } from './lapse.config.ts'

/** What the README shows, word for word; a test compares the two and runs this. */
export const readme = async (databaseUrl: string, redisUrl: string, prefix: string) => {
  const lapse = createLapse({ databaseUrl, redisUrl, prefix, kinds: [desk] })

  const trial = await lapse.issue('trial', { payload: { email: 'ada@example.com' }, expiresIn: '14d' })
  await lapse.renew('trial', trial.id, { expiresIn: '30d' }, { actor: 'support', reason: 'asked nicely' })

  const answer = await lapse.check('trial', trial.id) // { allowed: true, phase: 'active', resource } or { allowed: false, reason }

  await lapse.close()
  return { trial, answer }
}
