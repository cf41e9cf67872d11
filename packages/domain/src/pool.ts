import pg from 'pg'
import { currentCaller } from './caller.ts'
import { NoConnection, Shares } from './shares.ts'

type Connected = (
  error: Error | undefined,
  client: pg.PoolClient | undefined,
  // biome-ignore lint/suspicious/noExplicitAny: as the driver has it.
  release: (error?: any) => void,
) => void

const nothingToRelease = (): void => {}

/** How long a cancelled statement may take to end before its connection is cut. */
const cancelMs = 1_000

/**
 * A pool whose connections are divided among lanes and owners (`Shares`), and whose callers can give up: their statement
 * is cancelled, and their transaction does not go on. Everything that takes a connection, Prisma too, comes through `connect`.
 */
export class SharedPool extends pg.Pool {
  readonly #shares: Shares

  constructor(config: pg.PoolConfig & { max: number }) {
    super(config)
    this.#shares = new Shares(config.max)
  }

  override connect(): Promise<pg.PoolClient>
  override connect(callback: Connected): void
  override connect(callback?: Connected): Promise<pg.PoolClient> | undefined {
    const connecting = this.#connect()
    if (!callback) return connecting
    connecting.then(
      (client) => callback(undefined, client, client.release),
      (error) => callback(error, undefined, nothingToRelease),
    )
  }

  async #connect(): Promise<pg.PoolClient> {
    const caller = currentCaller()
    const giveBack = await this.#shares.take(caller)
    const client = await super.connect().catch((error) => {
      giveBack()
      throw error
    })
    const release = client.release
    const cancelling = caller.signal && cancelWhen(caller.signal, client)
    client.release = (error) => {
      release(cancelling?.done() ? true : error)
      giveBack()
    }
    if (caller.signal?.aborted) {
      client.release()
      throw new NoConnection('given-up')
    }
    return client
  }
}

/**
 * Cancels what this connection is at when the signal is aborted, and lets it do nothing after that. `done` ends the watch and says
 * whether it was.
 *
 * By the protocol's own cancellation: it needs no connection of the pool, and a pooler in between hands it on, which
 * pg_cancel_backend by the pooler's process id would not be. Closing the connection alone ends nothing: a backend that
 * waits for a lock does not look at its socket. The connection is not used again, for the cancellation may come late and
 * would meet the next statement.
 */
const cancelWhen = (signal: AbortSignal, client: pg.PoolClient) => {
  let cutting: NodeJS.Timeout | undefined
  let cancelled = false
  const cancel = () => {
    cancelled = true
    const { readyForQuery, connection } = client as unknown as Internals
    if (readyForQuery) return void client.end()
    // Whatever comes after the statement is refused, the commit too.
    client.once('drain', () => void client.end())
    sendCancel(client)
    cutting = setTimeout(() => connection.stream.destroy(), cancelMs)
  }
  signal.addEventListener('abort', cancel, { once: true })
  return {
    done: (): boolean => {
      signal.removeEventListener('abort', cancel)
      clearTimeout(cutting)
      return cancelled
    },
  }
}

/** What the driver has and its types do not name. */
interface Internals {
  readonly readyForQuery: boolean
  readonly connection: { readonly stream: { destroy(): void }; readonly sslNegotiation?: string }
  readonly processID: number
  readonly secretKey: number
  readonly host: string
  readonly port: number
  readonly ssl: boolean | object
}

/** On a connection of its own, which the server closes when it has passed the signal on. */
const sendCancel = (client: pg.PoolClient): void => {
  const { processID, secretKey, host, port, ssl, connection: own } = client as unknown as Internals
  const { sslNegotiation } = own
  const connection = new pg.Connection({ ssl, sslNegotiation } as pg.ConnectionConfig) as unknown as Canceller
  const send = () => connection.cancel(processID, secretKey)
  if (!ssl) connection.once('connect', send)
  else if (sslNegotiation !== 'direct') connection.once('connect', () => connection.requestSsl())
  connection.once('sslconnect', send)
  // What cannot be cancelled is cut off: see `cutting`.
  const end = () => connection.stream.destroy()
  connection.on('error', end)
  const late = setTimeout(end, cancelMs)
  connection.once('end', () => clearTimeout(late))
  if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
  else connection.connect(port, host)
}

interface Canceller {
  readonly stream: { destroy(): void }
  once(event: string, listener: () => void): void
  on(event: 'error', listener: () => void): void
  connect(portOrPath: number | string, host?: string): void
  requestSsl(): void
  cancel(processID: number, secretKey: number): void
}
