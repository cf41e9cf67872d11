import { type Ground, onFreshGround } from '../ground.ts'
import { mailed, plain } from '../lapse.config.ts'
import { chunks, type Figure, type Line, median, sleep, times } from '../measure.ts'
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
        await comes(due())
        const endedAt = await allEnded(ground, count, due())
        problems.push(...(await verifyEnded(ground, `burst of ${kind}`, count)))
        return endedAt
      }),
    ),
  )

/** Looks at the newest event, which costs next to nothing, and counts only when that could have been the last. */
const allEnded = async ({ pool }: Ground, count: number, due: Date): Promise<number> => {
  const deadline = due.getTime() + 60_000
  for (; Date.now() < deadline; await sleep(5)) {
    const newest = await pool.query({ name: 'newest', text: 'SELECT max(id)::float8 AS id FROM event' })
    if (newest.rows[0].id < 2 * count) continue
    const ended = await pool.query(`SELECT count(*)::float8 AS n FROM event WHERE type = 'expired'`)
    if (ended.rows[0].n >= count) break
  }
  return Date.now()
}

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

class TooLate extends Error {}

/**
 * Seconds from `due()` to what `measure` answers. The instant is set when first asked for, `armingMs` and a second
 * ahead; when that was not enough to arm everything, all is done again with twice the time.
 */
const inTime = async (armingMs: number, measure: (due: () => Date) => Promise<number>): Promise<number> => {
  let instant: Date | undefined
  const due = () => {
    instant ??= new Date(Date.now() + 1_000 + armingMs)
    return instant
  }
  try {
    const endedAt = await measure(due)
    return (endedAt - due().getTime()) / 1000
  } catch (error) {
    if (!(error instanceof TooLate) || armingMs > 60_000) throw error
    return inTime(2 * armingMs, measure)
  }
}

const comes = async (due: Date): Promise<void> => {
  mustBeAhead(due)
  await sleep(due.getTime() - Date.now())
}

const mustBeAhead = (due: Date): void => {
  if (due.getTime() - Date.now() < 300) throw new TooLate('This machine is too busy to arm everything in time.')
}
