import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import * as account from '../src/pages/account.ts'
import * as invite from '../src/pages/invite.ts'
import { contentSecurityPolicy } from '../src/pages/layout.ts'
import * as notice from '../src/pages/notice.ts'
import * as share from '../src/pages/share-link.ts'
import * as signIn from '../src/pages/sign-in.ts'
import * as unsubscribe from '../src/pages/unsubscribe.ts'
import { browserInWords, inWords } from '../src/pages/words.ts'

const now = new Date('2027-03-03T12:05:00Z')
const inHours = (hours: number) => new Date(now.getTime() + hours * 3_600_000)

const hostile = `</title></style><script>alert(1)</script><img src=x onerror=alert(1)>" autofocus onfocus='alert(1)' &amp; \u202egpj.exe\u2066 ${'W'.repeat(200)}`

const invitation = {
  organization: hostile,
  inviter: hostile,
  email: hostile,
  role: 'member' as const,
  message: hostile,
  expiresAt: inHours(2),
  now,
}

const accountOf = (text: string) => ({
  email: text,
  now,
  memberships: [{ organization: text, role: 'admin' as const }],
  invitations: [{ id: text, organization: text, inviter: text, role: 'owner' as const, expiresAt: inHours(200) }],
  sessions: [
    { id: text, agent: text, issuedAt: inHours(-1), expiresAt: inHours(9), current: true },
    { id: text, agent: text, issuedAt: inHours(-2), expiresAt: inHours(9), current: false },
  ],
})

/** Pages that say the same to everybody. */
const constants: [string, () => string][] = [
  ['an invitation that does not work', invite.invalidInvitePage],
  ['an invitation that has ended', invite.goneInvitePage],
  ['a request for a new invitation', invite.requestedPage],
  ['signed out before an invitation', invite.inviteSignInPage],
  ['sign-in', signIn.signInPage],
  ['check your mail', signIn.checkMailPage],
  ['the click that signs in', signIn.confirmSignInPage],
  ['the click that confirms', signIn.confirmEmailPage],
  ['confirmed', signIn.confirmedPage],
  ['a link that does not work', signIn.invalidLinkPage],
  ['a link to confirm that does not work', signIn.invalidConfirmationPage],
  ['a share link', () => share.sharePage({ asksPassword: false })],
  ['a share link with a password', () => share.sharePage({ asksPassword: true })],
  ['a wrong password', () => share.sharePage({ asksPassword: true, error: 'This is not it.' })],
  ['a share link that does not work', share.invalidSharePage],
  ['a shared page that is closed', share.closedSharePage],
  ['no more reminders?', unsubscribe.unsubscribePage],
  ['no more reminders', unsubscribe.unsubscribedPage],
  ['a link to stop reminders that does not work', unsubscribe.invalidUnsubscribePage],
  ['too many', () => notice.tooManyPage({ retryAfter: 90, wasOpened: true })],
  ['unavailable', () => notice.unavailablePage({ retryAfter: 2, wasOpened: true })],
  ['not found', notice.notFoundPage],
  ['failed', () => notice.failedPage({ retryAfter: 60, wasOpened: false })],
  ['refused', notice.refusedPage],
  ['unreadable', notice.unreadablePage],
]

/** Pages with somebody's words in them, here the worst they could be. */
const filled: [string, () => string][] = [
  ['an invitation', () => invite.invitePage(invitation)],
  ['an invitation without a seat', () => invite.invitePage({ ...invitation, full: true })],
  ['already a member', () => invite.alreadyMemberPage(invitation)],
  ['joined', () => invite.joinedPage(invitation)],
  ['declined', () => invite.declinedPage(invitation)],
  ['full', () => invite.fullPage(invitation)],
  ['another address', () => invite.wrongAccountPage({ signedInAs: hostile, reason: 'other-address' })],
  ['an unverified address', () => invite.wrongAccountPage({ signedInAs: hostile, reason: 'unverified' })],
  ['expired', () => invite.expiredInvitePage({ organization: hostile, expiredAt: inHours(-1) })],
  ['signed out before an invitation, mistyped', () => invite.inviteSignInPage({ error: hostile, email: hostile })],
  ['sign-in, mistyped', () => signIn.signInPage({ error: hostile, email: hostile })],
  ['the account', () => account.accountPage(accountOf(hostile))],
  ['what is shared', () => share.sharedPage({ title: hostile, sharedBy: hostile, expiresAt: inHours(1), now })],
  ['the account, unconfirmed', () => account.accountPage({ ...accountOf(hostile), unconfirmed: 'unverified' })],
]

