import { randomUUID } from 'node:crypto'
import pg from 'pg'
import type { Stage } from '../stage.ts'
import { type FaultKind, sleep } from './fault.ts'

/** Long enough that somebody who is held up by it is seen to be. */
const noisyMs = 4_500

const done = async (stage: Stage, method: string, path: string, body?: object) => {
  let answer = await stage.client.ask(method, path, body)
  // Another fault may be under way, and this machine be busy.
  for (let tries = 1; tries < 20 && (!answer || answer.status === 503 || answer.status === 429); tries++) {
    await sleep(500)
    answer = await stage.client.ask(method, path, body)
  }
  // What was deleted by a request whose answer was lost.
  if (method === 'DELETE' && answer?.status === 404) return answer.body
  if (!answer || answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`)
  return answer.body
}

const newOrganization = async (stage: Stage): Promise<string> => {
  const name = `noisy-${randomUUID()}`
  return (await done(stage, 'POST', '/v1/organizations', { name, reference: name })).id
}

/** One organization whose endpoints are these, with so many events pending for them; gone again when it is over. */
const pendingFor = async (stage: Stage, urls: readonly string[], events: number, during: () => Promise<unknown>) => {
  const organization = await newOrganization(stage)
  const endpoints: { id: string }[] = []
  // One after the other: all of them wait for the organization's row, and on a busy machine longer than a request may.
  for (const url of urls)
    endpoints.push(await done(stage, 'POST', '/v1/webhook-endpoints', { url, organization, events: ['issued'] }))
  const draft = { kind: 'seat', organization, subject: 'a neighbour', expires_in: 3_600 }
  await done(stage, 'POST', '/v1/resources/bulk', { items: Array.from({ length: events }, () => draft) })
  try {
    return await during()
  } finally {
    for (const { id } of endpoints) await done(stage, 'DELETE', `/v1/webhook-endpoints/${id}`)
    await done(stage, 'DELETE', `/v1/organizations/${organization}`)
  }
}

/** More than all workers together can have under way. */
const morePending = 300

export const oneReceiverHangs: FaultKind = {
  name: "one organization's receiver accepts and never answers",
  isQuiet: true,
  isNoisy: true,
  run: async (stage, _, pauseMs) => {
    stage.silent.manner = 'hang'
    await pendingFor(stage, [`${stage.silent.url}/hook`], morePending, () => sleep(Math.max(noisyMs, pauseMs)))
    stage.silent.drop()
  },
}

/** Names that no server answers for. Nothing else may wait for them: neither other names, nor connections of our own. */
export const namesSlow: FaultKind = {
  name: "one organization's endpoints have names that are not resolved",
  isQuiet: true,
  isNoisy: true,
  run: async (stage, _, pauseMs) => {
    const before = stage.names.asked()
    const urls = Array.from({ length: 20 }, (_, i) => `https://host-${i}.slow.example/hook`)
    await pendingFor(stage, urls, 10, () => sleep(Math.max(noisyMs, pauseMs)))
    const asked = stage.names.asked() - before
    return asked > 0
      ? `${asked} questions`
      : 'skipped: the workers resolve names by the system, not by the private name server'
  },
}

/** It takes three seconds for each, while more notices are due than it has connections. */
export const mailServerSlow: FaultKind = {
  name: 'a slow mail server',
  run: async (stage, _, pauseMs) => {
    stage.mail.manner = 'late'
    await sleep(pauseMs)
    stage.mail.manner = 'take'
  },
}

/** As somebody in psql who has gone to lunch. */
export const rowsLocked: FaultKind = {
  name: 'rows locked by a session of somebody else',
  fails: true,
  delays: true,
  run: async ({ services }, random, pauseMs) => {
    const holder = new pg.Client({ connectionString: services.postgres.ownerUrl })
    holder.on('error', () => {})
    await holder.connect()
    try {
      await holder.query('BEGIN')
      const some = `SELECT id FROM resource WHERE next_step <> 'purge' ORDER BY random() LIMIT $1 FOR UPDATE SKIP LOCKED`
      const { rows } = await holder.query(some, [random.whole(20, 100)])
      await sleep(Math.max(2_000, pauseMs))
      await holder.query('ROLLBACK')
      return `${rows.length} rows`
    } finally {
      await holder.end()
    }
  },
}

/** Its heaviest reads and writes, again and again. It may be refused; nobody else may notice. */
export const oneTokenNoisy: FaultKind = {
  name: "one organization's token asks without pause",
  run: async (stage, _, pauseMs) => {
    const organization = await newOrganization(stage)
    const scopes = ['deliveries:read', 'resources:read', 'access-grants:read', 'access-grants:write']
    const { token, id } = await done(stage, 'POST', '/v1/api-tokens', { name: 'noisy', organization, scopes })
    const items = Array.from({ length: 1_000 }, (_, i) => ({
      ...{ resource: `document:${i}`, relation: 'viewer', subject: `user:${i}`, expires_in: 60 },
    }))
    const asks = [
      ...['/v1/deliveries?limit=200', '/v1/resources?count=true', '/v1/access-grants/watch?cursor=now&wait=1'].map(
        (path) => ({ path, init: {} }),
      ),
      { path: '/v1/access-grants/import', init: { method: 'POST', body: JSON.stringify({ items }) } },
    ]
    const end = performance.now() + Math.max(2_000, pauseMs)
    const answers: Record<string, number> = {}
    const loop = async (n: number) => {
      const { path, init } = asks[n % asks.length] ?? asks[0] ?? { path: '', init: {} }
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      while (performance.now() < end) {
        const api = stage.apis[n % stage.apis.length]
        const ask = async () => {
          const answer = await fetch(`${api?.url}${path}`, { ...init, headers })
          await answer.arrayBuffer()
          return String(answer.status)
        }
        const status = await ask().catch((error: Error) => error.name)
        answers[status] = (answers[status] ?? 0) + 1
      }
    }
    await Promise.all(Array.from({ length: 16 }, (_, n) => loop(n)))
    await done(stage, 'POST', `/v1/api-tokens/${id}/revoke`)
    await done(stage, 'DELETE', `/v1/organizations/${organization}`)
    return Object.entries(answers)
      .map(([status, count]) => `${count} × ${status}`)
      .join(', ')
  },
}
