import { Transform } from 'node:stream'
import { type Answer, GiveUp } from '@lapse/domain'
import { createTransport, type Transporter } from 'nodemailer'
import { ConfigError } from '../config.ts'
import { FailedError } from '../delivery/sender.ts'
import type { Rendered } from './letter.ts'

export interface MailOptions {
  /** `smtp://user:password@host:port`, as nodemailer has it, or a transport of one's own. */
  transport: string | Transporter
  /** `Name <address>` */
  from: string
  /** To the server, and so mails under way at once; 10 unless said otherwise. A transport of one's own has its own. */
  connections?: number
}

export interface Message extends Rendered {
  readonly to: string
  readonly id: string
  /** The address of the page that stops such mails. */
  readonly unsubscribe?: string | undefined
}

export interface SendOptions {
  /** Cuts the connection: the mail goes no further. */
  readonly signal?: AbortSignal | undefined
  /** The server has everything but the last byte: that goes when this resolves. */
  readonly mayGo?: (() => Promise<void>) | undefined
}

export interface Mailer {
  /** Gives what the server has said. @throws GiveUp, or FailedError with the server's answer */
  send(message: Message, options?: SendOptions): Promise<Answer>
  close(): void
}

/** One pooled connection set. The Message-ID is made of the delivery's id, so a copy sent after a crash is known as one. */
export const createMailer = ({ transport, from, connections = 10 }: MailOptions): Mailer => {
  const sender = senderOf(from)
  const transporter =
    typeof transport === 'string'
      ? createTransport({
          url: transport,
          pool: true,
          maxConnections: connections,
          connectionTimeout: 10_000,
          greetingTimeout: 10_000,
          // A mail that waits for its turn is silent meanwhile. What hangs is cut off when its attempt's time is over.
          socketTimeout: 60_000,
        } as Parameters<typeof createTransport>[0])
      : transport
  transporter.use('stream', (mail, done) => {
    const { mayGo } = mail.data as SendOptions
    if (mayGo) mail.message.transform(() => heldBack(mayGo))
    done()
  })
  const domain = sender.address.slice(sender.address.lastIndexOf('@') + 1)
  return {
    send: async ({ to, id, subject, text, html, unsubscribe }, options) => {
      if (!address.test(to)) throw new GiveUp(`${JSON.stringify(to)} is not one e-mail address.`)
      try {
        const { response } = await transporter.sendMail({
          // As objects, so that nothing in an address or a name is taken for another address or a header.
          from: sender,
          to: { name: '', address: to },
          subject,
          text,
          html,
          messageId: `<${id}@${domain}>`,
          headers: { 'Auto-Submitted': 'auto-generated', ...(unsubscribe && listHeaders(unsubscribe)) },
          disableFileAccess: true,
          disableUrlAccess: true,
          ...options,
        } as Parameters<Transporter['sendMail']>[0])
        return answerOf(response)
      } catch (error) {
        throw failureOf(error as Failure)
      }
    },
    close: () => transporter.close(),
  }
}

/** A message that lacks its last byte, without which no server takes it, until that may go. */
const heldBack = (mayGo: () => Promise<void>): Transform =>
  new Transform({
    transform: (chunk, _, done) => done(null, chunk),
    flush: (done) => void mayGo().then(() => done(), done),
  })

/** One address, and nothing that could be read as a second one, as a name or as a header. */
const address = /^[^\s\p{Cc}<>()[\]",:;@\\]{1,64}@[^\s\p{Cc}<>()[\]",:;@\\]{1,253}$/u

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

/** A 5xx about the recipient or the message is final; one about our own login or address is not: someone will mend it. */
const failureOf = (error: Failure): Error => {
  const { responseCode, code = '', command } = error
  if (responseCode === undefined) return error
  const final = responseCode >= 500 && refusals.has(code) && command !== 'MAIL FROM'
  return new FailedError(error.message, { code: responseCode, answer: error.response }, { final })
}

const refusals = new Set(['EENVELOPE', 'EMESSAGE'])