const all = [...constants, ...filled]

const occurrences = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0
const tags = (text: string) => text.match(/<[a-z][^>]*>/g) ?? []

describe.each(all)('the page: %s', (_, render) => {
  const text = render()

  it('is one whole document with one heading, a title, a language and a viewport', () => {
    expect(text).toMatch(/^<!doctype html>\n<html lang="en">/)
    for (const once of [/<h1[ >]/g, /<title>[^<]+<\/title>/g, /<meta name="viewport"/g, /<main>/g])
      expect(occurrences(text, once), String(once)).toBe(1)
  })

  it('runs and shows only what its policy names', () => {
    for (const [element, directive] of [
      ['style', 'style-src'],
      ['script', 'script-src'],
    ]) {
      const sources = [...text.matchAll(new RegExp(`<${element}>([^]*?)</${element}>`, 'g'))].map(
        ([, source]) => source,
      )
      expect(sources).toHaveLength(1)
      const hash = createHash('sha256')
        .update(sources[0] ?? '')
        .digest('base64')
      expect(contentSecurityPolicy).toContain(`${directive} 'sha256-${hash}'`)
    }
    for (const tag of tags(text)) expect(tag.replace(/"[^"]*"/g, '')).not.toMatch(/\s(style|on\w+|src|srcdoc)\s*=/)
  })

  it('names no address but its own', () => {
    expect(text).not.toMatch(/https?:|url\(|@import|="\/\//)
    for (const [, address = ''] of text.matchAll(/\s(?:href|action)="([^"]*)"/g)) expect(address).toMatch(/^(\/|$)/)
  })

  it('posts back to where it was opened without writing a token down', () => {
    for (const form of tags(text).filter((tag) => tag.startsWith('<form'))) expect(form).toContain('method="post"')
    expect(text).not.toMatch(/token|type="hidden"/i)
  })

  it('gives every field a label and every button a name', () => {
    for (const [, id] of text.matchAll(/<input id="([^"]*)"/g)) expect(text).toContain(`<label for="${id}">`)
    for (const [, name] of text.matchAll(/<button[^>]*>([^<]*)</g)) expect(name).toMatch(/\w/)
    for (const [, id] of text.matchAll(/aria-describedby="([^"]*)"/g)) expect(text).toContain(` id="${id}"`)
  })

  it('is small', () => expect(Buffer.byteLength(text)).toBeLessThan(13_000))
})

describe.each(filled)('the page: %s', (_, render) => {
  const text = render()

  it('writes down what others chose as text, and as nothing else', () => {
    expect(text).toContain('&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&quot; autofocus')
    expect(text).toContain('&#39;alert(1)&#39; &amp;amp; ')
    expect(text).not.toMatch(/<img|<script>alert|' autofocus onfocus/)
    expect(tags(text).filter((tag) => /^<(script|style|title)/.test(tag))).toHaveLength(3)
  })

  it('lets nobody turn its words around, or into the title', () => {
    expect(text).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/)
    expect(/<title>(.*)<\/title>/.exec(text)?.[1]).not.toContain('alert')
  })
})

describe('every field of', () => {
  const marked = <T extends object>(fields: T) =>
    Object.fromEntries(Object.keys(fields).map((name) => [name, `<b>${name}</b>`])) as Record<keyof T, string>

  it('an invitation is written escaped', () => {
    const text = marked({ organization: '', inviter: '', email: '', message: '' })
    const shown = invite.invitePage({ ...invitation, ...text })
    for (const name of Object.keys(text)) expect(shown).toContain(`&lt;b&gt;${name}&lt;/b&gt;`)
    expect(shown).not.toContain('<b>')
  })

  it('an account is written escaped, and an id stays one part of a path', () => {
    const shown = account.accountPage(accountOf('<b>../x?y</b>'))
    expect(shown).not.toContain('<b>')
    expect(occurrences(shown, /&lt;b&gt;\.\.\/x\?y&lt;\/b&gt;/g)).toBeGreaterThanOrEqual(8)
    expect(shown).toContain('action="/invites/%3Cb%3E..%2Fx%3Fy%3C%2Fb%3E"')
    expect(shown).toContain('action="/sessions/%3Cb%3E..%2Fx%3Fy%3C%2Fb%3E/revoke"')
  })
})

describe('a page as people meet it', () => {
  const ada = {
    ...invitation,
    organization: 'Meridian',
    inviter: 'Ada',
    email: 'grace@example.org',
    message: 'Come and join us.',
  }

  it('stays under 8 KB', () => {
    const browser = 'Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0'
    const usual = accountOf(browser)
    const twice = { ...usual, sessions: [...usual.sessions, ...usual.sessions] }
    for (const text of [invite.invitePage(ada), account.accountPage(twice), ...constants.map(([, render]) => render())])
      expect(Buffer.byteLength(text)).toBeLessThan(8_192)
  })

  it.each(constants)('%s is the same to everybody', (_, render) => expect(render()).toBe(render()))

  it('says who invites, to what, as what and until when', () => {
    const text = invite.invitePage(ada)
    expect(text).toContain('<small><bdi>Ada</bdi> invites you to join</small> <bdi>Meridian</bdi></h1>')
    expect(text).toContain('<dd>a member</dd>')
    expect(text).toMatch(
      /<time datetime="2027-03-03T14:05:00\.000Z">Wednesday,? 3 March 2027 at 14:05 UTC<\/time> <span class="soon">expires in 2 hours</,
    )
    expect(text).toContain('<form method="post">')
    expect(text).toContain('<button name="action" value="join">Join</button>')
    expect(text).toMatch(/<button [^>]*name="action" value="decline">Decline<\/button>/)
  })

  it('counts down only when the end is near', () => {
    expect(invite.invitePage({ ...ada, expiresAt: inHours(48) })).toContain('expires in 2 days')
    expect(invite.invitePage({ ...ada, expiresAt: inHours(49) })).not.toContain('expires in')
  })

  it('does without an inviter and without a message', () => {
    const text = invite.invitePage({ ...ada, inviter: null, message: null })
    expect(text).toContain('<small>You are invited to join</small>')
    expect(text).not.toContain('<blockquote')
  })

  it('offers no seat that is not there', () => {
    const text = invite.invitePage({ ...ada, full: true })
    expect(text).not.toContain('value="join"')
    expect(text).toContain('<a class="button" href="">Look again</a>')
  })

  it('leads back from a full organization to where Join was pressed', () => {
    expect(invite.fullPage(ada)).toContain('href="">Back to the invitation<')
    expect(invite.fullPage({ ...ada, from: 'account' })).not.toContain('href=""')
  })

  it('tells who is signed in as somebody else nothing about the invitation', () => {
    for (const reason of ['other-address', 'unverified', 'unverified-elsewhere'] as const) {
      const text = invite.wrongAccountPage({ signedInAs: 'eve@example.com', reason })
      expect(text).toContain('eve@example.com')
      expect(text).toContain('<form method="post"><button name="action" value="sign-out"')
      expect(text).not.toMatch(/\b(member|admin|owner)\b/)
    }
  })

  it('ties what is wrong to the field, and keeps what was typed', () => {
    const text = signIn.signInPage({ error: 'No such address.', email: 'grace@@example.org' })
    expect(text).toMatch(
      /<input id="email" [^>]*value="grace@@example.org" aria-invalid="true" aria-describedby="wrong" autofocus>/,
    )
    expect(text).toContain('<p class="wrong" id="wrong">No such address.</p>')
    expect(text).toContain('<title>Please check: Sign in</title>')
  })

  it.each([
    [1, 'a minute'],
    [61, '2 minutes'],
    [51 * 60, '51 minutes'],
    [3 * 3_600, '3 hours'],
  ])('says when to try again: after %i seconds', (retryAfter, words) =>
    expect(notice.tooManyPage({ retryAfter, wasOpened: true })).toContain(`try again in about ${words}.`),
  )

  it.each([notice.failedPage, notice.unavailablePage])('offers to try again what was only opened: %o', (render) => {
    const again = '<a class="button" href="">Try again</a>'
    expect(render({ retryAfter: 2, wasOpened: true })).toContain(again)
    expect(render({ retryAfter: 2, wasOpened: false })).not.toContain(again)
  })

  it.each([
    ['unverified', 'sign in again', 2],
    ['unverified-elsewhere', 'where you have your account', 1],
  ] as const)('says in the account what has to be done before invitations show: %s', (unconfirmed, words, ways) => {
    const shown = account.accountPage({ ...accountOf('s1'), invitations: [], unconfirmed })
    expect(shown).toContain('Your address is not confirmed yet')
    expect(shown).toContain(words)
    expect(shown).not.toContain('None are waiting')
    expect(occurrences(shown, /action="\/sign-out"/g)).toBe(ways)
  })

  it('tells sessions of one browser apart, whoever only hears the button', () => {
    const { sessions, ...rest } = accountOf('')
    const at = (hours: number) => ({
      id: `s${hours}`,
      agent: null,
      issuedAt: inHours(hours),
      expiresAt: inHours(9),
      current: false,
    })
    const shown = account.accountPage({ ...rest, sessions: [at(-1), at(-3)] })
    const names = [...shown.matchAll(/aria-label="(Sign out [^"]*)"/g)].map(([, name]) => name)
    expect(names).toHaveLength(2)
    expect(names[0]).toMatch(/^Sign out An unknown browser, since Wednesday,? 3 March 2027 at 11:05 UTC$/)
    expect(new Set(names).size).toBe(2)
  })

  it('signs out here, there or everywhere', () => {
    const shown = account.accountPage(accountOf('s1'))
    expect(occurrences(shown, /action="\/sessions\/s1\/revoke"/g)).toBe(1)
    expect(occurrences(shown, /action="\/sign-out"/g)).toBe(1)
    expect(occurrences(shown, /action="\/sessions\/revoke"/g)).toBe(1)
  })
})

describe('in words', () => {
  it.each([
    [-5_000, 'less than a minute'],
    [59_999, 'less than a minute'],
    [60_000, 'a minute'],
    [89 * 60_000, '89 minutes'],
    [2 * 3_600_000 - 3_000, '2 hours'],
    [35.9 * 3_600_000, '36 hours'],
    [36 * 3_600_000, '2 days'],
  ])('%i ms: %s', (ms, words) => expect(inWords(ms)).toBe(words))

  it.each([
    [null, 'An unknown browser'],
    ['curl/8.5.0', 'curl/8.5.0'],
    ['x'.repeat(70), `${'x'.repeat(60)}…`],
    ['Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0', 'Firefox on Linux'],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
      'Safari on an iPhone',
    ],
    [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0',
      'Edge on Windows',
    ],
    [
      'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36',
      'Chrome on Android',
    ],
  ])('the browser %s', (agent, words) => expect(browserInWords(agent)).toBe(words))
})

describe('the colours', () => {
  const schemes = signIn
    .signInPage()
    .match(/--ground:[^}]+/g)
    ?.map((scheme) => Object.fromEntries(scheme.split(';').map((one) => one.split(':')))) as Record<string, string>[]

  const luminance = (colour = '') => {
    const parts = (colour.length === 4 ? colour.replace(/\w/g, '$&$&') : colour).match(/\w\w/g) ?? []
    const [red = 0, green = 0, blue = 0] = parts
      .map((part) => Number.parseInt(part, 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const contrast = (one?: string, other?: string) => {
    const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b)
    return (light + 0.05) / (dark + 0.05)
  }

  it.each([
    ['text', 'card', 4.5],
    ['text', 'line', 4.5],
    ['soft', 'card', 4.5],
    ['soon', 'card', 4.5],
    ['wrong', 'card', 4.5],
    ['act', 'card', 4.5],
    ['on-act', 'act', 4.5],
    ['on-act', 'act-over', 4.5],
    ['edge', 'card', 3],
  ])('%s is told from %s, in light and in dark', (one, other, least) => {
    expect(schemes).toHaveLength(2)
    for (const scheme of schemes)
      expect(contrast(scheme[`--${one}`], scheme[`--${other}`])).toBeGreaterThanOrEqual(least)
  })
})
