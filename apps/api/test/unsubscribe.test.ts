import { hasBrowser, mailSink, nowSql, testBrowser, until } from '@lapse/testkit'
import { createMailer } from 'lapse'
import PostalMime from 'postal-mime'
import { afterAll, describe, expect, it } from 'vitest'
import { type Answer, type Body, testApi } from './api.ts'
import { machines } from './operations.ts'
import { people } from './people.ts'

const api = await testApi()
const { call, lapse, sql } = api
const { ask } = people(api)
const sink = await mailSink()
const mailer = createMailer({ transport: sink.url, from: 'Lapse <lapse@example.com>' })
afterAll(() => mailer.close())
const publicUrl = 'https://lapse.example.com'
const deliver = lapse.deliverer({ mailer, publicUrl, backoff: { baseMs: 1_000, capMs: 1_000, attempts: 1 } })
const engine = lapse.engine({ onError: () => {} })

const day = 24 * 60 * 60
let last = 0

/** A trial of somebody's, so much time later, and all that was sent about it. */
const trial = async (passed: number, email = `somebody${++last}@example.com`) => {
  const { id } = (await call('POST', '/v1/trials', { email, product: 'Engines' })).body
  await api.age(id, passed)
  await engine.sweep()
  for (const delivery of await lapse.deliveries.list({ resourceId: id })) await deliver('email', delivery.id)
  const deliveries = (await call('GET', `/v1/deliveries?resource_id=${id}`)).body.items
  return { id, email, deliveries, mails: sink.mails.filter(({ to }) => to.includes(email)) }
}
/** The path of the link in somebody's reminder. */
const linkOf = async (email?: string): Promise<{ email: string; path: string }> => {
  const reminded = await trial(11 * day, email)
  const { headers } = await PostalMime.parse(reminded.mails.at(-1)?.raw ?? '')
  const url = headers.find(({ key }) => key === 'list-unsubscribe')?.value ?? ''
  expect(url).toMatch(/^<https:\/\/lapse\.example\.com\/unsubscribe\?token=[\w-]+>$/)
  return { email: reminded.email, path: url.slice(1 + publicUrl.length, -1) }
}
const suppressed = async (email: string): Promise<Body[]> =>
  (await call('GET', `/v1/mail-suppressions?address=${encodeURIComponent(email)}`)).body.items
const seen = ({ status, headers, text }: Answer) => {
  const { date, connection, 'keep-alive': _, ...rest } = Object.fromEntries(headers)
  return { status, headers: rest, text }
}

describe('the link in a reminder', () => {
  it('stops reminders with the one click of RFC 8058, whatever body and origin it comes with; other mail arrives', async () => {
    const multipart = '--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
    const clicks: [string | undefined, Record<string, string>][] = [
      ['List-Unsubscribe=One-Click', { 'content-type': 'application/x-www-form-urlencoded' }],
      [multipart, { 'content-type': 'multipart/form-data; boundary=x' }],
      [undefined, { origin: 'https://mail.example.org', 'sec-fetch-site': 'cross-site' }],
    ]
    for (const [body, headers] of clicks) {
      const { email, path } = await linkOf()
      const { status, headers: answered } = await ask('POST', path, body, headers)
      expect([status, answered.get('location'), answered.getSetCookie()]).toEqual([200, null, []])
      expect(await suppressed(email)).toMatchObject([{ address: email, reason: 'unsubscribed' }])
      const before = sink.mails.filter(({ to }) => to.includes(email)).length
      const reminded = await trial(11 * day, email)
      expect(reminded.mails).toHaveLength(before)
      expect(reminded.deliveries).toMatchObject([
        { event: 'reminded:259200', status: 'cancelled', last_error: 'its address is unsubscribed from reminders' },
      ])
      const ended = await trial(16 * day, email)
      expect(ended.deliveries).toMatchObject([{ event: 'expired', status: 'sent' }])
      expect(ended.mails.at(-1)?.raw).not.toMatch(/list-unsubscribe|No more reminders/i)
    }
  })

  it('I3: changes nothing when it is opened, names nobody, and is kept nowhere', async () => {
    const { email, path } = await linkOf()
    const opened = await Promise.all(Array.from({ length: 20 }, (_, i) => ask(i % 2 ? 'HEAD' : 'GET', path)))
    for (const { status, text, headers } of opened) {
      expect(status).toBe(200)
      expect(text).not.toContain(email)
      expect([headers.get('referrer-policy'), headers.get('cache-control')]).toEqual(['no-referrer', 'no-store'])
      expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-/)
    }
    expect(await suppressed(email)).toEqual([])
    expect(path).not.toContain(Buffer.from(email).toString('base64url').slice(0, 12))
  })

  it('that is not good answers with the one page, whoever asks and how', async () => {
    const { path } = await linkOf()
    const token = path.split('=')[1] ?? ''
    const bad = ['', 'x', `${token.slice(0, -4)}AAAA`, token.slice(4), `${token}${token}`, 'a'.repeat(5_000)]
    const answers: Answer[] = []
    for (const one of bad)
      for (const method of ['GET', 'POST']) answers.push(await ask(method, `/unsubscribe?token=${one}`))
    answers.push(await ask('GET', '/unsubscribe'), await ask('POST', '/unsubscribe?token=a&token=b'))
    expect(new Set(answers.map((answer) => JSON.stringify(seen(answer)))).size).toBe(1)
    expect(answers[0]?.status).toBe(404)
    expect((await ask('PUT', path)).status).toBe(405)
  })

  it('goes only with reminders, and not without a key', async () => {
    const keyless = await testApi({ env: { LAPSE_SECRET: '' } })
    expect((await keyless.call('GET', '/unsubscribe?token=x', undefined, { accept: 'text/html' })).status).toBe(404)
    const ended = await trial(16 * day)
    expect(ended.mails[0]?.raw).not.toMatch(/list-unsubscribe/i)
  })
})

