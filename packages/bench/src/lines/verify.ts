import { type Ground, onFreshGround } from '../ground.ts'
import { inFlight, type Line, median, percentile, rateOf } from '../measure.ts'

const width = 10
const inUse = 1_000

/** "May this API token be used now?", asked as often as one process can, among a million of them. */
export const verify: Line = async ({ quick }) => {
  const count = quick ? 6_000 : 30_000
  const rows = quick ? 100_000 : 1_000_000
  const rates = { lapse: [] as number[], bare: [] as number[] }
  const took = { lapse: [] as number[], bare: [] as number[] }
  let refused = 0
  await onFreshGround(async (ground) => {
    const { apiTokens } = ground.lapse
    const issued = await fillTokens(ground, rows)
    const verifyOne = async (i: number) => {
      const { status } = await apiTokens.verify(issued[i % inUse]?.token ?? '', { scopes: ['trials:read'] })
      if (status !== 'valid') refused += 1
    }
    const text = 'SELECT id, kind, status, payload, verifier, expires_at, ends_at FROM resource WHERE selector = $1'
    const selectOne = (i: number) =>
      ground.pool.query({ name: 'by-selector', text, values: [issued[i % inUse]?.selector] })
    const timed = (act: (i: number) => Promise<unknown>, into: number[]) => async (i: number) => {
      const start = performance.now()
      await act(i)
      into.push(performance.now() - start)
    }
    // Each has been used within this minute then, as those that are in use have.
    await inFlight(inUse, width, verifyOne)
    await inFlight(inUse, width, selectOne)
    for (let round = 0; round < 3; round++) {
      rates.lapse.push(await rateOf(count, () => inFlight(count, width, timed(verifyOne, took.lapse))))
      rates.bare.push(await rateOf(count, () => inFlight(count, width, timed(selectOne, took.bare))))
    }
  })
  const ratio = median(rates.lapse) / median(rates.bare)
  const what = `verify an API token, ${width} in flight, ${rows.toLocaleString('en')} rows`
  return {
    problems: refused > 0 ? [`verify: ${refused} good tokens were refused`] : [],
    figures: [
      {
        ...{ line: 'verify', what, unit: '/s', value: median(rates.lapse), rounds: rates.lapse, ratio },
        yardstick: { what: 'SELECT by selector', value: median(rates.bare) },
        target: { what: '≥ 0.6 of the rate', met: ratio >= 0.6 },
      },
      {
        ...{ line: 'verify', what: 'p99 of the same', unit: 'ms', value: percentile(took.lapse, 0.99) },
        yardstick: { what: 'SELECT by selector', value: percentile(took.bare, 0.99) },
      },
    ],
  }
}

/** Those that are in use, among as many rows as are wanted. */
const fillTokens = async ({ lapse, pool, owner }: Ground, rows: number) => {
  const issued: { token: string; selector: string }[] = []
  await inFlight(inUse, width, async () => {
    const { token } = await lapse.apiTokens.create({ name: 'bench', scopes: ['trials:read', 'trials:write'] })
    issued.push({ token, selector: token.slice(-65, -49) })
  })
  await pool.query(
    `INSERT INTO resource (id, kind, selector, verifier, payload, issued_at, changed_at, expires_at, ends_at, reminders, due_at,
       next_step)
     SELECT gen_random_uuid(), 'api-token', left(md5(i::text), 16), sha256(i::text::bytea),
       '{"name": "bench", "scopes": ["trials:read", "trials:write"], "format": "opaque", "longLived": false}',
       date_trunc('milliseconds', now()), date_trunc('milliseconds', now()), now() + interval '90 days', now() + interval '90 days', '{}', now() + interval '90 days', 'expire'
     FROM generate_series(1, $1::int) AS i`,
    [rows - inUse],
  )
  await owner.query('VACUUM (ANALYZE) resource')
  return issued
}
