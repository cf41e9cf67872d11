import { allEnded, comes, inTime, mustBeAhead, newestEvent } from '../ends.ts'
import { type Ground, onFreshGround } from '../ground.ts'
import { mailed, plain } from '../lapse.config.ts'
import { chunks, type Figure, type Line, median, times } from '../measure.ts'
import { withWorker, withYardstick } from '../processes.ts'
import { analyze, fillRows, verifyEnded } from '../rows.ts'

/** Everything ends in the same instant: how long until the last one has. */
export const burst: Line = async ({ quick }) => {
  const count = quick ? 10_000 : 50_000
  const problems: string[] = []
  const lapse: number[] = []
  const bare: number[] = []
  for (let round = 0; round < (quick ? 1 : 3); round++) {
    lapse.push(await drain(count, plain.name, problems))
    bare.push(await drainBare(count))
  }
  // It takes as long for each as for the one before, so that a part of them tells the time of all.
  const part = quick ? 5 : 1
  const naive = part * (await drainNaive(count / part))

  const value = median(lapse)
  const [ofBare, ofNaive] = [value / median(bare), naive / value]
  const figure = { line: 'burst', what: `${count} ended at once`, unit: 's', value, rounds: lapse } satisfies Figure
  const figures: Figure[] = [
    {
      ...figure,
      yardstick: { what: 'BullMQ, empty handler', value: median(bare) },
      ratio: ofBare,
      target: { what: '< 0.5 of the time', met: ofBare < 0.5 },
    },
    {
      ...figure,
      yardstick: { what: 'one transaction a job', value: naive },
      ratio: ofNaive,
      target: { what: '≥ 8 times faster', met: ofNaive >= 8 },
    },
  ]
  if (!quick) {
    const withMail = await drain(count, mailed.name, problems)
    figures.push({ line: 'burst', what: `${count}, each owing a mail`, unit: 's', value: withMail })
  }
  return { figures, problems }
}

/** Seconds from the instant until all of it could be seen in the database. */
const drain = (count: number, kind: typeof plain.name | typeof mailed.name, problems: string[]): Promise<number> =>
  inTime(count * 0.3, (due) =>
    onFreshGround((ground) =>
      withWorker(ground, async () => {
        const drafts = times(count, () => ({ kind, expiresAt: due(), payload: { email: 'someone@example.com' } }))
        for (const batch of chunks(drafts, 1_000)) {
          mustBeAhead(due())
          await ground.lapse.issueAll(batch)
        }
        await analyze(ground)
        const since = await newestEvent(ground)
        await comes(due())
        const endedAt = await allEnded(ground, since, count, due().getTime() + 60_000)
        problems.push(...(await verifyEnded(ground, `burst of ${kind}`, count)))
        return endedAt
      }),
    ),
  )

const drainBare = (count: number): Promise<number> =>
  inTime(count * 0.1, (due) =>
    onFreshGround((ground) =>
      withYardstick(ground, { count }, async (report) => {
        const ids = times(count, () => crypto.randomUUID())
        await addJobs(ground, ids, due())
        return (await report).lastAt
      }),
    ),
  )

const drainNaive = (count: number): Promise<number> =>
  inTime(count * 0.15, (due) =>
    onFreshGround((ground) =>
      withYardstick(ground, { count, databaseUrl: ground.databaseUrl }, async (report) => {
        await fillRows(ground, count, due())
        const { rows } = await ground.pool.query<{ id: string }>('SELECT id FROM resource')
        const ids = rows.map((row) => row.id)
        await addJobs(ground, ids, due())
        return (await report).lastAt
      }),
    ),
  )

const addJobs = async ({ queue }: Ground, ids: readonly string[], due: Date): Promise<void> => {
  for (const batch of chunks(ids, 1_000)) {
    const timestamp = Date.now()
    const delay = due.getTime() - timestamp
    await queue.addBulk(
      batch.map((id) => ({
        name: 'expire',
        data: { id, kind: plain.name, version: 1 },
        opts: { jobId: `${id}-expire-v1`, timestamp, delay },
      })),
    )
  }
  await comes(due)
}
