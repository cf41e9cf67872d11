import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type MailPhase, mailSink } from '@lapse/testkit'
import { createTransport } from 'nodemailer'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import {
  FailedError,
  isUnknownOutcome,
  isUnreachable,
  UnknownOutcomeError,
  UnreachableError,
} from '../src/delivery/sender.ts'
import { asLetter } from '../src/mail/letter.ts'
import { createMailer, type MailOptions } from '../src/mail/mailer.ts'
import { NameError, type Resolve } from '../src/outbound/resolve.ts'

const sink = await mailSink()
beforeEach(() => {
  sink.beforeAnswer = () => undefined
  sink.refuse = () => undefined
  sink.onMail = () => {}
})
const mailers: { close(): void }[] = []
afterAll(() => {
  for (const mailer of mailers) mailer.close()
})
const mailerOf = (options: Partial<MailOptions> = {}) => {
  const mailer = createMailer({ transport: sink.url, from: 'lapse@example.com', connections: 2, ...options })
  mailers.push(mailer)
  return mailer
}
let last = 0
const message = () => ({
  ...asLetter({ subject: 'It ends', lines: ['It ends.'] }),
  to: 'ada@example.com',
  id: `id-${++last}`,
})
const copies = ({ id }: { id: string }) => sink.seen.filter(({ messageId }) => messageId.includes(id)).length

