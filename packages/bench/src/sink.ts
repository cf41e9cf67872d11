import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'

/** When a mail was there, in milliseconds; and before which it certainly was not, however busy this process was. */
interface Mail {
  readonly at: number
  readonly notBefore: number
}

export interface Sink {
  /** SMTP address, for SMTP_URL. */
  readonly url: string
  readonly mails: readonly Mail[]
}

/** Runs `during` beside a mail server that takes whatever comes and counts it. */
export const withSink = async <T>(during: (sink: Sink) => Promise<T>): Promise<T> => {
  const mails: Mail[] = []
  const beats = [performance.now(), performance.now()]
  // What is read now has come after the second to last beat, or it would have been read then.
  const beating = setInterval(() => beats.push(performance.now()) > 2 && beats.shift(), 2)
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.setNoDelay())
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    converse(socket, () => mails.push({ at: performance.now(), notBefore: beats[0] ?? 0 }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    return await during({ url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`, mails })
  } finally {
    clearInterval(beating)
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}

/** As much of SMTP as it takes to be sent a mail. */
const converse = (socket: Socket, onMail: () => void): void => {
  let unread = ''
  let isData = false
  const say = (text: string) => socket.write(`${text}\r\n`)
  const read = (line: string) => {
    if (isData) {
      if (line !== '.') return
      isData = false
      onMail()
      say('250 taken')
    } else if (/^data/i.test(line)) {
      isData = true
      say('354 go on')
    } else if (/^quit/i.test(line)) socket.end('221 bye\r\n')
    else say('250 ok')
  }
  say('220 sink')
  socket.setEncoding('utf8').on('data', (text: string) => {
    const lines = `${unread}${text}`.split('\r\n')
    unread = lines.pop() ?? ''
    for (const line of lines) read(line)
  })
}

/** How many were certainly there in the fullest second, whichever that is. */
export const fullestSecond = (mails: readonly Mail[]): number => {
  let most = 0
  for (let first = 0, end = 0; first < mails.length; first++) {
    while (end < mails.length && (mails[end]?.at ?? 0) - (mails[first]?.notBefore ?? 0) < 1_000) end++
    most = Math.max(most, end - first)
  }
  return most
}
