import { openClient } from '../client.ts'
import { keptWaiting } from '../cpu.ts'
import { type Ground, onFreshGround } from '../ground.ts'
import { mailed, plain, reminded } from '../lapse.config.ts'
import { chunks, type Figure, type Line, percentile, sleep, times } from '../measure.ts'
import { withApi, withWorker } from '../processes.ts'
import { analyze } from '../rows.ts'
import { fullestSecond, withSink } from '../sink.ts'

const mailRate = 100
const others = 100

/** Everything ends in the same instant and owes a mail, while the API answers, another kind ends, and mails are limited. */
export const mass: Line = async ({ quick }) => {
  const count = quick ? 5_000 : 50_000
  const watchMs = quick ? 5_000 : 20_000
  // With the sweep as it usually is: it feeds the mails.
  const env = { LAPSE_MAIL_RATE: String(mailRate), LAPSE_SWEEP_SECONDS: '15' }
  const seen = await withSink((sink) =>
    onFreshGround((ground) =>
      withWorker(
        ground,
        () =>
          withApi(ground, async (url, token, pid) => {
            const due = await issue(ground, count)
            await analyze(ground)
            const ask = await asker(ground, url, token, pid)
            const before = await ask(() => Date.now() < due.getTime() - 100)
            await sleep(due.getTime() - Date.now())
            const burst = allEnded(ground, count)
            let over = false
            void burst.then(() => {
              over = true
            })
            const during = await ask(() => !over)
            await sleep(due.getTime() + watchMs - Date.now())
            return { before, during, ...(await burst), mails: [...sink.mails], ...(await lateness(ground)) }
          }),
        { ...env, SMTP_URL: sink.url },
      ),
    ),
  )
  const fullest = fullestSecond(seen.mails)
  const { before, during } = seen
  const line = 'mass'
  const figures: Figure[] = [
    { line, what: `${count} ended at once, each owing a mail`, unit: 's', value: seen.lastMs / 1_000 },
    {
      ...{ line, what: 'mails in the fullest second', unit: '/s' as const, value: fullest },
      target: { what: `≤ ${mailRate}`, met: fullest <= mailRate },
    },
    { line, what: 'mails a second', unit: '/s', value: rateOf(seen.mails.map(({ at }) => at)) },
    {
      ...{ line, what: `another kind's ends, the latest of ${others}`, unit: 'ms' as const, value: seen.otherMs },
      target: { what: '≤ 1,000 ms', met: seen.otherMs <= 1_000 },
    },
    {
      ...{ line, what: "the API's checks meanwhile, p99", unit: 'ms' as const, value: during.p99 },
      yardstick: { what: 'before', value: before.p99 },
      ratio: during.p99 / before.p99,
      target: { what: '≤ 2', met: during.p99 <= 2 * before.p99 },
    },
    {
      ...{ line, what: 'it waits for a core, of each second', unit: 'ms' as const, value: during.waitingMs },
      yardstick: { what: 'before', value: before.waitingMs },
    },
  ]
  const problems = [
    seen.ended !== count && `${seen.ended} of ${count} have ended`,
    seen.firstMs < 0 && `one ended ${-seen.firstMs} ms early`,
    seen.otherEnded !== others && `${seen.otherEnded} of ${others} of another kind have ended`,
    fullest > mailRate && `${fullest} mails in one second, and ${mailRate} are allowed`,
  ].filter((problem) => problem !== false)
  return { figures, problems: problems.map((problem) => `mass: ${problem}`) }
}

/** Answers when they end: as long ahead as it takes to arm them, and to see what is normal. */
const issue = async ({ lapse }: Ground, count: number): Promise<Date> => {
  const due = new Date(Date.now() + 8_000 + count * 0.4)
  const drafts = times(count, () => ({ kind: mailed.name, expiresAt: due, payload: { email: 'someone@example.com' } }))
  for (const batch of chunks(drafts, 1_000)) await lapse.issueAll(batch)
  await lapse.issueAll(
    times(others, (i) => ({ kind: plain.name, expiresAt: new Date(due.getTime() + 100 + i * 10), payload: {} })),
  )
  if (Date.now() > due.getTime() - 3_000) throw new Error('This machine is too busy to arm everything in time.')
  return due
}

interface Asked {
  readonly p99: number
  /** In each second the API had something to do and no core to do it on. */
  readonly waitingMs: number
}

/** Checks something that is live, four at a time, as long as that is wanted. */
const asker = async (ground: Ground, url: string, token: string, pid: number) => {
  const { id } = await ground.lapse.issue(reminded.name, { expiresIn: '1d', payload: {} })
  const headers = { authorization: `Bearer ${token}` }
  return async (wanted: () => boolean): Promise<Asked> => {
    const taken: number[] = []
    const [began, waited] = [Date.now(), keptWaiting(pid)]
    const lane = async () => {
      const client = openClient(url)
      while (wanted()) {
        const { ms, seen } = await client.post(`/v1/resources/${id}/check`, {}, headers)
        if (!seen.startsWith('200')) throw new Error(`A check was answered otherwise:\n${seen}`)
        taken.push(ms)
        await sleep(5)
      }
      client.close()
    }
    await Promise.all(times(4, lane))
    return { p99: percentile(taken, 0.99), waitingMs: ((keptWaiting(pid) - waited) / (Date.now() - began)) * 1_000 }
  }
}

const allEnded = async ({ pool }: Ground, count: number) => {
  const deadline = Date.now() + 120_000
  for (; Date.now() < deadline; await sleep(500)) {
    const { rows } = await pool.query(
      `SELECT count(*)::float8 AS ended, min(lateness_ms)::float8 AS first, max(lateness_ms)::float8 AS last FROM event WHERE kind = $1 AND type = 'expired'`,
      [mailed.name],
    )
    const [{ ended, first, last }] = rows
    if (ended >= count) return { ended, firstMs: first, lastMs: last }
  }
  throw new Error('They have not all ended within two minutes.')
}

const lateness = async ({ pool }: Ground) => {
  const { rows } = await pool.query(
    `SELECT count(*)::float8 AS ended, max(lateness_ms)::float8 AS last FROM event WHERE kind = $1 AND type = 'expired'`,
    [plain.name],
  )
  return { otherEnded: rows[0].ended as number, otherMs: rows[0].last as number }
}

const rateOf = (at: readonly number[]): number => ((at.length - 1) / ((at.at(-1) ?? 0) - (at[0] ?? 0))) * 1_000
