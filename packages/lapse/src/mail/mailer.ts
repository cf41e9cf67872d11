import { createTransport, type Transporter } from 'nodemailer'
import type { Rendered } from './letter.ts'

export interface MailOptions {
  /** `smtp://user:password@host:port`, as nodemailer has it, or a transport of one's own. */
  transport: string | Transporter
  /** `Name <address>` */
  from: string
}

/** The receiving side has refused this message for good: trying again would change nothing. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
}

export interface Mailer {
  /** @throws RefusedError when there is no use in trying again */
  send(message: Rendered & { readonly to: string; readonly id: string }): Promise<void>
  close(): void
}

/** One pooled connection set. The Message-ID is made of the delivery's id, so a copy sent after a crash is known as one. */
export const createMailer = ({ transport, from }: MailOptions): Mailer => {
  const transporter =
    typeof transport === 'string'
      ? createTransport({
          url: transport,
          pool: true,
          connectionTimeout: 10_000,
          greetingTimeout: 10_000,
          socketTimeout: 20_000,
        } as Parameters<typeof createTransport>[0])
      : transport
  const domain = /@([^\s>]+)>?\s*$/.exec(from)?.[1] ?? 'lapse.invalid'
  return {
    send: async ({ to, id, subject, text, html }) => {
      try {
        await transporter.sendMail({
          from,
          // As an object, so that nothing in an address is taken for another address or a header.
          to: { name: '', address: to },
          subject,
          text,
          html,
          messageId: `<${id}@${domain}>`,
          headers: { 'Auto-Submitted': 'auto-generated' },
          disableFileAccess: true,
          disableUrlAccess: true,
        })
      } catch (error) {
        throw isRefusal(error) ? new RefusedError((error as Error).message, { cause: error }) : error
      }
    },
    close: () => transporter.close(),
  }
}

/** A 5xx about the recipient or the message is final; one about our own login is not: someone will mend it. */
const isRefusal = (error: unknown): boolean => {
  const { code, responseCode = 0 } = error as { code?: string; responseCode?: number }
  return responseCode >= 500 && responseCode < 600 && (code === 'EENVELOPE' || code === 'EMESSAGE')
}
