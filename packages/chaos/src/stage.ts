import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { App } from './app.ts'
import { Client } from './client.ts'
import type { Arrival, Exit, Fault, Instant, Life, Loss, Operation } from './history.ts'
import { type Names, silentNameServer } from './names.ts'
import type { Services } from './services.ts'
import { httpSink, mailSink, type Sink } from './sinks.ts'
import { Time } from './time.ts'
import { organizations, somebody } from './ways.ts'

/** Two APIs and two workers on servers of their own, whoever they talk to, and what has been seen of all that. */
export interface Stage {
  readonly services: Services
  readonly time: Time
  readonly apis: readonly App[]
  readonly workers: readonly App[]
  readonly http: Sink
  readonly mail: Sink
  /** A receiver of one organization alone, of which nothing is noted. */
  readonly silent: Sink
  readonly names: Names
  readonly client: Client
  readonly seen: {
    readonly lives: Life[]
    readonly operations: Operation[]
    readonly arrivals: Arrival[]
    readonly faults: Fault[]
    readonly losses: Loss[]
    readonly exits: Exit[]
    /** The token or the code that was mailed, by whose it is: for them alone, and not for the history. */
    readonly mailed: Map<string, string>
  }
  /** Somebody has just lost what they were about to write down. */
  lost(): Instant
  close(): Promise<void>
}

const config = fileURLToPath(new URL('./lapse.config.js', import.meta.url))

export const openStage = async (services: Services): Promise<Stage> => {
  const { ownerUrl } = services.postgres
  await ask(ownerUrl, 'CREATE TABLE chaos_given_back (resource_id uuid); GRANT INSERT ON chaos_given_back TO PUBLIC')
  const time = await Time.start(ownerUrl)
  const now = () => time.now()
  const seen: Stage['seen'] = {
    ...{ lives: [], operations: [], arrivals: [], faults: [], losses: [], exits: [] },
    mailed: new Map(),
  }
  const note = (arrival: Arrival) => seen.arrivals.push(arrival)
  const [http, mail, silent, names] = await Promise.all([
    httpSink(now, note),
    mailSink(now, note, (whose, secret) => seen.mailed.set(whose, secret)),
    httpSink(now, () => {}),
    silentNameServer(),
  ])
  const rootToken = randomBytes(24).toString('hex')
  const common = {
    LAPSE_CONFIG: config,
    LAPSE_SECRET: randomBytes(24).toString('hex'),
    LAPSE_ALLOW_ADDRESSES: '127.0.0.0/8',
    LAPSE_ALLOW_ADDRESSES_FOR: '*',
    LAPSE_LOG_LEVEL: 'warn',
    CHAOS_SINK: http.url,
    PRIVATE_NAME_SERVER: names.address,
  }
  const worker = {
    ...common,
    SMTP_URL: mail.url,
    LAPSE_MAIL_RATE: '1000',
    LAPSE_MAIL_COPIES: '10',
    LAPSE_RETRY_SECONDS: '1',
    // Whoever is killed while a mail waits for its answer leaves it to the others half a minute later than this.
    LAPSE_MAIL_ANSWER_SECONDS: '20',
    LAPSE_SWEEP_SECONDS: '5',
    LAPSE_LOOK_AHEAD_SECONDS: '5',
    // What is being proven is that nothing is lost, not how it is given up.
    LAPSE_RETRY_ATTEMPTS: '100',
  }
  const [apis, workers] = await Promise.all([
    Promise.all([1, 2].map((n) => App.start(`api-${n}`, services, { ...common, LAPSE_ROOT_TOKEN: rootToken }))),
    Promise.all([1, 2].map((n) => App.start(`worker-${n}`, services, worker))),
  ])
  const client = new Client(
    apis.map(({ url }) => url),
    rootToken,
    now,
  )
  const created = await Promise.all([
    client.ask('POST', '/v1/webhook-endpoints', { url: `${http.url}/hook` }),
    client.ask('POST', '/v1/users', { email: `${somebody}@example.com`, reference: somebody, verified: true }),
    ...organizations.map((name) => client.ask('POST', '/v1/organizations', { name, reference: name })),
  ])
  const failed = created.find((answer) => answer?.status !== 201)
  if (created.includes(failed)) throw new Error(`The stage cannot be set: ${JSON.stringify(failed)}`)
  return {
    ...{ services, time, apis, workers, http, mail, silent, names, client, seen },
    lost: () => {
      const at = now()
      seen.losses.push(at)
      return at
    },
    close: async () => {
      for (const app of [...apis, ...workers]) app.close()
      client.close()
      http.close()
      mail.close()
      silent.close()
      names.close()
      await time.stop()
    },
  }
}

/** Past all lines that faults disturb. */
export const ask = async (connectionString: string, statement: string): Promise<pg.QueryResult> => {
  const client = new pg.Client({ connectionString })
  client.on('error', () => {})
  await client.connect()
  try {
    return await client.query(statement)
  } finally {
    await client.end()
  }
}
