import { cpuUsed } from '../cpu.ts'
import { chunks, sleep, times } from '../measure.ts'
import { nameServer, preloadOf } from './name-server.ts'
import { type Neighbour, Skipped, withinASecond } from './neighbour.ts'
import { compared, issued, paceOf, pulses } from './pulses.ts'
import { closedPort, httpReceiver } from './receivers.ts'
import type { Stage } from './stage.ts'

const plain = 'bench-plain'
const week = 7 * 86_400

/** An organization whose endpoint takes everything at once, and whose webhooks are measured. */
const quietWebhooks = async (stage: Stage, quick: boolean) => {
  const organization = await stage.organization('quiet')
  await stage.endpoint(`${stage.receiver.url}/take`, organization)
  return issued(stage, paceOf(quick), { kind: plain, organization })
}

const noisyOrganization = async (stage: Stage, url: string) => {
  const organization = await stage.organization('noisy')
  const endpoint = await stage.endpoint(url, organization)
  return { organization, endpoint }
}

const issueIn = (stage: Stage, organization: string, count: number) =>
  stage.issueAll(count, () => ({ kind: plain, organization, expires_in: week }))

const hangingReceiver = (name: string, few: number, many: number): Neighbour => ({
  name,
  noisy: (quick) => `a receiver that accepts and never answers, ${quick ? few : many} events pending`,
  quiet: "another organization's webhook",
  bound: withinASecond,
  measure: async (stage, quick) => {
    const quiet = await quietWebhooks(stage, quick)
    const { organization } = await noisyOrganization(stage, `${stage.receiver.url}/hang`)
    return compared(quiet, () => issueIn(stage, organization, quick ? few : many))
  },
})

/** What is dead, or was sent, is tried again: a big set at once, by somebody's click. */
const again = (name: string, noisy: string, begin: 'retry' | 'replay'): Neighbour => ({
  name,
  noisy: (quick) => `${noisy}, ${quick ? 400 : 2_000} of them, for a receiver that never answers`,
  quiet: "another organization's webhook",
  bound: withinASecond,
  measure: async (stage, quick) => {
    const { ground, ask, receiver } = stage
    const quiet = await quietWebhooks(stage, quick)
    const { organization, endpoint } = await noisyOrganization(stage, `${receiver.url}/take`)
    const since = new Date(Date.now() - 60_000).toISOString()
    const count = quick ? 400 : 2_000
    const ids = await issueIn(stage, organization, count)
    await Promise.all(ids.map((id) => receiver.arrivals.of(id, 60_000)))
    const unsettled = `SELECT 1 FROM delivery WHERE target = $1 AND settled_at IS NULL LIMIT 1`
    while ((await ground.owner.query(unsettled, [endpoint])).rows.length > 0) await sleep(50)
    if (begin === 'retry')
      await ground.owner.query(`UPDATE delivery SET status = 'dead' WHERE target = $1 AND status = 'sent'`, [endpoint])
    await ask('PATCH', `/v1/webhook-endpoints/${endpoint}`, { url: `${receiver.url}/hang` })
    return compared(quiet, async () => {
      if (begin === 'retry') return ask('POST', '/v1/deliveries/retry', { target: endpoint })
      let cursor: string | undefined
      do {
        const path = `/v1/webhook-endpoints/${endpoint}/replay`
        cursor = (await ask('POST', path, { since, ...(cursor && { cursor }) })).next_cursor
      } while (cursor)
    })
  },
})

/** Far more than a probe takes, and far less than it was: 250 to 360. */
const mostAttempts = 20
const mostCpu = 0.25

