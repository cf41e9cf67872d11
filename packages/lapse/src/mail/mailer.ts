import { domainToASCII } from 'node:url'
import { type Answer, GiveUp } from '@lapse/domain'
import { createTransport, type Transporter } from 'nodemailer'
import { ConfigError } from '../config.ts'
import { FailedError, isUnreachable, UnknownOutcomeError, UnreachableError } from '../delivery/sender.ts'
import { createResolver, type Resolve } from '../outbound/resolve.ts'
import { connectBy } from './connect.ts'
import { holdLastByte, type LastByte } from './last-byte.ts'
import type { Rendered } from './letter.ts'
import { judgeReply } from './smtp-reply.ts'

export interface MailOptions {
  /** `smtp://user:password@host:port`, as nodemailer has it, or a transport of one's own. */
  transport: string | Transporter
  /** `Name <address>` */
  from: string
  /** To the server, and so mails under way at once; 10 unless said otherwise. A transport of one's own has its own. */
  connections?: number
  /**
   * For a free connection with a server that has greeted, and again for the envelope and the text, in milliseconds.
   * Default: 60,000.
   */
  commandTimeoutMs?: number
  /** For the answer to the whole message, in milliseconds. Default: 600,000, as RFC 5321 (4.5.3.2.6) demands. */
  answerTimeoutMs?: number
  /** Default: the name servers and the hosts file of the system. */
  resolve?: Resolve
}

export interface Message extends Rendered {
  readonly to: string
  readonly id: string
  /** The address of the page that stops such mails. */
  readonly unsubscribe?: string | undefined
}

export interface SendOptions {
  /**
   * Before the last byte it cuts the connection: the mail goes no further. Afterwards it does nothing, for the server may
   * have the mail: only its answer, `answerTimeoutMs` and `close` end the wait.
   */
  readonly signal?: AbortSignal | undefined
  /** The server has everything but the last byte: that goes when this resolves. When it rejects, `send` does with its error. */
  readonly mayGo?: (() => Promise<void>) | undefined
}

export interface Mailer {
  /**
   * Gives what the server has said.
   *
   * @throws GiveUp, FailedError with the server's answer, UnreachableError without one, or UnknownOutcomeError without one
   * after the last byte
   */
  send(message: Message, options?: SendOptions): Promise<Answer>
  /** Cuts all connections, those that wait for an answer too: for the end of the process. */
  close(): void
}

const connectTimeoutMs = 10_000

