import { createLapse } from 'lapse'
import { openClient } from '../client.ts'
import { allEnded, comes, inTime, mustBeAhead, newestEvent } from '../ends.ts'
import { type Ground, onFreshGround } from '../ground.ts'
import { kinds, plain } from '../lapse.config.ts'
import { chunks, type Figure, inFlight, type Line, rateOf, times } from '../measure.ts'
import { withApi, withWorker } from '../processes.ts'
import { analyze, verifyEnded } from '../rows.ts'

const payload = { email: 'someone@example.com' }
const clients = 32

/**
 * Several processes on one machine, each figure beside that of one process. PostgreSQL, Redis and whoever asks share the
 * machine's cores with them, so it says where one process is the limit, and not what a second machine would bring.
 */
export const scale: Line = async ({ quick }) => {
  const problems: string[] = []
  const figures: Figure[] = []
  const add = (what: string, value: number, one: number) =>
    figures.push({
      line: 'scale',
      what,
      unit: '/s',
      value,
      ...(value !== one && { yardstick: { what: 'one process', value: one }, ratio: value / one }),
    })

  const count = quick ? 5_000 : 50_000
  const bursts: number[] = []
  for (const [workers, shards] of [
    [1, 1],
    [2, 1],
    [4, 1],
    [4, 4],
  ] as const) {
    bursts.push(count / (await drain(count, workers, shards, problems)))
    add(`ended at once, ${workers} workers, ${shards} shards`, bursts.at(-1) ?? 0, bursts[0] ?? 0)
  }

  const asked = quick ? 1_000 : 10_000
  const rates: Answered[] = []
  for (const apis of [1, 2]) {
    const rate = await answer(asked, apis, problems)
    rates.push(rate)
    add(`issued over HTTP, ${apis} APIs, ${clients} clients`, rate.issued, rates[0]?.issued ?? 0)
    add(`checked over HTTP, ${apis} APIs, ${clients} clients`, rate.checked, rates[0]?.checked ?? 0)
  }
  return { figures, problems }
}

/** Seconds until all that ends in one instant has. */
const drain = (count: number, workers: number, shards: number, problems: string[]): Promise<number> =>
  inTime(count * 0.3, (due) =>
    onFreshGround((ground) =>
      withWorkers(ground, workers, shards, async () => {
        const { databaseUrl, redisUrl, prefix } = ground
        const lapse = createLapse({ databaseUrl, redisUrl, prefix, kinds, timerShards: shards })
        await lapse.queues.begun
        const drafts = times(count, () => ({ kind: plain.name, expiresAt: due(), payload }))
        for (const batch of chunks(drafts, 1_000)) {
          mustBeAhead(due())
          await lapse.issueAll(batch)
        }
        await lapse.close()
        await analyze(ground)
        const since = await newestEvent(ground)
        await comes(due())
        const endedAt = await allEnded(ground, since, count, due().getTime() + 60_000)
        problems.push(...(await verifyEnded(ground, `scale, ${workers} workers`, count)))
        return endedAt
      }),
    ),
  )

const withWorkers = <T>(ground: Ground, count: number, shards: number, during: () => Promise<T>): Promise<T> =>
  count === 0
    ? during()
    : withWorker(ground, () => withWorkers(ground, count - 1, shards, during), { LAPSE_TIMER_SHARDS: String(shards) })

interface Answered {
  readonly issued: number
  readonly checked: number
}

const answer = (count: number, apis: number, problems: string[]): Promise<Answered> =>
  onFreshGround((ground) =>
    withApis(ground, apis, [], async (reached) => {
      const each = times(clients, (i) => {
        const { url, token } = reached[i % reached.length] as Reached
        return { client: openClient(url), headers: { authorization: `Bearer ${token}` } }
      })
      const body = { kind: plain.name, expires_in: 86_400, payload }
      const ids: string[] = []
      const ask = async (i: number, path: string, what: object, wanted: number): Promise<string> => {
        const { client, headers } = each[i % clients] as (typeof each)[number]
        const { seen } = await client.post(path, what, headers)
        const [status = '', , text = ''] = seen.split('\n')
        if (Number(status) !== wanted) problems.push(`scale: ${status} instead of ${wanted} from ${path}`)
        return text
      }
      const issueOne = async (i: number) => {
        ids.push(JSON.parse(await ask(i, '/v1/resources', body, 201)).id)
      }
      const checkOne = async (i: number) => {
        await ask(i, `/v1/resources/${ids[i % ids.length]}/check`, {}, 200)
      }
      await inFlight(clients * 5, clients, issueOne)
      const issued = await rateOf(count, () => inFlight(count, clients, issueOne))
      await analyze(ground)
      const checked = await rateOf(count, () => inFlight(count, clients, checkOne))
      for (const { client } of each) client.close()
      return { issued, checked }
    }),
  )

interface Reached {
  readonly url: string
  readonly token: string
}

const withApis = <T>(
  ground: Ground,
  count: number,
  reached: readonly Reached[],
  during: (reached: readonly Reached[]) => Promise<T>,
): Promise<T> =>
  count === 0
    ? during(reached)
    : withApi(ground, (url, token) => withApis(ground, count - 1, [...reached, { url, token }], during))
