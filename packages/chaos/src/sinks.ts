import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Arrival, Instant } from './history.ts'

/** What it does with what it is given: takes it, refuses it, takes it three seconds later, or says nothing at all. */
export type Manner = 'take' | 'refuse' | 'late' | 'hang'

export interface Sink {
  readonly url: string
  manner: Manner
  /** Called with whatever arrives, before it is answered. */
  onArrival: (key: string) => void
  /** Hangs up on everybody. */
  drop(): void
  close(): void
}

type Note = (arrival: Arrival) => void

const lateMs = 3_000
const later = (act: () => void) => void setTimeout(act, lateMs).unref()

/** Takes webhooks, calls and what handlers tell. */
export const httpSink = async (now: () => Instant, record: Note): Promise<Sink> => {
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const seen = { ...read(request, Buffer.concat(chunks).toString()), at: now() }
    sink.onArrival(seen.key)
    const answer = (status: number) => {
      const gone = response.destroyed || request.socket.destroyed
      record({ ...seen, accepted: status < 300 && !gone })
      response.writeHead(status).end()
    }
    if (sink.manner === 'take') return answer(204)
    if (sink.manner === 'refuse') return answer(503)
    if (sink.manner === 'late') return later(() => answer(204))
    record({ ...seen, accepted: false })
  }
  const server = createHttpServer((request, response) => void handle(request, response).catch(() => response.destroy()))
  const sink = await opened('http', server)
  return sink
}

const read = ({ url = '', headers }: IncomingMessage, body: string): Omit<Arrival, 'at' | 'accepted'> => {
  const [, channel, whose = ''] = url.split('/')
  const key = String(headers['webhook-id'] ?? headers['idempotency-key'])
  if (channel === 'call') return { channel, key, about: whose, whose, type: 'expired' }
  const { data, ...told } = JSON.parse(body)
  if (channel === 'handler') return { channel, key, about: told.resource, whose: told.resource, type: 'expired' }
  return { channel: 'webhook', key, about: data.event.id, whose: data.resource.id, type: data.event.type }
}

/**
 * As much of SMTP as it takes to be sent a mail. Whose it is stands in the address, and what about in the subject. A token
 * or a code in it is `found`.
 */
export const mailSink = async (
  now: () => Instant,
  record: Note,
  found: (whose: string, secret: string) => void,
): Promise<Sink> => {
  const server = createServer((socket) => {
    socket.setNoDelay().on('error', () => {})
    converse(socket, (mail, say) => {
      const seen = { ...readMail(mail), at: now() }
      sink.onArrival(seen.key)
      const answer = (line: string) => {
        record({ ...seen, accepted: line.startsWith('2') && !socket.destroyed })
        const secret = line.startsWith('2') && secretIn(mail)
        if (secret) found(seen.whose, secret)
        say(line)
      }
      if (sink.manner === 'take') return answer('250 taken')
      if (sink.manner === 'refuse') return answer('451 not now')
      if (sink.manner === 'late') return later(() => answer('250 taken'))
      record({ ...seen, accepted: false })
    })
  })
  const sink = await opened('smtp', server)
  return sink
}

const readMail = (mail: string): Omit<Arrival, 'at' | 'accepted'> => {
  const header = (name: string) => new RegExp(`^${name}: *(.*)$`, 'im').exec(mail)?.[1] ?? ''
  const [, key = ''] = /<([^@]+)@/.exec(header('message-id')) ?? []
  const [, whose = ''] = /([^<\s]+)@/.exec(header('to')) ?? []
  const subject = header('subject')
  // Its issue and its end are told once; what is told between them may be told again after a renewal.
  const isEnd = /has (ended|expired)/.test(subject)
  const isIssue = /invited|confirm|Your code/.test(subject)
  const about = isEnd ? `the end of ${whose}` : isIssue ? `the issue of ${whose}` : `${subject} ${key}`
  return { channel: 'email', key, about, whose, type: isEnd ? 'expired' : 'earlier' }
}

/** In quoted-printable. */
const secretIn = (mail: string): string | undefined => {
  const text = mail.replace(/=\n/g, '').replace(/=3D/g, '=')
  return (/[?&]token=([\w-]+)/.exec(text) ?? /Your code is (\d{8})/.exec(text))?.[1]
}

const converse = (socket: Socket, onMail: (mail: string, say: (line: string) => void) => void): void => {
  let unread = ''
  let mail: string[] | undefined
  const say = (text: string) => void (socket.destroyed || socket.write(`${text}\r\n`))
  const readLine = (line: string) => {
    if (mail && line !== '.') mail.push(line)
    else if (mail) {
      onMail(mail.join('\n'), say)
      mail = undefined
    } else if (/^data/i.test(line)) {
      mail = []
      say('354 go on')
    } else if (/^quit/i.test(line)) socket.end('221 bye\r\n')
    else say('250 ok')
  }
  say('220 sink')
  socket.setEncoding('utf8').on('data', (text: string) => {
    const lines = `${unread}${text}`.split('\r\n')
    unread = lines.pop() ?? ''
    for (const line of lines) readLine(line)
  })
}

const opened = async (scheme: 'http' | 'smtp', server: Server): Promise<Sink> => {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket.on('close', () => sockets.delete(socket))))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const drop = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    manner: 'take',
    onArrival: () => {},
    drop,
    close: () => {
      server.close()
      drop()
    },
  }
}
