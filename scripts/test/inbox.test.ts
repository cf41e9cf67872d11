import { createTransport } from 'nodemailer'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startInbox } from '../services/inbox.mjs'

let inbox: Awaited<ReturnType<typeof startInbox>>
beforeEach(async () => {
  inbox = await startInbox()
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
  expect(await json('/api/mails?to=ada@example.com')).toMatchObject([{ to: ['ada@example.com'], text: 'eins\n' }])
  expect(await json('/api/mails', 'DELETE')).toEqual({})
  expect(await json('/api/mails')).toEqual([])
})

it('refuses as many mails as it is told to', async () => {
  await json('/api/fail?n=1', 'POST')
  await expect(send({ to: 'ada@example.com', subject: 'one' })).rejects.toMatchObject({ responseCode: 451 })
  await send({ to: 'ada@example.com', subject: 'again' })
  expect(await json('/api/mails')).toMatchObject([{ subject: 'again' }])
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
  expect(page).toContain('<iframe src="/mails/1/html" sandbox="allow-popups')
  expect(page).not.toContain('alert(2)')
  const mail = await fetch(`${inbox.url}/mails/1/html`)
  expect(mail.headers.get('content-security-policy')).toMatch(/^sandbox allow-popups.*default-src 'none'/)
  expect(await mail.text()).toContain('<script>alert(2)</script>')
  for (const path of ['/mails/2', '/mails/2/html', '/nothing']) expect((await fetch(inbox.url + path)).status).toBe(404)
})
