import pg from 'pg'
import { sleep, times } from '../measure.ts'
import { analyze } from '../rows.ts'
import { atMostTwice, type Bound, type Measured, type Neighbour, patienceMs, withinASecond } from './neighbour.ts'
import { type Noise, withNoise } from './noise-process.ts'
import { checks, inWords, unanswered } from './pulses.ts'
import type { Stage } from './stage.ts'

const quietKind = 'bench-plain'
const week = 7 * 86_400
const durations = (quick: boolean) => ({ aloneMs: quick ? 3_000 : 6_000, besideMs: quick ? 6_000 : 12_000 })

/** What is checked meanwhile, by a token of its own organization. */
const quietOne = async (stage: Stage) => {
  const organization = await stage.organization('quiet')
  const headers = await stage.tokenOf(organization)
  const { id } = await stage.ask('POST', '/v1/resources', { kind: quietKind, organization, expires_in: week })
  return { id, headers }
}

/** Checks of one organization, alone and beside `noisy`. */
const beside = async (
  stage: Stage,
  quick: boolean,
  noisy: (during: () => Promise<void>) => Promise<Partial<Measured>>,
): Promise<Measured> => {
  const one = await quietOne(stage)
  const { aloneMs, besideMs } = durations(quick)
  await checks(stage, one, 1_000)
  const alone = await checks(stage, one, aloneMs)
  let during = { ms: [] as readonly number[], wrong: {} as Record<string, number> }
  const more = await noisy(async () => {
    during = await checks(stage, one, besideMs)
  })
  const wrong = [...inWords(alone.wrong), ...inWords(during.wrong), ...(more.wrong ?? [])]
  return { alone: alone.ms, beside: during.ms, wrong, ...(more.notes !== undefined && { notes: more.notes }) }
}

/** One organization's token asks the same again and again. */
const loops = (
  name: string,
  noisy: (quick: boolean) => string,
  prepare: (stage: Stage, organization: string, quick: boolean) => Promise<Omit<Noise, 'url' | 'headers'>>,
): Neighbour => ({
  ...{ name, noisy, quiet: "another organization's checks", bound: atMostTwice },
  measure: async (stage, quick) => {
    const organization = await stage.organization('noisy')
    const noise = await prepare(stage, organization, quick)
    const headers = await stage.tokenOf(organization)
    return beside(stage, quick, async (during) => {
      const { answers } = await withNoise({ ...noise, url: stage.url, headers }, async () => {
        await sleep(500)
        await during()
      })
      return { notes: `the noisy one: ${inWords(answers).join(', ') || 'nothing was answered'}` }
    })
  },
})

/** Rows that belong to nobody here, as they are after a year. */
const fillDeliveries = async ({ ground }: Stage, count: number): Promise<void> => {
  const present = `date_trunc('milliseconds', clock_timestamp())`
  await ground.owner.query(
    `INSERT INTO resource (id, kind, issued_at, changed_at, expires_at, ends_at, due_at, next_step)
    SELECT gen_random_uuid(), $1, ${present}, ${present}, e, e, e, 'expire'
    FROM (SELECT ${present} + interval '90 days' AS e) AS x, generate_series(1, $2::int)`,
    [quietKind, count / 100],
  )
  await ground.owner.query(
    `INSERT INTO delivery (resource_id, kind, version, event, event_id, channel, target, status, settled_at, created_at)
    SELECT r.id, r.kind, i, 'renewed', 1, 'email', 'somebody@example.com', 'sent', ${present}, ${present}
    FROM generate_series(1, 100) AS i, resource AS r WHERE r.kind = $1`,
    [quietKind],
  )
  await ground.owner.query('VACUUM (ANALYZE) delivery')
  await analyze(ground)
}

const rowsIn = (quick: boolean) => (quick ? 200_000 : 1_000_000)
const get = (path: string) => ({ method: 'GET', path })

const deliveries = loops(
  'deliveries',
  (quick) => `ten loops of GET /v1/deliveries beside ${rowsIn(quick).toLocaleString('en')} rows of others`,
  async (stage, _, quick) => {
    await fillDeliveries(stage, rowsIn(quick))
    return { lanes: 10, requests: [get('/v1/deliveries?limit=200')] }
  },
)

const imports = loops(
  'imports',
  () => '40 imports of 1,000 grants each at once, again and again',
  async () => ({
    lanes: 40,
    requests: times(40, (n) => ({
      ...{ method: 'POST', path: '/v1/access-grants/import' },
      body: {
        items: times(1_000, (i) => ({
          ...{ resource: `document:${n}-${i}`, relation: 'viewer', subject: `user:${i}`, expires_in: 3_600 },
        })),
      },
    })),
  }),
)

const counts = loops(
  'counts',
  (quick) => `30 loops that count ${(rowsIn(quick) / 5).toLocaleString('en')} resources`,
  async (stage, organization, quick) => {
    await stage.ground.owner.query(
      `INSERT INTO resource (id, kind, organization_id, issued_at, changed_at, expires_at, ends_at, due_at, next_step)
      SELECT gen_random_uuid(), $1, $3, at, at, at + l, at + l, at + l, 'expire' FROM generate_series(1, $2::int),
        (SELECT date_trunc('milliseconds', clock_timestamp()) AS at, interval '90 days' AS l) AS t`,
      [quietKind, rowsIn(quick) / 5, organization],
    )
    await analyze(stage.ground)
    return { lanes: 30, requests: [get('/v1/resources?count=true&limit=1')] }
  },
)

const polls = loops(
  'polls',
  (quick) => `${quick ? '1,000' : '3,000'} long polls for grants that never change`,
  async (_, __, quick) => ({
    lanes: quick ? 1_000 : 3_000,
    requests: [get('/v1/access-grants/watch?cursor=now&wait=20&resource=document:none')],
  }),
)

