import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hasBrowser, testBrowser, until } from '@lapse/testkit'
import { createTransport } from 'nodemailer'
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest'
import { startInbox } from '../services/inbox.mjs'

let inbox: Awaited<ReturnType<typeof startInbox>>
beforeEach(async () => {
  inbox = await startInbox({ names: ['inbox'] })
})
afterEach(() => inbox.close())

const send = (mail: { to: string; subject: string; html?: string; text?: string }) =>
  createTransport(inbox.smtpUrl).sendMail({ from: 'lapse@example.com', ...mail })
const json = async (path: string, method = 'GET'): Promise<unknown> =>
  (await fetch(inbox.url + path, { method })).json()

it('keeps what arrives, the newest first, and finds it by recipient', async () => {
  await send({ to: 'ada@example.com', subject: 'one', text: 'eins' })
  await send({ to: 'bob@example.com', subject: 'two', html: '<b>zwei</b>' })
  expect(await json('/api/mails')).toMatchObject([{ subject: 'two' }, { subject: 'one' }])
  for (const to of ['ada@example.com', 'Ada@Example.COM'])
    expect(await json(`/api/mails?to=${to}`)).toMatchObject([{ to: ['ada@example.com'], text: 'eins\n' }])
  expect(await json('/api/mails', 'DELETE')).toEqual({})
  expect(await json('/api/mails')).toEqual([])
})

it('refuses as many mails as it is told to', async () => {
  await json('/api/fail?n=1', 'POST')
  await expect(send({ to: 'ada@example.com', subject: 'one' })).rejects.toMatchObject({ responseCode: 451 })
  await send({ to: 'ada@example.com', subject: 'again' })
  expect(await json('/api/mails')).toMatchObject([{ subject: 'again' }])
})

it('answers its own names only, and takes what changes something from its own pages only', async () => {
  const ask = (headers: Record<string, string>, method = 'GET', path = '/api/mails') =>
    new Promise<number | undefined>((resolve, reject) => {
      request(inbox.url + path, { method, headers }, (answer) => resolve(answer.resume().statusCode))
        .on('error', reject)
        .end()
    })
  const { host } = new URL(inbox.url)
  for (const own of [host, 'localhost:8025', '[::1]:8025', 'inbox:8025'])
    expect([own, await ask({ host: own })]).toEqual([own, 200])
  for (const other of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:8025'])
    expect([other, await ask({ host: other })]).toEqual([other, 403])
  const foreign = [
    { origin: 'https://evil.example' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'null' },
  ]
  for (const headers of foreign)
    for (const [method, path] of [
      ['POST', '/api/fail'],
      ['DELETE', '/api/mails'],
    ] as const)
      expect(await ask({ host, ...headers }, method, path)).toBe(403)
  for (const headers of [{}, { 'sec-fetch-site': 'same-origin' }, { origin: `http://${host}` }])
    expect(await ask({ host, ...headers }, 'DELETE')).toBe(200)
})

it('shows a mail without letting it do anything', async () => {
  await send({
    to: 'ada@example.com',
    subject: '<script>alert(1)</script>',
    html: '<script>alert(2)</script><a href="/x">x</a>',
  })
  const list = await fetch(inbox.url)
  expect(await list.text()).toContain('&#60;script&#62;alert(1)')
  expect(list.headers.get('content-security-policy')).toMatch(/default-src 'none'.*script-src 'nonce-/)
  const page = await (await fetch(`${inbox.url}/mails/1`)).text()
  const sandbox = 'allow-popups allow-popups-to-escape-sandbox'
  expect(page).toContain(`<iframe src="/mails/1/html" sandbox="${sandbox}" `)
  expect(page).not.toContain('alert(2)')
  const mail = await fetch(`${inbox.url}/mails/1/html`)
  expect(mail.headers.get('content-security-policy')).toBe(
    `sandbox ${sandbox}; default-src 'none'; img-src data:; style-src 'unsafe-inline'`,
  )
  expect(await mail.text()).toContain('<script>alert(2)</script>')
  for (const path of ['/mails/2', '/mails/2/html', '/nothing']) expect((await fetch(inbox.url + path)).status).toBe(404)
})

it('makes links of the addresses in a text, and of nothing else', async () => {
  await send({
    to: 'ada@example.com',
    subject: 'one',
    text: 'Open <http://a.example/x?y=1&z="2>, or (https://b.example/).',
  })
  const page = await (await fetch(`${inbox.url}/mails/1`)).text()
  const link = (address: string) => `<a href="${address}" target="_blank">${address}</a>`
  expect(page).toContain(
    `<pre>Open &#60;${link('http://a.example/x?y=1&#38;z=')}&#34;2&#62;, or (${link('https://b.example/')}).`,
  )
})

it.skipIf(!hasBrowser)(
  'leads from a mail, as HTML and as text, to a page that works as if its link had been typed',
  async () => {
    const posted: string[] = []
    const site = createServer(({ method = '', headers }, answer) => {
      if (method === 'POST') posted.push(`${headers['sec-fetch-site']}`)
      answer.setHeader('content-type', 'text/html').end('<form method="post"><button>Join</button></form>')
    })
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void site.close())
    const url = `http://127.0.0.1:${(site.address() as AddressInfo).port}/open`
    await send({ to: 'ada@example.com', subject: 'one', text: `Open: ${url}`, html: `<a href="${url}">Open</a>` })
    const { page, context } = await (await testBrowser()).visitor()
    await page.goto(`${inbox.url}/mails/1`)
    for (const link of [
      page.frameLocator('iframe').getByRole('link', { name: 'Open' }),
      page.getByRole('link', { name: url }),
    ]) {
      const [opened] = await Promise.all([context.waitForEvent('page'), link.click()])
      await opened.getByRole('button', { name: 'Join' }).click()
      await until(() => posted.shift() === 'same-origin')
    }
  },
)

it.skipIf(!hasBrowser)('deletes them all only after asking', async () => {
  await send({ to: 'ada@example.com', subject: 'one', text: 'eins' })
  const { page } = await (await testBrowser()).visitor()
  await page.goto(inbox.url)
  const button = page.getByRole('button', { name: 'Delete all' })
  expect((await button.boundingBox())?.height).toBeGreaterThanOrEqual(44)
  page.once('dialog', (dialog) => dialog.dismiss())
  await button.click()
  expect(await json('/api/mails')).toHaveLength(1)
  page.once('dialog', (dialog) => dialog.accept())
  await button.click()
  await until(() => page.getByText('No mail yet').isVisible())
})
