import { onFreshGround } from '../ground.ts'
import { inFlight, type Line, median, percentile, rateOf } from '../measure.ts'
import { fillGrants, grantOf } from '../rows.ts'

const width = 10

/** "May they do that now?", asked as often as one process can, among very many grants. */
export const grants: Line = async ({ quick }) => {
  const table = quick ? 100_000 : 1_000_000
  const count = quick ? 6_000 : 30_000
  const problems: string[] = []
  const lapse: number[] = []
  const bare: number[] = []
  const waits = { lapse: [] as number[], bare: [] as number[] }
  await onFreshGround(async (ground) => {
    await fillGrants(ground, table)
    let wrong = 0
    // All over the table, and one in four is of nobody.
    const tripleOf = (i: number) => grantOf((i * 7_919) % table, i % 4 === 3)
    const checkOne = async (i: number) => {
      const { allowed } = await ground.lapse.accessGrants.check(tripleOf(i))
      if (allowed !== (i % 4 !== 3)) wrong += 1
    }
    const text = `SELECT ends_at FROM resource WHERE kind = 'access-grant' AND status IN ('active', 'grace')
      AND scope = $1 AND subject = $2 AND payload ->> 'relation' = $3`
    const selectOne = async (i: number) => {
      const { resource, subject, relation } = tripleOf(i)
      await ground.pool.query({ name: 'by-grant', text, values: [resource, subject, relation] })
    }
    const timed = (waited: number[], act: (i: number) => Promise<void>) => async (i: number) => {
      const start = performance.now()
      await act(i)
      waited.push(performance.now() - start)
    }
    await inFlight(500, width, checkOne)
    await inFlight(500, width, selectOne)
    for (let round = 0; round < 3; round++) {
      lapse.push(await rateOf(count, () => inFlight(count, width, timed(waits.lapse, checkOne))))
      bare.push(await rateOf(count, () => inFlight(count, width, timed(waits.bare, selectOne))))
    }
    if (wrong > 0) problems.push(`grants: ${wrong} checks were answered wrongly`)
  })
  const ratio = median(lapse) / median(bare)
  const p99 = { lapse: percentile(waits.lapse, 0.99), bare: percentile(waits.bare, 0.99) }
  return {
    problems,
    figures: [
      {
        line: 'grants',
        what: `grant checks of ${table} rows, ${width} in flight`,
        unit: '/s',
        value: median(lapse),
        rounds: lapse,
        yardstick: { what: 'SELECT by the same index', value: median(bare) },
        ratio,
        target: { what: '≥ 0.6 of the rate', met: ratio >= 0.6 },
      },
      {
        line: 'grants',
        what: 'its p99',
        unit: 'ms',
        value: p99.lapse,
        yardstick: { what: 'SELECT by the same index', value: p99.bare },
        ratio: p99.lapse / p99.bare,
      },
    ],
  }
}
