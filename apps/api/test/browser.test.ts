import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import {
  hasBrowser,
  startProcess,
  type TestInbox,
  type TestMail,
  type TestProcess,
  testBrowser,
  testInbox,
  until,
  type Visitor,
} from '@lapse/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Body, testApi } from './api.ts'
import { behindProxy, people } from './people.ts'

type Options = Parameters<Awaited<ReturnType<typeof testBrowser>>['visitor']>[0]

describe.skipIf(!hasBrowser)('in a browser', () => {
  let api: Awaited<ReturnType<typeof testApi>>
  let all: ReturnType<typeof people>
  let inbox: TestInbox
  let worker: TestProcess
  beforeAll(async () => {
    ;[api, inbox] = await Promise.all([testApi({ env: behindProxy }), testInbox()])
    all = people(api)
    worker = await startProcess({
      entry: 'worker',
      env: {
        ...api.variables,
        ...{ SMTP_URL: inbox.url, LAPSE_PUBLIC_URL: api.url },
        LAPSE_CONFIG: fileURLToPath(new URL('./kinds.config.ts', import.meta.url)),
      },
    })
  }, 60_000)
  afterAll(() => worker?.stop())

  const visitors: Visitor[] = []
  const complaints: string[] = []

  /** Somebody with a browser of their own. */
  const visitor = async (options: Options = {}): Promise<Visitor> => {
    const one = await (await testBrowser()).visitor({ userAgent: firefox, ...options })
    visitors.push(one)
    one.page.on('pageerror', (error) => complaints.push(error.message))
    one.page.on('console', (message) => {
      // That a page has a status of its own is no complaint of the browser's about the page.
      if (!/status of (403|404|409|422)/.test(message.text())) complaints.push(message.text())
    })
    return one
  }
  const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0'

  afterEach(async () => {
    for (const { context, requests } of visitors.splice(0)) {
      await context.close()
      for (const { method, url, headers } of requests) {
        if (url === chromiumsOwn) continue
        expect(`${method} ${url}`).toMatch(new RegExp(`^(GET|POST) ${api.url}/`))
        expect(headers).not.toHaveProperty('referer')
      }
    }
    expect(complaints.splice(0)).toEqual([])
  })

  /** Chromium asks its maker what the fields of a form are for. No page of ours could: their policy forbids it. */
  const chromiumsOwn = 'https://content-autofill.googleapis.com/'

  let last = 0
  const fresh = () => `reader-${++last}@example.com`

  const mailTo = (email: string, subject: RegExp, before = 0): Promise<TestMail> =>
    until(() => inbox.mails.filter((mail) => mail.to.includes(email) && subject.test(mail.subject))[before], {
      timeout: 20_000,
      what: `mail ${before + 1} to ${email} about ${subject}`,
    })
  const linkIn = ({ text }: TestMail) => /http:\/\/\S+/.exec(text)?.[0] ?? ''

  /** Opens a link as the programs do that look for harm in mails. */
  const scan = async (link: string) => {
    for (let i = 0; i < 20; i++) {
      const method = i % 2 ? 'HEAD' : 'GET'
      expect((await fetch(link, { method, headers: { 'x-forwarded-for': '192.0.2.99' } })).status).toBe(200)
    }
    for (const javaScriptEnabled of [true, false]) {
      const { page, context } = await visitor({ javaScriptEnabled })
      expect((await page.goto(link))?.status()).toBe(200)
      await context.close()
    }
  }

  /** An invite that is on its way by mail, and the link in it. */
  const invited = async (more: object = {}) => {
    const email = fresh()
    const inviter = await all.user(fresh(), { name: 'Olga Owner' })
    const organization = await all.organization({ name: `Meridian ${last}` })
    await all.member(organization.id, inviter.id, 'owner')
    const invite = await all.invite(organization.id, email, { deliver: 'mail', invited_by: inviter.id, ...more })
    return { email, inviter, organization, invite, link: linkIn(await mailTo(email, /invites you/)) }
  }

  /** Asks for a link where the page has a field for the address, and answers the link that came. */
  const askForLink = async ({ page }: Visitor, email: string) => {
    const before = inbox.mails.filter((mail) => mail.to.includes(email) && /sign-in link/.test(mail.subject)).length
    await page.getByLabel('E-mail address').fill(email)
    await page.getByRole('button', { name: 'Send me a link' }).click()
    await headed(page, 'Check your mail')
    return linkIn(await mailTo(email, /sign-in link/, before))
  }

  const headed = async (page: Visitor['page'], text: string | RegExp) => {
    const heading = page.getByRole('heading', { level: 1 })
    await until(async () => {
      const shown = ((await heading.textContent()) ?? '').replace(/\s+/g, ' ').trim()
      return typeof text === 'string' ? shown === text : text.test(shown)
    })
    await accessible(page)
  }

  const press = (page: Visitor['page'], name: string) => page.getByRole('button', { name, exact: true }).click()

  const signedIn = async (email: string, options: Options = {}) => {
    const one = await visitor(options)
    await one.page.goto(`${api.url}/sign-in`)
    await one.page.goto(await askForLink(one, email))
    await press(one.page, 'Sign in')
    await headed(one.page, 'Your account')
    return one
  }

  const membersOf = async (organization: Body) =>
    (await api.call('GET', `/v1/memberships?organization=${organization.id}`)).body.items.map((one: Body) => one.role)

  /** What everybody needs who does not see the page, or not well, or has no mouse. */
  const accessible = async (page: Visitor['page']) => {
    const headings = await page.getByRole('heading', { level: 1 }).count()
    expect([headings, await page.title(), await page.locator('html').getAttribute('lang')]).toEqual([
      ...[1, expect.stringMatching(/\w/), 'en'],
    ])
    expect(await page.getByRole('main').count()).toBe(1)
    for (const field of await page.locator('input').all())
      expect(await page.locator(`label[for="${await field.getAttribute('id')}"]`).count()).toBe(1)
    for (const control of await page.locator('input, button, a.button').all()) {
      const box = await control.boundingBox()
      expect(box?.height).toBeGreaterThanOrEqual(44)
      await control.focus()
      // From now on the browser shows where one is.
      await page.keyboard.press('Shift')
      expect(await control.evaluate(outlineOf)).toBe('solid 3px')
    }
    const overflow = await page.locator('html').evaluate((element) => element.scrollWidth - element.clientWidth)
    expect(overflow).toBe(0)
  }

  const outlineOf = (element: Body) => {
    const { outlineStyle, outlineWidth } = element.ownerDocument.defaultView.getComputedStyle(element)
    return `${outlineStyle} ${outlineWidth}`
  }

  it.each([
    ['with scripts', { timezoneId: 'Asia/Kathmandu', locale: 'en-GB' }],
    ['without scripts, on a phone', { javaScriptEnabled: false, viewport: { width: 320, height: 568 } }],
  ])(
    'the whole way %s: the invitation comes by mail, scanners open it, its reader signs in by a link and joins',
    async (_, options) => {
      const { email, organization, invite, link } = await invited({ message: 'We look forward to you.' })
      await scan(link)
      const reader = await visitor(options)
      const { page, context } = reader
      await page.goto(link)
      await headed(page, 'You have been invited')
      for (const hidden of [organization.name, 'Olga', email]) expect(await page.content()).not.toContain(hidden)
      const magic = await askForLink(reader, email)
      await scan(magic)
      await page.goto(magic)
      await headed(page, 'Sign in')
      expect(await context.cookies()).toEqual([])
      await press(page, 'Sign in')
      await headed(page, `Olga Owner invites you to join ${organization.name}`)
      expect(page.url()).toBe(link)
      const [cookie, ...others] = await context.cookies()
      expect([cookie?.name, cookie?.httpOnly, cookie?.secure, others]).toEqual(['__Host-lapse_session', true, true, []])
      await expectText(page, ['a member', email, 'We look forward to you.', 'What happens when you join'])
      const timeZone = 'timezoneId' in options ? options.timezoneId : 'UTC'
      const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', weekday: 'long', timeZone })
      const parts = Object.fromEntries(clock.formatToParts(new Date(invite.expires_at)).map((p) => [p.type, p.value]))
      const shown = (await page.locator('time').first().textContent()) ?? ''
      expect(shown).toContain(`${parts.weekday}`)
      expect(shown).toContain(`${parts.hour}:${parts.minute}`)
      expect(shown).toMatch('timezoneId' in options ? /GMT\+5:45|UTC\+5:45|NPT/ : /UTC$/)
      expect(await membersOf(organization)).toEqual(['owner'])
      await press(page, 'Join')
      await headed(page, `Welcome to ${organization.name}`)
      expect((await membersOf(organization)).sort()).toEqual(['member', 'owner'])
      await page.goto(link)
      await headed(page, `You are already a member of ${organization.name}`)
      await page.goto(magic)
      await headed(page, 'This link does not work')
    },
  )

  const expectText = async (page: Visitor['page'], texts: string[]) => {
    for (const text of texts) expect(await page.getByRole('main').textContent()).toContain(text)
  }

  it('a double click signs in all the same, however long it takes', async () => {
    const user = await all.user(fresh())
    const reader = await visitor()
    await reader.page.goto(`${api.url}/sign-in`)
    await reader.page.goto(await askForLink(reader, user.email))
    const hold = api.sql('BEGIN; LOCK TABLE resource IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(1); COMMIT')
    await until(async () => (await api.sql(`SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted`))[0])
    await reader.page.getByRole('button', { name: 'Sign in' }).evaluate((button: Body) => {
      for (const ms of [0, 200]) setTimeout(() => button.click(), ms)
    })
    await hold
    await headed(reader.page, 'Your account')
  })

  it('says times in English, whatever the browser speaks', async () => {
    const { email, link } = await invited()
    const { page } = await signedIn(email, { locale: 'de-DE', timezoneId: 'Europe/Berlin' })
    await page.goto(link)
    expect(await page.locator('time').first().textContent()).toMatch(/^\w+day, \w+ \d+, \d{4} at \d+:\d\d.[AP]M \S+$/)
  })

  it('says how long is left when the end is near', async () => {
    const { email, link } = await invited({ expires_in: 2 * 3_600 })
    const { page } = await signedIn(email)
    await page.goto(link)
    await expectText(page, ['expires in 2 hours'])
  })

  it('who is signed in with another address is told so and nothing else, signs out there, and gets in', async () => {
    const { email, organization, link } = await invited()
    const other = await all.user(fresh())
    const reader = await signedIn(other.email)
    const { page } = reader
    await page.goto(link)
    await headed(page, 'This invitation was sent to another address')
    await expectText(page, [other.email])
    for (const hidden of [organization.name, 'Olga', email]) expect(await page.content()).not.toContain(hidden)
    await press(page, 'Sign out and use another')
    await headed(page, 'You have been invited')
    expect(page.url()).toBe(link)
    await page.goto(await askForLink(reader, email))
    await press(page, 'Sign in')
    await press(page, 'Join')
    await headed(page, `Welcome to ${organization.name}`)
  })

  it('an address that is mistyped is asked for again, by keyboard alone', async () => {
    const { link, email } = await invited()
    const { page } = await visitor()
    await page.goto(link)
    await page.keyboard.press('Tab')
    // The browser itself would not let it through.
    await page.locator('form').evaluate((form) => form.setAttribute('novalidate', ''))
    await page.keyboard.type('nobody@@example')
    await page.keyboard.press('Enter')
    await until(() => page.getByText('Please enter an e-mail address').isVisible())
    const field = page.getByLabel('E-mail address')
    expect([await field.inputValue(), await field.evaluate((input: Body) => input.matches(':focus'))]).toEqual([
      ...['nobody@@example', true],
    ])
    await accessible(page)
    await field.fill(email)
    await page.keyboard.press('Enter')
    await headed(page, 'Check your mail')
  })

  it('what has expired can be asked for anew, and the inviter gets a mail', async () => {
    const { email, inviter, invite, link } = await invited()
    const { page } = await signedIn(email)
    await api.age(invite.id, 4 * 86_400)
    await page.goto(link)
    await headed(page, 'This invitation has expired')
    await press(page, 'Ask for a new invitation')
    await headed(page, 'Thank you')
    const mail = await mailTo(inviter.email, /asks for a new invitation/)
    expect(mail.subject).toContain(email)
    // To anybody else it is what any link is that does not work, which offers the same.
    const stranger = await visitor()
    await stranger.page.goto(link)
    await headed(stranger.page, 'This invitation does not work')
    await press(stranger.page, 'Ask for a new invitation')
    await headed(stranger.page, 'Thank you')
  })

  it('sent again, the old link is dead and the new one works', async () => {
    const { email, organization, invite, link } = await invited()
    expect((await api.call('POST', `/v1/invites/${invite.id}/resend`)).status).toBe(201)
    const again = linkIn(await mailTo(email, /invites you/, 1))
    const { page } = await signedIn(email)
    await page.goto(link)
    await headed(page, 'This invitation does not work')
    await page.goto(again)
    await press(page, 'Join')
    await headed(page, `Welcome to ${organization.name}`)
  })

  it('who declines is not asked again', async () => {
    const { email, organization, invite, link } = await invited()
    const { page } = await signedIn(email)
    await page.goto(link)
    await press(page, 'Decline')
    await headed(page, 'You have declined')
    expect((await api.lapse.get(invite.id)).status).toBe('revoked')
    await page.goto(link)
    await headed(page, 'This invitation does not work')
    expect(await membersOf(organization)).toEqual(['owner'])
  })

  it('without a free seat nothing is lost', async () => {
    const { email, organization, link } = await invited()
    const { page } = await signedIn(email)
    await page.goto(link)
    const seats = (seat_limit: number) => api.call('PATCH', `/v1/organizations/${organization.id}`, { seat_limit })
    await seats(1)
    await press(page, 'Join')
    await headed(page, `No seat is free just now in ${organization.name}`)
    await page.getByRole('link', { name: 'Back to the invitation' }).click()
    await expectText(page, ['No seat is free just now'])
    await seats(2)
    await page.getByRole('link', { name: 'Look again' }).click()
    await press(page, 'Join')
    await headed(page, `Welcome to ${organization.name}`)
  })

  it('the account shows what waits, without any link, and where one is signed in; signing out everywhere holds', async () => {
    const { email, organization } = await invited()
    const desk = await signedIn(email, { timezoneId: 'America/Lima' })
    const iPhone =
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1'
    const phone = await signedIn(email, { userAgent: iPhone, viewport: { width: 360, height: 740 } })
    await desk.page.goto(`${api.url}/account`)
    await expectText(desk.page, [organization.name, 'Firefox on Linux, this browser', 'Safari on an iPhone', 'GMT-5'])
    await press(desk.page, `Join ${organization.name}`)
    await headed(desk.page, `Welcome to ${organization.name}`)
    await desk.page.reload()
    await headed(desk.page, `You are already a member of ${organization.name}`)
    await desk.page.getByRole('link', { name: 'Go to your account' }).click()
    await headed(desk.page, 'Your account')
    await expectText(desk.page, ['None are waiting for you.'])
    await press(desk.page, 'Sign out everywhere')
    await headed(desk.page, 'Sign in')
    expect(await desk.context.cookies()).toEqual([])
    // The way back shows nothing either.
    await desk.page.goBack()
    await headed(desk.page, 'Sign in')
    await phone.page.goto(`${api.url}/account`)
    await headed(phone.page, 'Sign in')
    expect(await phone.context.cookies()).toEqual([])
  })

  it('one signs out there without signing out here', async () => {
    const user = await all.user(fresh())
    const [here, there] = [await signedIn(user.email), await signedIn(user.email, { userAgent: 'Browser of another' })]
    await here.page.goto(`${api.url}/account`)
    await here.page.getByRole('button', { name: /^Sign out Browser of another, since / }).click()
    await headed(here.page, 'Your account')
    expect(await here.page.content()).not.toContain('Browser of another')
    await there.page.goto(`${api.url}/account`)
    await headed(there.page, 'Sign in')
    await press(here.page, 'Sign out here')
    await headed(here.page, 'Sign in')
  })

  it('an address is confirmed by a click on the page behind its link', async () => {
    const user = await all.user(fresh(), { verified: false })
    await api.call('POST', '/v1/verifications', { purpose: 'confirm-email', email: user.email })
    const link = linkIn(await mailTo(user.email, /confirm/))
    await scan(link)
    expect((await api.lapse.users.get(user.id)).verifiedAt).toBe(null)
    const { page } = await visitor()
    await page.goto(link)
    await headed(page, 'Confirm your address')
    await press(page, 'Confirm')
    await headed(page, 'Your address is confirmed')
    expect((await api.lapse.users.get(user.id)).verifiedAt).not.toBe(null)
    await page.goto(link)
    await headed(page, 'This link does not work')
  })

  it('a page of another site can press no button', async () => {
    const { email, link, invite } = await invited()
    const { page } = await signedIn(email)
    const evil = createServer((_, answer) =>
      answer
        .setHeader('content-type', 'text/html')
        .end(`<form method="post" action="${link}"><button name="action" value="join">Win</button></form>`),
    )
    await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void evil.close())
    // Another site, from where the browser would send a cookie that is not `SameSite`.
    await page.goto(`http://localhost:${(evil.address() as AddressInfo).port}/`)
    await press(page, 'Win')
    await headed(page, 'Nothing was done')
    expect((await api.lapse.get(invite.id)).status).toBe('active')
    const sent = visitors.splice(0).flatMap(({ requests }) => requests.filter(({ method }) => method === 'POST'))
    expect(sent.at(-1)).toMatchObject({ url: link, headers: { 'sec-fetch-site': 'cross-site' } })
    expect(sent.at(-1)?.headers).not.toHaveProperty('cookie')
  })
})