/** No verb waits for a lock longer than this, and what comes between. */
const lockMs = 4_000
const answerMs = 500

const lockedRow: Neighbour = {
  name: 'locked-row',
  noisy: () => '30 verbs that wait for one locked row, again and again',
  ...{ quiet: "another organization's checks", bound: atMostTwice },
  measure: async (stage, quick) => {
    const organization = await stage.organization('noisy')
    const headers = await stage.tokenOf(organization)
    const draft = { kind: quietKind, organization, expires_in: week }
    const { id } = await stage.ask('POST', '/v1/resources', draft)
    const holder = new pg.Client({ connectionString: ownerUrlOf(stage) })
    await holder.connect()
    try {
      return await beside(stage, quick, async (during) => {
        await holder.query('BEGIN')
        await holder.query('SELECT FROM resource WHERE id = $1 FOR UPDATE', [id])
        let over = false
        const waits: number[] = []
        const statuses: Record<string, number> = {}
        const verb = async () => {
          while (!over) {
            const start = performance.now()
            const path = `${stage.url}/v1/resources/${id}/consume`
            const answer = await fetch(path, { method: 'POST', headers }).catch(unanswered)
            waits.push(performance.now() - start)
            const status = String(answer?.status ?? 'no answer')
            statuses[status] = (statuses[status] ?? 0) + 1
            await answer?.body?.cancel()
            await sleep(50)
          }
        }
        const verbs = Promise.all(times(30, verb))
        await sleep(500)
        await during()
        over = true
        await verbs
        await holder.query('ROLLBACK')
        const longest = Math.max(...waits)
        return {
          wrong: longest > lockMs + answerMs ? [`a verb was answered after ${longest.toFixed(0)} ms`] : [],
          notes: `the longest wait of a verb ${longest.toFixed(0)} ms; ${inWords(statuses).join(', ')}`,
        }
      })
    } finally {
      await holder.end()
    }
  },
}

const ownerUrlOf = ({ ground }: Stage): string =>
  Object.assign(new URL(process.env.MIGRATE_DATABASE_URL ?? ''), { pathname: new URL(ground.databaseUrl).pathname })
    .href

const endsOnTime: Bound = { ...withinASecond, what: '≤ 2 times, or 1 s later' }

/** Three kinds whose hooks wait, as those of a slow neighbour in the application's own tables. */
const blockedHooks: Neighbour = {
  name: 'blocked-hooks',
  noisy: (quick) => `three kinds whose hook waits, ${quick ? 60 : 300} ends of each`,
  quiet: "another kind's ends, by their lateness",
  bound: endsOnTime,
  measure: async (stage, quick) => {
    const { ground } = stage
    const count = quick ? 10 : 20
    const ends = async () => {
      const ids: string[] = []
      for (let i = 0; i < count; i++) {
        ids.push((await stage.ask('POST', '/v1/resources', { kind: quietKind, expires_in: 2 })).id)
        await sleep(200)
      }
      const text = `SELECT lateness_ms::float8 AS ms FROM event WHERE type = 'expired' AND resource_id = ANY ($1)`
      const deadline = performance.now() + patienceMs(quick)
      for (; ; await sleep(100)) {
        const late = (await ground.owner.query<{ ms: number }>(text, [ids])).rows.map(({ ms }) => ms)
        if (late.length === count) return late
        if (performance.now() > deadline)
          return [...late, ...times(count - late.length, () => Number.POSITIVE_INFINITY)]
      }
    }
    const holder = new pg.Client({ connectionString: ownerUrlOf(stage) })
    await holder.connect()
    try {
      await ends()
      const alone = await ends()
      await holder.query('SELECT pg_advisory_lock(4711)')
      await Promise.all(
        [1, 2, 3].map((n) => stage.issueAll(quick ? 60 : 300, () => ({ kind: `bench-blocked-${n}`, expires_in: 1 }))),
      )
      await sleep(1_000)
      return { alone, beside: await ends() }
    } finally {
      await holder.end()
    }
  },
}

/** A big cascade, beside those who only ask. */
const suspension: Neighbour = {
  name: 'suspension',
  noisy: (quick) =>
    `an organization with ${quick ? '6,000' : '24,000'} resources is suspended while 20 clients renew them`,
  ...{ quiet: "another organization's checks", bound: atMostTwice },
  measure: async (stage, quick) => {
    const organization = await stage.organization('noisy')
    const ids = await stage.issueAll(quick ? 6_000 : 24_000, () => ({
      ...{ kind: quietKind, organization, expires_in: week },
    }))
    const headers = await stage.tokenOf(organization)
    const renewals = ids
      .filter((_, i) => i % 50 === 0)
      .map((id) => ({
        ...{ method: 'POST', path: `/v1/resources/${id}/renew`, body: { expires_in: week } },
      }))
    return beside(stage, quick, async (during) => {
      const noise = { url: stage.url, headers: { ...stage.root, ...headers }, lanes: 20, requests: renewals }
      let suspended = ''
      const { answers } = await withNoise(noise, async () => {
        const start = performance.now()
        const suspending = stage
          .ask('POST', `/v1/organizations/${organization}/suspend`, {})
          .then(() => `suspended after ${((performance.now() - start) / 1_000).toFixed(1)} s`)
          .catch((error: Error) => error.message.slice(0, 120))
        await during()
        suspended = await suspending
      })
      return { notes: `${suspended}; renewals: ${inWords(answers).join(', ')}` }
    })
  },
}

/** Who shares the API, its connections and the database. */
export const requests: readonly Neighbour[] = [deliveries, imports, counts, polls, lockedRow, suspension, blockedHooks]
