import { onFreshGround } from '../ground.ts'
import { plain } from '../lapse.config.ts'
import { inFlight, type Line, median, rateOf, times } from '../measure.ts'
import { analyze } from '../rows.ts'

const width = 10

/** "May it be used now?", asked as often as one process can. */
export const check: Line = async ({ quick }) => {
  const count = quick ? 6_000 : 30_000
  const problems: string[] = []
  const lapse: number[] = []
  const bare: number[] = []
  await onFreshGround(async (ground) => {
    const issued = await ground.lapse.issueAll(times(1_000, () => ({ kind: plain.name, expiresIn: '1d' })))
    await analyze(ground)
    let denied = 0
    const idOf = (i: number) => issued[i % issued.length]?.id ?? ''
    const checkOne = async (i: number) => {
      const { allowed } = await ground.lapse.check(plain.name, idOf(i))
      if (!allowed) denied += 1
    }
    const text = `SELECT id, kind, status, payload, expires_at, ends_at FROM resource WHERE id = $1`
    const selectOne = (i: number) => ground.pool.query({ name: 'by-key', text, values: [idOf(i)] })
    await inFlight(500, width, checkOne)
    await inFlight(500, width, selectOne)
    for (let round = 0; round < 3; round++) {
      lapse.push(await rateOf(count, () => inFlight(count, width, checkOne)))
      bare.push(await rateOf(count, () => inFlight(count, width, selectOne)))
    }
    if (denied > 0) problems.push(`check: ${denied} live resources were denied`)
  })
  const ratio = median(lapse) / median(bare)
  return {
    problems,
    figures: [
      {
        line: 'check',
        what: `check by id, ${width} in flight`,
        unit: '/s',
        value: median(lapse),
        rounds: lapse,
        yardstick: { what: 'SELECT by primary key', value: median(bare) },
        ratio,
        target: { what: '≥ 0.6 of the rate', met: ratio >= 0.6 },
      },
    ],
  }
}
