import { spread, watch } from '../ends.ts'
import { onFreshGround } from '../ground.ts'
import { plain } from '../lapse.config.ts'
import { type Figure, type Line, percentile } from '../measure.ts'
import { withWorker, withYardstick } from '../processes.ts'
import { analyze, verifyEnded } from '../rows.ts'

/** Ends spread over some seconds: how late each one is, until its event could be seen in the database. */
export const lateness: Line = async ({ quick }) => {
  const count = quick ? 300 : 1_000
  const spreadMs = quick ? 6_000 : 20_000
  const problems: string[] = []
  const lapse: number[] = []
  const bare: number[] = []
  for (let round = 0; round < (quick ? 1 : 2); round++) {
    lapse.push(...(await latenessOf(count, spreadMs, problems)))
    bare.push(...(await bareLateness(count, spreadMs)))
  }

  const figure = (name: string, share: number) => {
    const [value, yardstick] = [percentile(lapse, share), percentile(bare, share)]
    return {
      line: 'lateness',
      what: `${name} of ${count} over ${spreadMs / 1000} s`,
      unit: 'ms',
      value,
      yardstick: { what: 'BullMQ, empty handler', value: yardstick },
      ratio: value / yardstick,
    } satisfies Figure
  }
  const p99 = figure('p99', 0.99)
  return {
    problems,
    figures: [
      figure('p50', 0.5),
      { ...p99, target: { what: '≤ 2 times and < 50 ms', met: p99.ratio <= 2 && p99.value < 50 } },
      figure('max', 1),
    ],
  }
}

const latenessOf = (count: number, spreadMs: number, problems: string[]): Promise<number[]> =>
  onFreshGround((ground) =>
    withWorker(ground, async () => {
      const dues = spread(count, spreadMs)
      const issued = await ground.lapse.issueAll(dues.map((expiresAt) => ({ kind: plain.name, expiresAt })))
      await analyze(ground)
      const seen = await watch(ground, 0, count, Date.now() + spreadMs + 10_000)
      problems.push(...(await verifyEnded(ground, 'lateness', count)))
      return issued.flatMap(({ id, endsAt }) => (seen.get(id) ?? Number.POSITIVE_INFINITY) - endsAt.getTime())
    }),
  )

const bareLateness = (count: number, spreadMs: number): Promise<number[]> =>
  onFreshGround((ground) =>
    withYardstick(ground, { count }, async (report) => {
      const timestamp = Date.now()
      await ground.queue.addBulk(
        spread(count, spreadMs).map((due) => ({
          name: 'expire',
          data: { id: crypto.randomUUID(), kind: plain.name, version: 1 },
          opts: { timestamp, delay: due.getTime() - timestamp },
        })),
      )
      return (await report).lateness
    }),
  )
