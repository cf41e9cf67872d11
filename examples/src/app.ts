import { createLapse } from 'lapse'
import { desk } from './lapse.config.ts'

/** An application that enqueues: everything it needs of Lapse, from its own code. */
export const main = async (databaseUrl: string, redisUrl: string, prefix = 'lapse') => {
  const lapse = createLapse({ databaseUrl, redisUrl, prefix, kinds: [desk] })

  const trial = await lapse.issue('trial', {
    subject: 'ada',
    payload: { email: 'ada@example.com', product: 'Engines' },
    expiresIn: '14d',
  })
  const booking = await lapse.issue('desk', { reference: 'desk-7', payload: { number: 7 }, expiresIn: '2s' })
  const answer = await lapse.check('desk', { reference: 'desk-7' })
  console.log(answer.allowed ? `desk 7 is yours until ${booking.endsAt.toISOString()}` : `no desk: ${answer.reason}`)

  await lapse.renew('trial', trial.id, { expiresIn: '30d' }, { actor: 'support', reason: 'asked nicely' })
  await lapse.close()
  return { trial, booking }
}