describe('a mail that has come back', () => {
  it('is told by the id in its Message-ID, is dead, and nothing goes there until that is lifted', async () => {
    const { email, mails } = await trial(16 * day)
    const id = /<(.*)@/.exec(mails[0]?.messageId ?? '')?.[1] ?? ''
    const told = await call('POST', `/v1/deliveries/${id}/bounced`, { detail: '550 5.1.1 mailbox unknown' })
    expect([told.status, told.body.status, told.body.last_error]).toEqual([
      200,
      'dead',
      'bounced: 550 5.1.1 mailbox unknown',
    ])
    expect((await call('POST', `/v1/deliveries/${id}/bounced`)).status).toBe(200)
    const [bounce] = await suppressed(email.toUpperCase())
    expect(bounce).toMatchObject({ address: email, reason: 'bounced', detail: '550 5.1.1 mailbox unknown' })
    const retried = await call('POST', `/v1/deliveries/${id}/retry`)
    expect(retried.body).toMatchObject({
      code: 'not_retryable',
      detail: expect.stringMatching(new RegExp(`has come back.*DELETE /v1/mail-suppressions/${bounce.id}`)),
    })
    const next = await trial(16 * day, email)
    expect(next.deliveries).toMatchObject([{ status: 'dead', last_error: expect.stringContaining(bounce.id) }])
    expect((await call('DELETE', `/v1/mail-suppressions/${bounce.id}`)).body).toEqual(bounce)
    expect((await call('DELETE', `/v1/mail-suppressions/${bounce.id}`)).status).toBe(404)
    expect((await call('POST', `/v1/deliveries/${next.deliveries[0].id}/retry`)).status).toBe(200)
    await deliver('email', next.deliveries[0].id)
    expect(sink.mails.filter(({ to }) => to.includes(email))).toHaveLength(2)
  })

  it('is a mail: of anything else, and of nothing, it says so', async () => {
    const { id } = (await call('POST', '/v1/resources', { kind: 'pass' })).body
    await call('POST', `/v1/resources/${id}/expire`)
    const [handler] = (await call('GET', `/v1/deliveries?resource_id=${id}`)).body.items
    expect((await call('POST', `/v1/deliveries/${handler.id}/bounced`)).body).toMatchObject({
      status: 422,
      field: 'id',
    })
    expect((await call('GET', `/v1/deliveries/${handler.id}`)).body.status).toBe('pending')
    for (const unknown of ['00000000-0000-4000-8000-000000000000', 'nonsense'])
      expect((await call('POST', `/v1/deliveries/${unknown}/bounced`)).status).toBe(404)
    expect((await call('POST', `/v1/deliveries/${id}/bounced`, { why: 'x' })).body).toMatchObject({ field: 'why' })
  })

  it('and who is not written to, is nothing for the tokens of one organization', async () => {
    const { organization } = people(api)
    const { machine } = machines(api)
    const acme = await organization()
    const [bound, free] = [await machine({ organization: acme.id }), await machine({ scopes: ['deliveries:read'] })]
    const { deliveries } = await trial(16 * day)
    for (const [method, path] of [
      ['GET', '/v1/mail-suppressions'],
      ['DELETE', `/v1/mail-suppressions/${deliveries[0].id}`],
      ['POST', `/v1/deliveries/${deliveries[0].id}/bounced`],
    ] as const)
      expect((await bound.ask(method, path)).status).toBe(403)
    expect((await free.ask('GET', '/v1/mail-suppressions')).status).toBe(200)
    expect((await free.ask('POST', `/v1/deliveries/${deliveries[0].id}/bounced`)).status).toBe(403)
  })

  it('shows among many, page by page', async () => {
    await sql(`INSERT INTO mail_suppression (address, spelled, reason, at)
      SELECT i || '@many.example', i || '@many.example', 'bounced', ${nowSql} FROM generate_series(1, 5) AS i`)
    const first = (await call('GET', '/v1/mail-suppressions?limit=3')).body
    const second = (await call('GET', `/v1/mail-suppressions?limit=3&cursor=${first.next_cursor}`)).body
    const ids = [...first.items, ...second.items].map(({ id }: Body) => id)
    expect([first.items.length, new Set(ids).size]).toEqual([3, ids.length])
    expect((await call('GET', '/v1/mail-suppressions?reason=bounced')).body).toMatchObject({ field: 'reason' })
  })
})

describe.skipIf(!hasBrowser)('in a browser', () => {
  it.each([
    ['with scripts', {}],
    ['without scripts, on a phone', { javaScriptEnabled: false, viewport: { width: 320, height: 568 } }],
  ])('%s, the page stops reminders when its button is pressed', async (_, options) => {
    const { email, path } = await linkOf()
    const { page } = await (await testBrowser()).visitor(options)
    await page.goto(`${api.url}${path}`)
    expect(await suppressed(email)).toEqual([])
    await page.getByRole('button', { name: 'Stop the reminders' }).click()
    await until(() => page.getByRole('heading', { name: 'No more reminders', exact: true }).isVisible())
    expect(await suppressed(email)).toHaveLength(1)
    const overflow = await page.locator('html').evaluate((element) => element.scrollWidth - element.clientWidth)
    expect(overflow).toBe(0)
  })
})
