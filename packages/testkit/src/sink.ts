import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterFile } from './after-file.ts'
import { selfSigned } from './self-signed.ts'
import { until } from './until.ts'

export interface SinkRequest {
  readonly method: string
  /** With the query. */
  readonly path: string
  /** By lower-case name. */
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly at: Date
}

/** A status; or more of an answer; or whatever is to be done with the connection. */
export type SinkAnswer =
  | number
  | { status: number; headers?: Record<string, string>; body?: string }
  | ((response: ServerResponse, request: SinkRequest) => void)

export interface TestSink {
  readonly url: string
  readonly port: number
  /** What has arrived, the oldest first. */
  readonly requests: readonly SinkRequest[]
  /** How many connections were made, requests or not. */
  connections(): number
  /** What the next requests are answered, one each; 204 when there is nothing left. */
  answerNext(...answers: SinkAnswer[]): void
  /** What all are answered from now on for which nothing else is said. */
  answerAlways(answer: SinkAnswer): void
  /** Resolves to the first request that `wanted` accepts, arrived or yet to come. */
  waitForRequest(wanted?: (request: SinkRequest) => boolean, timeout?: number): Promise<SinkRequest>
}

/**
 * An HTTP server that keeps what it gets; gone after the test file.
 * @param options.host where it listens: 127.0.0.1, or another of this machine's.
 * @param options.port any free one unless said otherwise.
 * @param options.tls with a certificate that nobody trusts, for `localhost`.
 */
export const testSink = async ({
  host = '127.0.0.1',
  port = 0,
  tls = false,
}: {
  host?: string
  port?: number
  tls?: boolean
} = {}): Promise<TestSink> => {
  const requests: SinkRequest[] = []
  const next: SinkAnswer[] = []
  let always: SinkAnswer = 204
  let connections = 0
  const handle = async (incoming: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const request: SinkRequest = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      headers: incoming.headers,
      body: Buffer.concat(chunks).toString(),
      at: new Date(),
    }
    requests.push(request)
    const answer = next.shift() ?? always
    if (typeof answer === 'function') return answer(response, request)
    const { status, headers = {}, body = '' } = typeof answer === 'number' ? { status: answer } : answer
    response.writeHead(status, headers).end(body)
  }
  const listener = (incoming: IncomingMessage, response: ServerResponse) =>
    void handle(incoming, response).catch(() => response.destroy())
  const server = tls ? createTlsServer(selfSigned, listener) : createServer(listener)
  server.on('connection', () => {
    connections++
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
  afterFile(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  })
  const listening = (server.address() as AddressInfo).port
  return {
    url: `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${listening}/`,
    port: listening,
    requests,
    connections: () => connections,
    answerNext: (...answers) => void next.push(...answers),
    answerAlways: (answer) => {
      always = answer
    },
    waitForRequest: (wanted = () => true, timeout = 20_000) =>
      until(() => requests.find(wanted), { timeout, what: `a request (of ${requests.length} so far)` }),
  }
}
