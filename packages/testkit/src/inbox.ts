import type { AddressInfo } from 'node:net'
import PostalMime from 'postal-mime'
import { SMTPServer } from 'smtp-server'
import { afterFile } from './after-file.ts'
import { until } from './until.ts'

export interface TestMail {
  readonly from: string
  readonly to: readonly string[]
  readonly subject: string
  readonly text: string
  readonly html: string
  readonly messageId: string
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>
}

export interface TestInbox {
  /** SMTP address, for SMTP_URL. */
  readonly url: string
  /** What has arrived, the oldest first. */
  readonly mails: readonly TestMail[]
  /** Refuses the next `count` mails with `code` (451, try again, unless said otherwise). */
  failNext(count: number, code?: number): void
  /** Resolves to the first mail that `wanted` accepts, arrived or yet to come. */
  waitForMail(wanted?: (mail: TestMail) => boolean, timeout?: number): Promise<TestMail>
}

/** A mail server that keeps what it gets; gone after the test file. */
export const testInbox = async (): Promise<TestInbox> => {
  const mails: TestMail[] = []
  let refusals = { count: 0, code: 451 }
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData: async (stream, session, done) => {
      try {
        const chunks: Buffer[] = []
        for await (const chunk of stream) chunks.push(chunk as Buffer)
        if (refusals.count-- > 0) throw Object.assign(new Error('refused by the test'), { responseCode: refusals.code })
        const mail = await PostalMime.parse(Buffer.concat(chunks))
        mails.push({
          from: session.envelope.mailFrom ? session.envelope.mailFrom.address : '',
          to: session.envelope.rcptTo.map(({ address }) => address),
          subject: mail.subject ?? '',
          text: mail.text ?? '',
          html: mail.html ?? '',
          messageId: mail.messageId ?? '',
          headers: Object.fromEntries(mail.headers.map(({ key, value }) => [key, value])),
        })
        done()
      } catch (error) {
        done(error as Error)
      }
    },
  })
  server.on('error', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterFile(() => new Promise<void>((resolve) => server.close(resolve)))
  return {
    url: `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    mails,
    failNext: (count, code = 451) => {
      refusals = { count, code }
    },
    waitForMail: (wanted = () => true, timeout = 20_000) =>
      until(() => mails.find(wanted), { timeout, what: `a mail (of ${mails.length} so far)` }),
  }
}