const closed: Neighbour = {
  name: 'closed-port',
  noisy: (quick) => `${quick ? '1,000' : '4,000'} events for a port where nothing listens`,
  quiet: "another organization's webhook",
  bound: withinASecond,
  measure: async (stage, quick) => {
    const quiet = await quietWebhooks(stage, quick)
    const port = await closedPort()
    const { organization, endpoint } = await noisyOrganization(stage, `${port.url}/hook`)
    const used = async () => (await cpuUsed(stage.ground))?.workers ?? 0
    const attempts = async () => {
      const text = `SELECT count(*)::int AS n FROM delivery_attempt a JOIN delivery d ON d.id = a.delivery_id WHERE d.target = $1`
      return (await stage.ground.owner.query(text, [endpoint])).rows[0].n as number
    }
    let idle = 0
    const alone = async () => {
      const [cpu, start] = [await used(), performance.now()]
      const taken = await quiet()
      idle = ((await used()) - cpu) / ((performance.now() - start) / 1_000)
      return taken
    }
    await quiet()
    const before = await alone()
    const quietCpu = idle
    await issueIn(stage, organization, quick ? 1_000 : 4_000)
    const [tried, start] = [await attempts(), performance.now()]
    const beside = await alone()
    const perSecond = ((await attempts()) - tried) / ((performance.now() - start) / 1_000)
    const cpu = idle - quietCpu
    port.close()
    return {
      ...{ alone: before, beside },
      notes: `${perSecond.toFixed(0)} attempts a second, ${cpu.toFixed(2)} cores`,
      wrong: [
        ...(perSecond > mostAttempts ? [`more than ${mostAttempts} attempts a second`] : []),
        ...(cpu > mostCpu ? [`more than ${mostCpu} cores`] : []),
      ],
    }
  },
}

const calls: Neighbour = {
  name: 'hanging-call-host',
  noisy: (quick) => `${quick ? 100 : 400} calls due at once to a host that never answers`,
  quiet: 'a call to another host',
  bound: withinASecond,
  measure: async (stage, quick) => {
    const other = await httpReceiver('127.0.0.2')
    const [noisy, organization] = [await stage.organization('noisy'), await stage.organization('quiet')]
    const pace = paceOf(quick)
    let made = 0
    // A second ahead, of which the answer knows the exact end.
    const quiet = () =>
      pulses(pace, async () => {
        const key = `call-${made++}`
        const { expires_at, issued_at } = await stage.ask('POST', '/v1/http-calls', {
          ...{ url: `${stage.receiver.url}/take/${key}`, organization, expires_in: 1 },
        })
        const lifetimeMs = Date.parse(expires_at) - Date.parse(issued_at)
        return async () => (await stage.receiver.arrivals.of(key, pace.withinMs)) - lifetimeMs
      })
    const result = await compared(quiet, async () => {
      const one = { url: `${other.url}/hang`, organization: noisy, expires_in: 1 }
      for (const batch of chunks(
        times(quick ? 100 : 400, () => one),
        20,
      ))
        await Promise.all(batch.map((body) => stage.ask('POST', '/v1/http-calls', body)))
      await sleep(1_000)
    })
    other.close()
    return result
  },
}

const handlers: Neighbour = {
  name: 'hanging-handler',
  noisy: (quick) => `a handler that hangs, ${quick ? 200 : 400} of its events`,
  quiet: "another kind's handler",
  bound: withinASecond,
  measure: async (stage, quick) => {
    const quiet = issued(stage, paceOf(quick), { kind: 'bench-handled' })
    return compared(quiet, () => stage.issueAll(quick ? 200 : 400, () => ({ kind: 'bench-hanging', expires_in: week })))
  },
}

const zone = 'slow.example'

const slowNames: Neighbour = {
  name: 'slow-names',
  noisy: () => '20 endpoints of one organization whose names are never resolved, 10 events for each',
  quiet: "another organization's webhook",
  bound: withinASecond,
  env: preloadOf(),
  measure: async (stage, quick) => {
    const names = await nameServer()
    try {
      const quiet = await quietWebhooks(stage, quick)
      const organization = await stage.organization('noisy')
      await Promise.all(times(20, (i) => stage.endpoint(`https://host-${i}.${zone}/hook`, organization)))
      const result = await compared(quiet, () => issueIn(stage, organization, 10))
      if (names.asked() === 0)
        throw new Skipped('the worker does not ask the private name server: it resolves names by the system')
      return { ...result, notes: `${names.asked()} questions` }
    } finally {
      names.close()
    }
  },
}

/** Who shares the worker's slots. */
export const sideEffects: readonly Neighbour[] = [
  hangingReceiver('hanging-receiver-200', 200, 200),
  hangingReceiver('hanging-receiver-400', 400, 400),
  again('retries', 'dead webhooks, all retried at once', 'retry'),
  again('replays', 'a replay of webhooks', 'replay'),
  closed,
  slowNames,
  calls,
  handlers,
]
