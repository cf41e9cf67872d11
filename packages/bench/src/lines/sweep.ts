import { type Ground, onFreshGround } from '../ground.ts'
import { type Line, median, rateOf, times } from '../measure.ts'
import { fillRows, verifyEnded } from '../rows.ts'

const overdue = 10_000
const soon = () => new Date(Date.now() - 60_000)
const farAhead = () => new Date(Date.now() + 365 * 86_400_000)

/** Redis has nothing: everything that is overdue is found and ended by looking. */
export const sweep: Line = async ({ quick }) => {
  const table = quick ? 100_000 : 1_000_000
  const rounds = quick ? 2 : 5
  const problems: string[] = []
  const small: number[] = []
  const large: number[] = []
  const bare: number[] = []
  await onFreshGround(async (ground) => {
    await fillRows(ground, table - overdue, farAhead())
    for (const round of times(rounds, (i) => i + 1)) {
      small.push(await onFreshGround((fresh) => sweepOnce(fresh, 1, problems)))
      bare.push(await onFreshGround(sweepByHand))
      large.push(await sweepOnce(ground, round, problems))
    }
  })
  const [ofSmall, ofBare] = [median(large) / median(small), median(small) / median(bare)]
  return {
    problems,
    figures: [
      {
        line: 'sweep',
        what: `${overdue} overdue of ${overdue} rows`,
        unit: '/s',
        value: median(small),
        rounds: small,
        yardstick: { what: 'UPDATE and INSERT by hand', value: median(bare) },
        ratio: ofBare,
        target: { what: '≥ 0.4 of the rate', met: ofBare >= 0.4 },
      },
      {
        line: 'sweep',
        what: `${overdue} overdue of ${table} rows`,
        unit: '/s',
        value: median(large),
        rounds: large,
        yardstick: { what: `the same of ${overdue} rows`, value: median(small) },
        ratio: ofSmall,
        target: { what: '≥ 0.8 of the rate', met: ofSmall >= 0.8 },
      },
    ],
  }
}

const sweepOnce = async (ground: Ground, round: number, problems: string[]): Promise<number> => {
  await fillRows(ground, overdue, soon())
  const engine = ground.lapse.engine({ onError: (error) => problems.push(`sweep: ${error}`) })
  await ground.lapse.overdue()
  const rate = await rateOf(overdue, () => engine.sweep())
  problems.push(...(await verifyEnded(ground, 'sweep', round * overdue)))
  return rate
}

/** The least that ends a row and says so, in batches of 500. */
const sweepByHand = async (ground: Ground): Promise<number> => {
  await fillRows(ground, overdue, soon())
  const client = await ground.pool.connect()
  const text = `
    WITH due AS (
      SELECT id FROM resource WHERE due_at <= clock_timestamp() AND next_step <> 'purge'
      ORDER BY due_at LIMIT 500 FOR UPDATE SKIP LOCKED
    ), moved AS (
      UPDATE resource r SET status = 'expired', ended_at = r.ends_at, next_step = 'purge', changed_at = date_trunc('milliseconds', clock_timestamp()),
        due_at = clock_timestamp() + interval '30 days'
      FROM due WHERE r.id = due.id AND r.status = 'active' AND r.ends_at <= clock_timestamp()
      RETURNING r.id, r.kind, r.version
    )
    INSERT INTO event (resource_id, kind, type, version, at, from_status, to_status, trigger)
    SELECT id, kind, 'expired', version, date_trunc('milliseconds', clock_timestamp()), 'active', 'expired', 'sweep' FROM moved`
  try {
    return await rateOf(overdue, async () => {
      while (((await client.query({ name: 'sweep', text })).rowCount ?? 0) > 0);
    })
  } finally {
    client.release()
  }
}
