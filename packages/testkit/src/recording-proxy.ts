import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { type Duplex, pipeline } from 'node:stream'

export interface SentRequest {
  readonly method: string
  /** Of a WebSocket or an encrypted connection only the host is known, and the method is CONNECT. */
  readonly url: string
  /** By lower-case name, as they were really sent: with `cookie`, `referer` and `origin`. */
  readonly headers: Readonly<Record<string, string>>
}

const LOCAL = ['127.0.0.1', 'localhost', '[::1]']

/** An HTTP proxy that writes down everything it is asked for. It passes on what stays on this machine and refuses the rest. */
export const recordingProxy = async () => {
  const requests: SentRequest[] = []
  const record = (url: URL, { method = '', headers }: IncomingMessage) => {
    const { 'proxy-connection': _, ...sent } = headers
    requests.push({ method, url: url.href, headers: sent as Record<string, string> })
    return sent
  }
  const forward = (incoming: IncomingMessage, answer: ServerResponse) => {
    const url = new URL(incoming.url ?? '')
    const headers = record(url, incoming)
    if (!LOCAL.includes(url.hostname)) return void answer.writeHead(502).end()
    // A connection of its own, so that none is left open to a server that a test wants to stop.
    const outgoing = request(url, { method: incoming.method, headers, agent: false })
    outgoing.on('response', (response) => {
      answer.writeHead(response.statusCode ?? 502, response.statusMessage, response.rawHeaders).flushHeaders()
      pipeline(response, answer, ignore)
    })
    outgoing.on('error', () => answer.destroy())
    pipeline(incoming, outgoing, ignore)
  }
  const tunnel = (incoming: IncomingMessage, socket: Duplex) => {
    const url = new URL(`https://${incoming.url}`)
    record(url, incoming)
    socket.on('error', ignore)
    if (!LOCAL.includes(url.hostname)) return void socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
    const target = connect(Number(url.port || 443), url.hostname, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      pipeline(socket, target, socket, ignore)
    })
    target.on('error', () => socket.destroy())
  }
  const server = createServer(forward).on('connect', tunnel)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: requests as readonly SentRequest[],
    close: () =>
      new Promise<unknown>((resolve) => {
        server.close(resolve)
        server.closeAllConnections()
      }),
  }
}

const ignore = () => {}
