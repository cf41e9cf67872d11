import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:net'
import { GiveUp } from '@lapse/domain'
import { mailSink, until } from '@lapse/testkit'
import PostalMime from 'postal-mime'
import { afterAll, describe, expect, it } from 'vitest'
import { FailedError } from '../src/delivery/sender.ts'
import { asLetter } from '../src/mail/letter.ts'
import { createMailer } from '../src/mail/mailer.ts'

const sink = await mailSink()
const mailers: { close(): void }[] = []
afterAll(() => {
  for (const mailer of mailers) mailer.close()
})
const mailerOf = (from = 'Lapse <no-reply@example.com>', transport = sink.url) => {
  const mailer = createMailer({ transport, from, connections: 2 })
  mailers.push(mailer)
  return mailer
}
const mailer = mailerOf()
let last = 0
const message = (about: { subject?: string; to?: string; lines?: string[] } = {}) => {
  const { subject = 'It ends', to = 'ada@example.com', lines = ['It ends.'] } = about
  return { ...asLetter({ subject, lines }), to, id: `id-${++last}` }
}
/** What arrives of it: as the envelope has it, as it is read, and its head as it is. */
const sent = async (about: Parameters<typeof message>[0], by = mailer) => {
  const mail = message(about)
  await by.send(mail)
  const arrived = await until(() => sink.mails.find(({ messageId }) => messageId.includes(mail.id)))
  const [head = ''] = arrived.raw.split('\r\n\r\n')
  return { arrived, read: await PostalMime.parse(arrived.raw), head }
}
const headerNames = (head: string) => head.split('\r\n').map((line) => /^[\w-]+(?=:)/.exec(line)?.[0].toLowerCase())

const expected = ['from', 'to', 'subject', 'message-id', 'auto-submitted', 'date', 'mime-version', 'content-type']
const hostile = [
  'x\r\nBcc: everyone@example.com',
  'x\nBcc: everyone@example.com',
  'x\rBcc: everyone@example.com\r\n\r\nand a body',
  'x\u2028Bcc: everyone@example.com\u0085y\u0000\u001bz',
  'Ada, Grace <grace@example.com>; "Bob" (comment) @example.com:',
  '=?utf-8?q?Bcc:=20everyone=40example.com?=',
  'Überraschung — 驚き 🎉 \u202egpj',
  '\u061cx\u200e\u200f\u202a\u202b\u202c\u202d\u2066\u2067\u2068\u2069',
  'a'.repeat(2_000),
]

describe('what others chose', () => {
  it.each(hostile)('in a subject is only the subject: %j', async (subject) => {
    const { arrived, read, head } = await sent({ subject: `It ends: ${subject}` })
    expect(arrived.to).toEqual(['ada@example.com'])
    expect(headerNames(head).filter((name) => name && !expected.includes(name))).toEqual([])
    expect([read.bcc, read.cc]).toEqual([undefined, undefined])
    const words = (text: string) =>
      text
        .replace(/[\s\p{Cc}]+/gu, ' ')
        .replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '')
        .trim()
    if (!subject.startsWith('=?')) expect(words(`It ends: ${subject}`)).toContain(read.subject?.replace(/…$/, ''))
    expect(Math.max(...head.split('\r\n').map((line) => line.length))).toBeLessThan(998)
  })

  it.each(hostile)('in its lines is only text: %j', async (line) => {
    const { arrived, read, head } = await sent({ lines: [line] })
    expect(arrived.to).toEqual(['ada@example.com'])
    expect(headerNames(head).filter((name) => name && !expected.includes(name))).toEqual([])
    expect(read.text).toContain(line.replace('\u061c', '').slice(0, 1))
    expect(read.html).not.toContain('<grace@example.com>')
    for (const shown of [read.text ?? '', read.html ?? ''])
      expect(shown).not.toMatch(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|(?!\s)\p{Cc}/u)
    expect(read.text?.trim()).not.toMatch(/[\r\n]/)
  })

  it.each([
    'ada@example.com\r\nBcc: everyone@example.com',
    'ada@example.com\r\nRCPT TO:<everyone@example.com>',
    'ada@example.com, everyone@example.com',
    'ada@example.com;everyone@example.com',
    'ada@example.com everyone@example.com',
    'Ada <ada@example.com>',
    '<ada@example.com>',
    'ada@example.com> SIZE=1',
    '"ada everyone"@example.com',
    'team: ada@example.com;',
    'ada@example.com@evil.example',
    'ada(comment)@example.com',
    'ada\u0000@example.com',
    'ada\u202e@example.com',
    'ada@example.com/x',
    `${'a'.repeat(65)}@example.com`,
    'nobody',
    '@example.com',
    '',
  ])('for an address is one address, or nothing goes out: %j', async (to) => {
    const before = sink.mails.length
    await expect(mailer.send(message({ to }))).rejects.toThrow(GiveUp)
    await expect(mailer.send(message({ to }))).rejects.toThrow(/is not one e-mail address/)
    expect(sink.mails).toHaveLength(before)
  })

  it.each([
    ['ada@example.com', 'ada@example.com'],
    ["o'neil+a.b_c-d=e@example.com", "o'neil+a.b_c-d=e@example.com"],
    ['ada@bücher.example', 'ada@bücher.example'],
    ['a/b@example.com', 'a/b@example.com'],
    ['info&x@example.com', 'info&x@example.com'],
    ["!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"],
    ['root@localhost', 'root@localhost'],
  ])('for an address goes there: %s', async (to, recipient) => {
    const { arrived, head } = await sent({ to })
    expect(arrived.to).toEqual([recipient])
    expect(head).toContain(`\r\nTo: ${to.replace('bücher', 'xn--bcher-kva')}\r\n`)
  })

  it.each([
    ['Lapse <no-reply@example.com>', 'Lapse'],
    ['no-reply@example.com', ''],
    ['<no-reply@example.com>', ''],
    ['Acme, Inc. <no-reply@example.com>', 'Acme, Inc.'],
    ['"Acme \\"the first\\", Inc." <no-reply@example.com>', 'Acme "the first", Inc.'],
    ['Bücher & Söhne (GmbH) 🎉 <no-reply@example.com>', 'Bücher & Söhne (GmbH) 🎉'],
  ])('for a sender is one sender: %s', async (from, name) => {
    const { arrived, read } = await sent({}, mailerOf(from))
    expect(read.from).toMatchObject({ name, address: 'no-reply@example.com' })
    expect([arrived.from, arrived.messageId]).toEqual(['no-reply@example.com', `<id-${last}@example.com>`])
  })

  it.each([
    'a@example.com, b@example.com',
    'Lapse\r\nBcc: x@example.com <a@example.com>',
    'Lapse',
    '',
    'A <a@b> <c@d>',
  ])('for a sender is refused at boot, by the name of the setting: %j', (from) =>
    expect(() => mailerOf(from)).toThrow(/cannot be a sender\. Set LAPSE_MAIL_FROM, or mail\.from/),
  )
})