/** One pooled connection set. The Message-ID is made of the delivery's id, so a copy sent after a crash is known as one. */
export const createMailer = ({
  transport,
  from,
  connections = 10,
  commandTimeoutMs = 60_000,
  answerTimeoutMs = 600_000,
  resolve = createResolver(),
}: MailOptions): Mailer => {
  const sender = senderOf(from)
  const transporter =
    typeof transport === 'string'
      ? createTransport({
          url: transport,
          pool: true,
          maxConnections: connections,
          getSocket: connectBy(resolve, connectTimeoutMs),
          connectionTimeout: connectTimeoutMs,
          greetingTimeout: connectTimeoutMs,
          // nodemailer has one for all phases of a connection. Each mail's own timer is shorter, save for the answer.
          socketTimeout: answerTimeoutMs + commandTimeoutMs,
        } as Parameters<typeof createTransport>[0])
      : transport
  transporter.use('stream', (mail, done) => {
    // The last one, after DKIM: its output is what the connection reads.
    mail.message.processFunc((message) => holdLastByte(message, mail.data as LastByte))
    done()
  })
  const domain = sender.address.slice(sender.address.lastIndexOf('@') + 1)

  const deliver = async (mail: object, { signal, mayGo }: SendOptions): Promise<Answer> => {
    const cut = new AbortController()
    let sent = false
    let timer: NodeJS.Timeout | undefined
    const within = (ms: number, what: string) => {
      clearTimeout(timer)
      const late = () => cut.abort(new UnreachableError(`The mail server ${what} within ${ms / 1_000} seconds.`))
      timer = setTimeout(late, ms)
    }
    const abort = () => {
      if (!sent) cut.abort(signal?.reason)
    }
    signal?.addEventListener('abort', abort, { once: true })
    if (signal?.aborted) abort()
    within(commandTimeoutMs, 'gave no connection: it has not greeted, or all connections wait for its answers')
    const lastByte: LastByte = {
      started: () => within(commandTimeoutMs, 'did not accept sender, recipient and text'),
      mayGo: async () => {
        clearTimeout(timer)
        await mayGo?.()
        cut.signal.throwIfAborted()
        within(commandTimeoutMs, 'did not take the text')
      },
      sent: () => {
        if (cut.signal.aborted) return
        sent = true
        within(answerTimeoutMs, 'did not answer the whole message')
      },
    }
    try {
      const data = { ...mail, ...lastByte, signal: cut.signal }
      const { response } = await transporter.sendMail(data as Parameters<Transporter['sendMail']>[0])
      return answerOf(response)
    } catch (error) {
      throw failureOf(cut.signal.aborted ? cut.signal.reason : error, sent)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }

  return {
    send: async ({ to, id, subject, text, html, unsubscribe }, options = {}) => {
      const recipient = asAscii(to)
      if (!address.test(to) || recipient === undefined)
        throw new GiveUp(`${JSON.stringify(to)} is not one e-mail address.`)
      const mail = {
        // As objects, so that nothing in an address or a name is taken for another address or a header.
        from: sender,
        to: { name: '', address: recipient },
        subject,
        text,
        html,
        messageId: `<${id}@${domain}>`,
        headers: { 'Auto-Submitted': 'auto-generated', ...(unsubscribe && listHeaders(unsubscribe)) },
        disableFileAccess: true,
        disableUrlAccess: true,
      }
      return deliver(mail, options)
    },
    close: () => (transporter as { close(options?: { force: boolean }): void }).close({ force: true }),
  }
}

/** One address, and nothing that could be read as a second one, as a name or as a header. */
const address = /^[^\s\p{Cc}\p{Cf}<>()[\]",:;@\\]{1,64}@[\p{L}\p{N}\p{M}.-]{1,253}$/u

/** With its domain as DNS has it: a server needs no SMTPUTF8 for that. */
const asAscii = (to: string): string | undefined => {
  const at = to.lastIndexOf('@') + 1
  const ascii = domainToASCII(to.slice(at))
  return ascii === '' ? undefined : `${to.slice(0, at)}${ascii}`
}

/** @throws ConfigError */
const senderOf = (from: string): { name: string; address: string } => {
  const [, quoted, plain, inside] = /^\s*(?:"((?:[^"\\]|\\.)*)"|([^<>"]*?))\s*<([^<>]+)>\s*$/.exec(from) ?? []
  const sender = {
    name: quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '',
    address: (inside ?? from).trim(),
  }
  if (!address.test(sender.address) || /\p{Cc}/u.test(sender.name))
    throw new ConfigError(
      `${JSON.stringify(from)} cannot be a sender. Set LAPSE_MAIL_FROM, or mail.from in lapse.config.ts, to "Name <address>".`,
    )
  return sender
}

/** RFC 8058 asks for HTTPS: elsewhere there is a page to go to, and no single click. */
const listHeaders = (url: string): Record<string, string> => ({
  'List-Unsubscribe': `<${url}>`,
  ...(url.startsWith('https:') && { 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' }),
})

/** `250 2.0.0 Ok: queued as …` */
const answerOf = (response: unknown): Answer =>
  typeof response === 'string' ? { code: Number.parseInt(response, 10) || undefined, answer: response } : {}

interface Failure extends Error {
  code?: string
  responseCode?: number
  response?: string
  command?: string
}

/** The other side did not answer at all: not the connection, the greeting, the encryption, or a command. */
const connectionCodes = new Set(['ECONNECTION', 'ETIMEDOUT', 'ESOCKET', 'EDNS', 'ETLS', 'EPROTOCOL', 'EPROXY'])

const failureOf = (error: Failure, sent: boolean): Error => {
  const { responseCode, code = '', command } = error
  if (responseCode === undefined) {
    if (sent)
      return new UnknownOutcomeError(
        `The mail was sent whole and the server did not answer, so it may have it. ${error.message}`,
        { cause: error },
      )
    if (isUnreachable(error) || !connectionCodes.has(code)) return error
    return new UnreachableError(`The mail server does not answer. ${error.message}`, { cause: error })
  }
  const { response = String(responseCode) } = error
  return new FailedError(
    error.message,
    { code: responseCode, answer: error.response },
    {
      ...judgeReply({ code: responseCode, text: response, command }),
      unreachable: responseCode === 421 || command === 'CONN',
    },
  )
}
