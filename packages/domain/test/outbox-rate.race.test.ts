import { expect, it } from 'vitest'
import { plain } from './kinds.ts'
import { testDomain } from './support.ts'

const { another, sql } = await testDomain([plain])

/** When so many turns came, asked for at once by four processes. */
const turns = async (count: number, name: string, perSecond: number): Promise<number[]> => {
  const limits = [1, 2, 3, 4].map(() => another([plain]).rateLimit(name, perSecond))
  const at: number[] = []
  const take = async (i: number) => {
    await limits[i % 4]?.(false)
    at.push(performance.now())
  }
  await Promise.all(Array.from({ length: count }, (_, i) => take(i)))
  return at.sort((a, b) => a - b)
}

it.each([
  [1, 3],
  [7, 14],
  [100, 160],
])('turns of at most %i a second are never closer, whoever asks: %i at once', async (perSecond, count) => {
  const at = await turns(count, `rate ${perSecond}`, perSecond)
  expect(at).toHaveLength(count)
  for (let i = perSecond; i < at.length; i++)
    expect((at[i] ?? 0) - (at[i - perSecond] ?? 0)).toBeGreaterThanOrEqual(1_000)
})

it('an urgent caller has the next turn, though others of another process have waited for longer', async () => {
  const [busy, other] = [another([plain]), another([plain])]
  const order: string[] = []
  const limit = busy.rateLimit('order', 2)
  await limit(false)
  const waiting = [1, 2, 3, 4].map(() => limit(false).then(() => order.push('usual')))
  await other
    .rateLimit(
      'order',
      2,
    )(true)
    .then(() => order.push('urgent'))
  await Promise.all(waiting)
  // One may have had its turn before the urgent one asked.
  expect(order.indexOf('urgent')).toBeLessThanOrEqual(1)
})

it('turns go on after a clock was set back by hours', async () => {
  const limit = another([plain]).rateLimit('clock', 1)
  await limit(false)
  await sql(
    `UPDATE outbox_rate SET next_at = next_at + interval '3 hours', urgent_until = next_at + interval '3 hours' WHERE name = 'clock'`,
  )
  await limit(false)
})
