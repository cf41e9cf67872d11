// The mail inbox as a service of its own (docker compose). HOST, SMTP_PORT and HTTP_PORT say where it listens, INBOX_NAMES what it is called.
import { atEnd, command } from './lifetime.mjs'
import { startInbox } from './services/inbox.mjs'

const { HOST = '127.0.0.1', SMTP_PORT = '1025', HTTP_PORT = '8025', INBOX_NAMES = '' } = process.env

await command(
  async () => {
    const inbox = await startInbox({
      host: HOST,
      smtpPort: Number(SMTP_PORT),
      httpPort: Number(HTTP_PORT),
      names: INBOX_NAMES.split(','),
    })
    atEnd(inbox.close)
    console.log(`inbox ${inbox.url}\nsmtp ${inbox.smtpUrl}`)
    return new Promise(() => {})
  },
  { stopped: 0 },
)
