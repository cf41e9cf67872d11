import { type Ground, onFreshGround } from '../ground.ts'
import { reminded } from '../lapse.config.ts'
import { chunks, type Figure, inFlight, type Line, median, rateOf, times } from '../measure.ts'

const width = 20
const bulk = 1_000
const day = 86_400_000
const draft = { expiresIn: '10d', subject: 'someone', payload: { email: 'someone@example.com' } } as const

/** Resources issued a second, each with its row, its event and three timers. */
export const issue: Line = async ({ quick }) => {
  const single = quick ? 500 : 5_000
  const many = quick ? 2_000 : 20_000
  const problems: string[] = []
  const rates = { single: [] as number[], hand: [] as number[], bulk: [] as number[], bulkHand: [] as number[] }
  await onFreshGround(async (ground) => {
    const { lapse } = ground
    await inFlight(200, width, () => lapse.issue(reminded.name, draft))
    await inFlight(200, width, () => byHand(ground, 1))
    for (let round = 0; round < 3; round++) {
      rates.single.push(await rateOf(single, () => inFlight(single, width, () => lapse.issue(reminded.name, draft))))
      rates.hand.push(await rateOf(single, () => inFlight(single, width, () => byHand(ground, 1))))
      rates.bulk.push(await rateOf(many, () => issueInBulk(ground, many)))
      rates.bulkHand.push(await rateOf(many, () => inFlight(many / bulk, 1, () => byHand(ground, bulk))))
    }
    problems.push(...(await verify(ground, 200 + 3 * (single + many))))
  })
  const figure = (what: string, lapse: number[], hand: number[], by: string) => {
    const ratio = median(lapse) / median(hand)
    return {
      line: 'issue',
      what,
      unit: '/s',
      value: median(lapse),
      rounds: lapse,
      yardstick: { what: by, value: median(hand) },
      ratio,
      target: { what: '≥ 0.6 of the rate', met: ratio >= 0.6 },
    } satisfies Figure
  }
  return {
    problems,
    figures: [
      figure(`issue, ${width} in flight`, rates.single, rates.hand, 'INSERTs and addBulk by hand'),
      figure(`issueAll by ${bulk}`, rates.bulk, rates.bulkHand, 'INSERTs and addBulk by hand'),
    ],
  }
}

const issueInBulk = async ({ lapse }: Ground, count: number): Promise<void> => {
  for (const batch of chunks(
    times(count, () => ({ kind: reminded.name, ...draft })),
    bulk,
  ))
    await lapse.issueAll(batch)
}

/** As fast as it can be written by hand: one statement, and one pipeline. */
const byHand = async ({ pool, queue }: Ground, count: number): Promise<void> => {
  const ids = times(count, () => crypto.randomUUID())
  const expiresAt = Date.now() + 10 * day
  await pool.query({
    name: 'by-hand',
    text: `
      WITH inserted AS (
        INSERT INTO resource (id, kind, subject, payload, issued_at, changed_at, expires_at, ends_at, reminders, due_at, next_step)
        SELECT id, $2, $3, $4, date_trunc('milliseconds', now()), date_trunc('milliseconds', now()), e.at, e.at, '{259200,86400}', e.at - interval '3 days', 'remind'
        FROM unnest($1::uuid[]) AS id, (SELECT to_timestamp($5::float8 / 1000) AS at) AS e
        RETURNING id, kind, version, issued_at, expires_at, subject
      )
      INSERT INTO event (resource_id, kind, type, version, at, to_status, trigger, data)
      SELECT id, kind, 'issued', version, issued_at, 'active', 'manual',
        jsonb_build_object('after', jsonb_build_object('expires_at', expires_at, 'subject', subject)) FROM inserted`,
    values: [ids, 'by-hand', draft.subject, draft.payload, expiresAt],
  })
  const timestamp = Date.now()
  const job = (id: string, name: string, dueAt: number, offset?: number) => ({
    name,
    data: { id, kind: 'by-hand', version: 1, offset },
    opts: { jobId: `${id}-${name}-${offset}`, timestamp, delay: dueAt - timestamp },
  })
  const jobs = ids.flatMap((id) => [
    job(id, 'remind', expiresAt - 3 * day, 259_200),
    job(id, 'remind', expiresAt - day, 86_400),
    job(id, 'expire', expiresAt),
  ])
  for (const batch of chunks(jobs, 1_000)) await queue.addBulk(batch)
}

const verify = async ({ pool, lapse }: Ground, count: number): Promise<string[]> => {
  const { rows } = await pool.query<{ resources: number; events: number }>(
    `SELECT (SELECT count(*)::int FROM resource WHERE kind = $1) AS resources,
       (SELECT count(DISTINCT resource_id)::int FROM event WHERE kind = $1 AND type = 'issued') AS events`,
    [reminded.name],
  )
  const found = { ...rows[0], timers: await lapse.queues.timers.getDelayedCount() }
  const expected = { resources: count, events: count, timers: 3 * count }
  return Object.entries(expected)
    .filter(([name, n]) => found[name as keyof typeof expected] !== n)
    .map(([name, n]) => `issue: ${found[name as keyof typeof expected]} ${name} instead of ${n}`)
}