const deferred = () => {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

/** Holds back the answer to this phase until it is released. */
const hold = (held: MailPhase) => {
  const { promise, resolve: release } = deferred()
  const { promise: reached, resolve: reach } = deferred()
  sink.beforeAnswer = (phase) => {
    if (phase !== held) return undefined
    reach()
    return promise
  }
  return { release, reached }
}
const failure = async (sending: Promise<unknown>): Promise<Error> => {
  const error = await sending.catch((cause: unknown) => cause)
  if (!(error instanceof Error)) throw new Error('it has not failed')
  return error
}
const classes = (error: Error) => [isUnknownOutcome(error), isUnreachable(error)]

describe('L5: after the last byte', () => {
  it('a server that takes longer to accept than for anything else gets one copy, and that is sent', async () => {
    const mailer = mailerOf({ commandTimeoutMs: 1_500, answerTimeoutMs: 60_000 })
    sink.beforeAnswer = (phase) => (phase === 'message' ? sleep(3_000) : undefined)
    const mail = message()
    expect(await mailer.send(mail)).toMatchObject({ code: 250 })
    expect(copies(mail)).toBe(1)
  })

  it('the end of the attempt cuts nothing: the answer still counts', async () => {
    const { release, reached } = hold('message')
    const off = new AbortController()
    const mail = message()
    const sending = mailerOf().send(mail, { signal: off.signal })
    await reached
    off.abort()
    // Another mail’s whole way: what the end had cut would be gone.
    sink.beforeAnswer = () => undefined
    await mailerOf().send(message())
    release()
    expect(await sending).toMatchObject({ code: 250 })
    expect(copies(mail)).toBe(1)
  })

  it.each([
    ['that never answers is left when its time is over', () => {}, { answerTimeoutMs: 300 }, 'within 0.3 seconds'],
    ['that cuts the connection leaves it unknown', () => sink.disconnect(), {}, 'closed'],
    ['is left when the process ends', (mailer: { close(): void }) => mailer.close(), {}, 'did not answer'],
  ])('a server %s, and no copy follows by itself', async (_, end, options, words) => {
    const { reached } = hold('message')
    const mailer = mailerOf(options)
    const mail = message()
    const sending = failure(mailer.send(mail))
    await reached
    end(mailer)
    const error = await sending
    expect(error).toBeInstanceOf(UnknownOutcomeError)
    expect(error.message).toContain('it may have it')
    expect(error.message).toContain(words)
    expect([error, ...classes(error)]).toEqual([expect.objectContaining({ sent: true }), true, true])
    sink.beforeAnswer = () => undefined
    await mailerOf().send(message())
    expect(copies(mail)).toBe(1)
  })

  it('a refusal is an answer', async () => {
    sink.refuse = ({ data }) => (data === undefined ? undefined : 554)
    const error = await failure(mailerOf().send(message()))
    expect(error).toBeInstanceOf(FailedError)
    expect(classes(error)).toEqual([false, false])
  })

  it('of another copy of this package, the error is known by its symbol', () => {
    expect(isUnknownOutcome({ [Symbol.for('lapse.UnknownOutcomeError')]: true })).toBe(true)
    expect([undefined, null, 'text', new Error('x')].map(isUnknownOutcome)).toEqual([false, false, false, false])
  })
})

describe('before the last byte', () => {
  it.each(['greeting', 'sender', 'recipient'] as const)(
    'a server that hangs at the %s is left early, and the last byte is not asked for',
    async (phase) => {
      const { reached } = hold(phase)
      let asked = false
      const mayGo = async () => {
        asked = true
      }
      const mail = message()
      const sending = failure(mailerOf({ commandTimeoutMs: 1_500 }).send(mail, { mayGo }))
      await reached
      const error = await sending
      expect(error).toBeInstanceOf(UnreachableError)
      expect(error.message).toMatch('within 1.5 seconds')
      expect(classes(error)).toEqual([false, true])
      expect([asked, copies(mail)]).toEqual([false, 0])
    },
  )

  it('the time that a mail waits for its turn is not the server’s', async () => {
    const mailer = mailerOf({ commandTimeoutMs: 1_500 })
    expect(await mailer.send(message(), { mayGo: () => sleep(2_500) })).toMatchObject({ code: 250 })
  })

  it('a connection that is cut sends nothing, though the mail may go afterwards', async () => {
    const { promise: waiting, resolve: go } = deferred()
    const { promise: asked, resolve: ask } = deferred()
    const mail = message()
    const mayGo = () => {
      ask()
      return waiting
    }
    const sending = failure(mailerOf().send(mail, { mayGo }))
    await asked
    sink.disconnect()
    const error = await sending
    expect(error).toBeInstanceOf(UnreachableError)
    expect(classes(error)).toEqual([false, true])
    go()
    await mailerOf().send(message())
    expect(copies(mail)).toBe(0)
  })

  it('the end of the attempt cuts the connection', async () => {
    const off = new AbortController()
    const mail = message()
    const sending = failure(
      mailerOf().send(mail, {
        signal: off.signal,
        mayGo: async () => off.abort(new Error('it is over')),
      }),
    )
    const error = await sending
    expect([error.message, ...classes(error)]).toEqual(['it is over', false, false])
    await mailerOf().send(message())
    expect(copies(mail)).toBe(0)
  })
})

/** A server that says this and closes. */
const saying = async (greeting: string) => {
  const server = createServer((socket) => socket.on('error', () => {}).end(greeting))
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  afterAll(() => void server.close())
  return `smtp://127.0.0.1:${(server.address() as { port: number }).port}`
}
const servers = {
  busy: await saying('421 too busy\r\n'),
  none: await saying('554 no SMTP service here\r\n'),
  http: await saying('HTTP/1.1 400 Bad Request\r\n'),
  mute: await saying(''),
}

describe('a server that cannot be reached', () => {
  const refused = async (transport: string, options: Partial<MailOptions> = {}) =>
    failure(mailerOf({ transport, ...options }).send(message()))

  it.each([
    ['has no listener', 'smtp://127.0.0.1:1', UnreachableError],
    ['has no name', 'smtp://nothing.invalid', UnreachableError],
    ['greets with 421', servers.busy, FailedError],
    ['greets with 554', servers.none, FailedError],
    ['speaks something else', servers.http, Error],
    ['closes without a word', servers.mute, UnreachableError],
    ['speaks no TLS', sink.url.replace('smtp:', 'smtps:'), UnreachableError],
  ])('as one that %s, is known as such, and that is not final', async (_, transport, type) => {
    const error = await refused(transport, { resolve: async () => [] })
    expect(error).toBeInstanceOf(type)
    expect(error).toMatchObject({ unreachable: true })
    expect([...classes(error), (error as FailedError).final ?? false]).toEqual([false, true, false])
  })

  it('is not one that refuses a mail, a sender or a login', async () => {
    for (const what of ['recipient', 'sender', 'data'] as const)
      for (const code of [451, 503, 550]) {
        sink.refuse = (about) => (about[what] === undefined ? undefined : code)
        expect(isUnreachable(await failure(mailerOf().send(message())))).toBe(false)
      }
  })
})

describe('the name of a mail server', () => {
  const named = sink.url.replace('127.0.0.1', 'mail.test')

  it('is resolved by us, and without an answer the addresses found last are used', async () => {
    let failing = false
    const resolve: Resolve = async (name) => {
      if (failing) throw new NameError('the name server is away')
      return name === 'mail.test' ? ['127.0.0.1'] : []
    }
    const mailer = mailerOf({ transport: named, connections: 1, resolve })
    await mailer.send(message())
    failing = true
    sink.disconnect()
    await mailer.send(message())
    const error = await failure(mailerOf({ transport: named, resolve }).send(message()))
    expect(error).toBeInstanceOf(UnreachableError)
    expect(error.message).toContain('the name server is away')
  })

  it.each(['at once', 'after STARTTLS'] as const)('is the one that its certificate is for: TLS %s', async (tls) => {
    const encrypted = await mailSink({ tls })
    const resolve: Resolve = async () => ['127.0.0.1']
    const transport = encrypted.url.replace('127.0.0.1', 'sink.test')
    const trusting = mailerOf({ transport: `${transport}?tls.rejectUnauthorized=false`, resolve })
    await trusting.send(message())
    expect(encrypted.mails).toHaveLength(1)
    const error = await failure(mailerOf({ transport, resolve }).send(message()))
    expect([error.message, ...classes(error)]).toEqual([expect.stringMatching(/self-signed/), false, true])
  })
})

describe('a transport of one’s own', () => {
  it.each([
    ['SMTP without a pool', createTransport(sink.url)],
    ['a stream', createTransport({ streamTransport: true, buffer: true })],
  ])('waits before the last byte too: %s', async (_, transport) => {
    let asked = 0
    const mayGo = async () => {
      asked++
    }
    await mailerOf({ transport }).send(message(), { mayGo })
    expect(asked).toBe(1)
  })
})
