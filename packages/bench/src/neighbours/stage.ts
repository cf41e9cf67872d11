import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { type Ground, onFreshGround } from '../ground.ts'
import { chunks, times } from '../measure.ts'
import { withApi, withWorker } from '../processes.ts'
import type { Neighbour } from './neighbour.ts'
import { httpReceiver, mailReceiver, type Receiver } from './receivers.ts'

// biome-ignore lint/suspicious/noExplicitAny: JSON; each route has its own.
type Body = any

/** A fresh database, an API and a worker as they are deployed, and a receiver of HTTP. Nothing is known of them but what clients know. */
export interface Stage {
  readonly ground: Ground
  readonly url: string
  readonly root: Record<string, string>
  readonly receiver: Receiver
  readonly mail: Receiver
  readonly ask: (method: string, path: string, body?: object, headers?: Record<string, string>) => Promise<Body>
  readonly organization: (name: string) => Promise<string>
  /** What a token of this organization asks with. */
  readonly tokenOf: (organization: string) => Promise<Record<string, string>>
  readonly endpoint: (url: string, organization: string, more?: object) => Promise<string>
  /** Issues so many in chunks of a thousand; answers their ids. */
  readonly issueAll: (count: number, draft: (i: number) => object) => Promise<string[]>
}

const scopes = ['resources', 'deliveries', 'events', 'access-grants', 'http-calls', 'webhook-endpoints'].flatMap(
  (what) => [`${what}:read`, `${what}:write`],
)

/** Runs `during` on a stage that is gone afterwards. */
export const onStage = <T>(
  { env, mailAcceptMs = 0 }: Pick<Neighbour, 'env' | 'mailAcceptMs'>,
  during: (stage: Stage) => Promise<T>,
): Promise<T> =>
  onFreshGround(async (ground) => {
    const [receiver, mail] = await Promise.all([httpReceiver(), mailReceiver(mailAcceptMs)])
    const shared = {
      LAPSE_SECRET: randomBytes(24).toString('hex'),
      LAPSE_CONFIG: fileURLToPath(new URL('./lapse.config.js', import.meta.url)),
      LAPSE_ALLOW_ADDRESSES: '127.0.0.0/8',
      LAPSE_ALLOW_ADDRESSES_FOR: '*',
      BENCH_RECEIVER: receiver.url,
      SMTP_URL: mail.url,
      LAPSE_SWEEP_SECONDS: '15',
      ...env,
    }
    const close = () => {
      receiver.close()
      mail.close()
    }
    // Before the worker is stopped: it finishes what it has begun, and nothing would end what hangs.
    const closing = async (stage: Stage) => {
      try {
        return await during(stage)
      } finally {
        close()
      }
    }
    const open = (url: string, token: string) =>
      withWorker(ground, () => closing(stageOf(ground, { url, token, receiver, mail })), shared)
    try {
      return await withApi(ground, open, shared)
    } finally {
      close()
    }
  })

const stageOf = (
  ground: Ground,
  { token, ...facts }: Pick<Stage, 'url' | 'receiver' | 'mail'> & { token: string },
): Stage => {
  const { url } = facts
  const root = { authorization: `Bearer ${token}` }
  const ask: Stage['ask'] = async (method, path, body, headers = root) => {
    const answer = await fetch(`${url}${path}`, {
      ...{ method, headers: { ...headers, ...(body && { 'content-type': 'application/json' }) } },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}: ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }
  return {
    ...{ ...facts, ground, root, ask },
    organization: async (name) => (await ask('POST', '/v1/organizations', { name, reference: name })).id,
    tokenOf: async (organization) => {
      const made = await ask('POST', '/v1/api-tokens', { name: 'bench', organization, scopes })
      return { authorization: `Bearer ${made.token}` }
    },
    endpoint: async (url, organization, more = {}) =>
      (await ask('POST', '/v1/webhook-endpoints', { url, organization, events: ['issued'], ...more })).id,
    issueAll: async (count, draft) => {
      const ids: string[] = []
      for (const items of chunks(times(count, draft), 1_000)) {
        const made = await ask('POST', '/v1/resources/bulk', { items })
        ids.push(...made.items.map(({ id }: { id: string }) => id))
      }
      return ids
    },
  }
}
