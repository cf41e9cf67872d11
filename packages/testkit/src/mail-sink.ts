import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { SMTPServer } from 'smtp-server'
import { afterFile } from './after-file.ts'
import { selfSigned } from './self-signed.ts'
import { stopwatch } from './stopwatch.ts'

export interface SunkMail {
  readonly messageId: string
  /** As the envelope has them. */
  readonly from: string
  readonly to: readonly string[]
  readonly raw: string
  /** When it was there, by `performance.now()`; and before which it was certainly not, however busy this process was. */
  readonly at: number
  readonly notBefore: number
}

/** What the server answers: a connection, `MAIL FROM`, `RCPT TO`, and the whole message after its final dot. */
export type MailPhase = 'greeting' | 'sender' | 'recipient' | 'message'

export interface MailSink {
  /** SMTP address, for SMTP_URL. */
  readonly url: string
  /** What it has accepted, the oldest first. */
  readonly mails: readonly SunkMail[]
  /** All that it has been given, accepted or not. */
  readonly seen: readonly SunkMail[]
  /** Connections that are open. */
  readonly connections: number
  /** Called as soon as a mail is accepted, before its sender is told so. */
  onMail: (mail: SunkMail) => void
  /** The code, or the whole reply, that a recipient, a sender or a message is refused with; `undefined`: it is welcome. */
  refuse: (about: { recipient?: string; sender?: string; data?: string }) => number | string | undefined
  /** Awaited before the answer of each phase. A mail whose answer waits is in `mails` already. */
  beforeAnswer: (phase: MailPhase) => Promise<void> | undefined
  /** Cuts all connections at once. */
  disconnect(): void
}

export interface MailSinkOptions {
  /** Encrypted from the first byte, or after STARTTLS. Its certificate is signed by itself. */
  tls?: 'at once' | 'after STARTTLS'
  /** How long it takes to accept each mail, of any number at once. */
  acceptMs?: number
}

/** A mail server for those who count: it keeps mails as they came, and says when; it may take its time. Gone after the test file. */
export const mailSink = async ({ tls, acceptMs = 0 }: MailSinkOptions = {}): Promise<MailSink> => {
  const mails: SunkMail[] = []
  const seen: SunkMail[] = []
  const clock = stopwatch()
  const refusal = (about: Parameters<MailSink['refuse']>[0]) => {
    const reply = sink.refuse(about)
    if (reply === undefined) return undefined
    const [, code, text] = /^(\d{3})(?: (.*))?$/.exec(String(reply)) ?? []
    return Object.assign(new Error(text ?? 'refused by the test'), { responseCode: Number(code) })
  }
  const server = new SMTPServer({
    authOptional: true,
    // A reply says what its test wants it to, and nothing more.
    hideENHANCEDSTATUSCODES: true,
    ...(tls ? { ...selfSigned, secure: tls === 'at once' } : { disabledCommands: ['STARTTLS'] }),
    disableReverseLookup: true,
    onConnect: async (_, done) => {
      await sink.beforeAnswer('greeting')
      done()
    },
    onMailFrom: async ({ address: sender }, _, done) => {
      await sink.beforeAnswer('sender')
      done(refusal({ sender }))
    },
    onRcptTo: async ({ address: recipient }, _, done) => {
      await sink.beforeAnswer('recipient')
      done(refusal({ recipient }))
    },
    onData: async (stream, { envelope }, done) => {
      const raw = await textOf(stream)
      // Whoever sent it is gone.
      if (raw === undefined) return done()
      const mail: SunkMail = {
        messageId: /^message-id: *(\S+)/im.exec(raw)?.[1] ?? '',
        from: envelope.mailFrom ? envelope.mailFrom.address : '',
        to: envelope.rcptTo.map(({ address }) => address),
        raw,
        at: performance.now(),
        notBefore: clock.notBefore(),
      }
      seen.push(mail)
      if (acceptMs > 0) await sleep(acceptMs)
      const refused = refusal({ data: raw })
      if (refused) return done(refused)
      mails.push(mail)
      sink.onMail(mail)
      await sink.beforeAnswer('message')
      done()
    },
  })
  server.on('error', () => {})
  const sockets = new Set<Socket>()
  server.server.on('connection', (socket) => {
    sockets.add(socket.once('close', () => sockets.delete(socket)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterFile(async () => {
    clock.stop()
    sink.disconnect()
    await new Promise<void>((resolve) => server.close(resolve))
  })
  const sink: MailSink = {
    url: `${tls === 'at once' ? 'smtps' : 'smtp'}://127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    mails,
    seen,
    get connections() {
      return server.connections.size
    },
    onMail: () => {},
    refuse: () => undefined,
    beforeAnswer: () => undefined,
    disconnect: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
  return sink
}

const textOf = async (stream: AsyncIterable<unknown>): Promise<string | undefined> => {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks).toString()
  } catch {
    return undefined
  }
}

/** How many of these were certainly there within one second, whichever second that is. The first comes first. */
export const fullestSecond = (mails: readonly Pick<SunkMail, 'at' | 'notBefore'>[]): number => {
  let most = 0
  for (let first = 0, end = 0; first < mails.length; first++) {
    const from = mails[first]?.notBefore ?? 0
    while (end < mails.length && (mails[end]?.at ?? 0) - from < 1_000) end++
    most = Math.max(most, end - first)
  }
  return most
}