describe('a mail server', () => {
  const failureOf = (to: string) =>
    mailer.send(message({ to })).then(
      () => undefined,
      (error: FailedError) => error,
    )

  it.each([
    ['recipient', 550, true],
    ['recipient', 451, false],
    ['data', 554, true],
    ['data', 452, false],
    ['sender', 550, false],
    ['recipient', '550 5.7.1 blocked', false],
    ['recipient', '550 5.1.1 unknown', true],
    ['data', '554 5.7.26 not authenticated', false],
    ['data', '550 5.1.1 unknown', true],
    ['sender', '550 5.1.8 unknown domain', false],
    ['sender', '550 5.1.1 unknown', true],
  ] as const)('that refuses a %s with %s: final is %s', async (what, reply, final) => {
    const code = Number.parseInt(String(reply), 10)
    sink.refuse = (about) => (about[what] === undefined ? undefined : reply)
    const failure = await failureOf('gone@example.com')
    sink.refuse = () => undefined
    expect(failure).toBeInstanceOf(FailedError)
    expect(failure).toMatchObject({ final, answer: { code, answer: expect.stringContaining(String(code)) } })
    await mailer.send(message())
  })

  it('that says nothing, or ever more of the same, is left when there is no more time, and its connection with it', async () => {
    for (const babble of ['', '250-and\r\n']) {
      const server = await listening(babble)
      const aborted = new AbortController()
      const sending = mailerOf(undefined, server.url).send(message(), { signal: aborted.signal })
      await until(() => server.connected() === 1, { what: 'the connection' })
      aborted.abort()
      await expect(sending).rejects.toThrow()
      await until(() => server.connected() === 0, { what: 'the connection to be cut' })
    }
  })

  it('takes nothing before its last byte, which waits until it may go', async () => {
    const mail = message()
    let go = () => {}
    let asked = false
    const mayGo = () => {
      asked = true
      return new Promise<void>((resolve) => {
        go = resolve
      })
    }
    const sending = mailer.send(mail, { mayGo })
    await until(() => asked)
    // Another one passes it by.
    await mailer.send(message())
    const isThere = () => sink.seen.some(({ messageId }) => messageId.includes(mail.id))
    expect(isThere()).toBe(false)
    go()
    await sending
    expect(isThere()).toBe(true)
  })

  it('gets nothing of a mail that may not go', async () => {
    const mail = message()
    // The same error, which says how to go on.
    const error = new Error('Redis is away')
    await expect(mailer.send(mail, { mayGo: () => Promise.reject(error) })).rejects.toBe(error)
    await mailer.send(message())
    expect(sink.seen.some(({ messageId }) => messageId.includes(mail.id))).toBe(false)
  })

  it('meets no more connections than there may be, and each of them again', async () => {
    let most = 0
    sink.onMail = () => {
      most = Math.max(most, sink.connections)
    }
    const two = mailerOf()
    const idle = sink.connections
    await Promise.all(Array.from({ length: 40 }, () => two.send(message())))
    sink.onMail = () => {}
    expect(most - idle).toBeLessThanOrEqual(2)
  })
})

describe('a reminder', () => {
  it('can be stopped with one click over HTTPS, and by its page without', async () => {
    for (const [url, post] of [
      ['https://lapse.example.com/unsubscribe?token=abc', 'List-Unsubscribe=One-Click'],
      ['http://127.0.0.1:3000/unsubscribe?token=abc', undefined],
    ] as const) {
      const mail = message()
      await mailer.send({ ...mail, unsubscribe: url })
      const { raw = '' } = sink.mails.find(({ messageId }) => messageId.includes(mail.id)) ?? {}
      const headers = new Map((await PostalMime.parse(raw)).headers.map(({ key, value }) => [key, value]))
      expect([headers.get('list-unsubscribe'), headers.get('list-unsubscribe-post')]).toEqual([`<${url}>`, post])
    }
    expect((await sent({})).head).not.toMatch(/list-unsubscribe/i)
  })
})

/** A server that greets, and says nothing else than this again and again. */
const listening = async (babble: string) => {
  let connected = 0
  const server: Server = createServer((socket) => {
    connected++
    const saying = setInterval(() => babble && socket.write(babble), 5)
    if (babble) socket.write('220 hello\r\n')
    socket
      .on('error', () => {})
      .on('close', () => {
        connected--
        clearInterval(saying)
      })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterAll(() => void server.close())
  return { url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`, connected: () => connected }
}
