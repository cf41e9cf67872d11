import { createServer, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net'

/** Waits for what arrives under a key, and says by `performance.now()` when. */
class Arrivals {
  readonly #at = new Map<string, number>()
  readonly #waiting = new Map<string, (at: number) => void>()

  get count(): number {
    return this.#at.size
  }

  note(key: string): void {
    if (this.#at.has(key)) return
    const at = performance.now()
    this.#at.set(key, at)
    this.#waiting.get(key)?.(at)
  }

  /** `Infinity` when it has not come within this time. */
  of(key: string, withinMs: number): Promise<number> {
    const at = this.#at.get(key)
    if (at !== undefined) return Promise.resolve(at)
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(Number.POSITIVE_INFINITY), withinMs)
      this.#waiting.set(key, (arrived) => {
        clearTimeout(timer)
        resolve(arrived)
      })
    })
  }
}

export interface Receiver {
  readonly url: string
  readonly arrivals: Arrivals
  close(): void
}

/**
 * An HTTP server. Under `/hang` it accepts and never answers; all else it takes at once, and knows it by the resource that a
 * webhook tells of, or by the last part of its path.
 */
export const httpReceiver = async (host = '127.0.0.1'): Promise<Receiver> => {
  const arrivals = new Arrivals()
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text
    })
    request.once('end', () => {
      const path = request.url ?? ''
      if (path.startsWith('/hang')) return
      arrivals.note(resourceOf(body) ?? path.split('/').at(-1) ?? '')
      response.writeHead(204).end()
    })
  })
  return { ...(await opened('http', server, host)), arrivals }
}

const resourceOf = (body: string): string | undefined => {
  try {
    return JSON.parse(body).data.resource.id
  } catch {
    return undefined
  }
}

/** A mail server that takes so long to accept each mail, of any number at once; it knows them by their recipient. */
export const mailReceiver = async (acceptMs: number): Promise<Receiver> => {
  const arrivals = new Arrivals()
  const server = createTcpServer((socket) => converse(socket, acceptMs, (recipient) => arrivals.note(recipient)))
  return { ...(await opened('smtp', server)), arrivals }
}

/** As much of SMTP as it takes to be sent a mail. */
const converse = (socket: Socket, acceptMs: number, accepted: (recipient: string) => void): void => {
  let [unread, recipient, isData] = ['', '', false]
  const say = (text: string) => void (socket.destroyed || socket.write(`${text}\r\n`))
  const read = (line: string) => {
    if (isData) {
      if (line !== '.') return
      isData = false
      const whose = recipient
      const accept = () => {
        accepted(whose)
        say('250 taken')
      }
      if (acceptMs === 0) accept()
      else setTimeout(accept, acceptMs)
    } else if (/^data/i.test(line)) {
      isData = true
      say('354 go on')
    } else if (/^quit/i.test(line)) socket.end('221 bye\r\n')
    else {
      recipient = /^rcpt to: *<([^>]+)>/i.exec(line)?.[1] ?? recipient
      say('250 ok')
    }
  }
  say('220 receiver')
  socket
    .setNoDelay()
    .setEncoding('utf8')
    .on('error', () => {})
    .on('data', (text: string) => {
      const lines = `${unread}${text}`.split('\r\n')
      unread = lines.pop() ?? ''
      for (const line of lines) read(line)
    })
}

/** A port where nothing listens, and nothing will while this runs: it is bound on another address of the loopback. */
export const closedPort = async (): Promise<Receiver> => {
  const receiver = await opened('http', createTcpServer(), '127.0.0.9')
  return { ...receiver, url: receiver.url.replace('127.0.0.9', '127.0.0.1'), arrivals: new Arrivals() }
}

const opened = async (scheme: string, server: Server | TcpServer, host = '127.0.0.1') => {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket.on('close', () => sockets.delete(socket))))
  await new Promise<void>((resolve) => server.listen({ port: 0, host, backlog: 4_096 }, resolve))
  return {
    url: `${scheme}://${host}:${(server.address() as AddressInfo).port}`,
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}
